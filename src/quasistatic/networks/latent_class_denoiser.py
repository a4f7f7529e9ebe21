r"""Latent classes as a denoiser in closed form, and a network that stands on one."""

__all__ = ["LatentDenoiser", "LatentMLP"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..distributions.mixtures.components import Part
from ..distributions.mixtures.latent_class import LatentClasses
from .mlp import MLP

NEAR, LEAST = 4, 1e-3
"""How many numbers on either side of the nearest a narrow normal is spread over, and the least
deviation that it has then, in cells."""


@dataclass(eq=False)
class LatentDenoiser(nn.Module):
    r"""What :class:`LatentClasses` say of x_0 given x_t, exactly: E[x_0 | x_t] and Var[x_0 | x_t]
    of real values, and of each class the logarithm of its probability given the other columns,
    which the head multiplies by what x_t says of it. Values that are NaN are absent.

    Whole numbers are normal on their lattice: once the noise is of the size of a cell, E[x_0 | x_t]
    is drawn to the numbers that there are. A chain that did not know of them would go on to tell
    apart what is the same.

    Args:
        shape: of x_0, one axis: D real values, then the one-hot values of classes.
        sizes: how many classes each column has.
        components: how many there are.
        steps: T of the schedule.

    It starts with components that are alike, standard normal and with even classes;
    :meth:`start_at` gives it its law. Its numbers are buffers, which are saved with a model.
    """

    shape: Any
    sizes: Any
    components: int
    steps: int

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        self.sizes = tuple(int(size) for size in self.sizes)
        count, classes = self.components, sum(self.sizes)
        dims = self.shape[0] - classes
        if dims < 0:
            raise ValueError(f"classes {self.sizes} are more than the {self.shape[0]} values")
        even = [math.log(1 / size) for size in self.sizes for _ in range(size)]
        buffers = {
            "log_weight": torch.full((count,), math.log(1 / count)),
            "mean": torch.zeros(count, dims),
            "variance": torch.ones(count, dims),
            "basis": torch.eye(dims).repeat(count, 1, 1),
            "log_share": torch.tensor(even).repeat(count, 1),
            "log_pi": torch.tensor(even),
            "log_snr": torch.zeros(self.steps),
            "keep": torch.zeros(self.steps),
            "lattice": torch.zeros(3, dims),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)

    @property
    def law(self) -> LatentClasses:
        """Of x_0."""
        names = ("log_weight", "mean", "variance", "basis")
        part = Part(*(self._own(name) for name in names))
        return LatentClasses(part, self._own("log_share"), self._own("log_pi"), self.sizes)

    def start_at(
        self, law: LatentClasses, log_snr: Tensor, keep: Tensor, lattice: Tensor | None = None
    ) -> "LatentDenoiser":
        """Takes the law of x_0; of the times 1..T the log-SNR of real values and the probability
        with which a class has been kept, each (T,); and where the numbers of each real column
        begin, how far apart they are, 0 on a continuum, and where they end, (3, D).

        Raises:
            ValueError: if a shape is another, or a number is not finite.
        """
        whole = vars(law.normals) | {"log_share": law.log_share, "log_pi": law.log_pi}
        lattice = torch.zeros_like(self._own("lattice")) if lattice is None else lattice
        whole |= {"log_snr": log_snr, "keep": keep, "lattice": lattice}
        for name, value in whole.items():
            own = self._own(name)
            if value.shape != own.shape or not value.isfinite().all():
                raise ValueError(
                    f"{name} must be finite and have shape {tuple(own.shape)}, got "
                    f"{tuple(value.shape)}"
                )
            own.copy_(value)
        return self

    def scales(self, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """signal, noise and keep at t / T (B,), each (B, 1)."""
        index = (time * self.steps).round().long() - 1
        log_snr, keep = self._own("log_snr")[index, None], self._own("keep")[index, None]
        return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt(), keep

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """As :meth:`LatentClasses.denoised` has it, of x_t (B, W) and t / T (B,): (B, W, 2)."""
        found = self.law.denoised(x, *self.scales(time.to(self._own("log_snr"))))
        dims = self.shape[0] - sum(self.sizes)
        mean, variance = found[:, :dims].unbind(-1)
        real = torch.stack(_on_lattice(mean, variance, self._own("lattice")), -1)
        return torch.cat([real, found[:, dims:]], 1)

    def _own(self, name: str) -> Tensor:
        return self.get_buffer(name)


def _on_lattice(mean: Tensor, variance: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the variance of normals (B, D) on the numbers of a lattice (3, D), where they
    are narrow enough for that to be another one."""
    low, cell, high = lattice.to(mean)
    narrow = (cell > 0) & (variance < cell**2)
    if not narrow.any():
        return mean, variance
    cell = torch.where(cell > 0, cell, 1.0)
    last = ((high - low) / cell).round()
    nearest = torch.minimum(((mean - low) / cell).round().clamp(min=0), last)
    index = nearest[..., None] + torch.arange(-NEAR, NEAR + 1).to(mean)
    inside = (index >= 0) & (index <= last[:, None])
    at = low[:, None] + index * cell[:, None]
    log_weight = -((at - mean[..., None]) ** 2) / (2 * variance[..., None])
    weight = torch.where(inside, log_weight, -math.inf).softmax(-1)
    middle = (weight * at).sum(-1)
    spread = (weight * (at - middle[..., None]) ** 2).sum(-1) + (LEAST * cell) ** 2
    return torch.where(narrow, middle, mean), torch.where(narrow, spread, variance)


@dataclass(eq=False)
class LatentMLP(nn.Module):
    r"""The word of latent classes on x_0, and a multilayer perceptron's word on how far off that
    is: (B, W, 4), of real values what the :class:`Corrected` head takes, and of classes what the
    :class:`Classes` head takes, logits, and zeros. Without real values it is (B, W, 1).

    The perceptron sees what the denoiser says: of real values E[x_0 | x_t] and the noise that
    would then be in x_t, of classes their probabilities given the other columns, and x_t. So it
    sees something of absent values too. Its read-out starts at zero: before training, the model is
    the mixture.

    Args:
        shape, sizes, components, steps: of :class:`LatentDenoiser`.
        width, depth, dropout, octaves: of :class:`MLP`.
    """

    shape: Any
    sizes: Any
    components: int
    steps: int
    width: int = 128
    depth: int = 2
    dropout: float = 0.0
    octaves: int = 8

    def __post_init__(self) -> None:
        super().__init__()
        self.mixture = LatentDenoiser(self.shape, self.sizes, self.components, self.steps)
        self.shape, self.sizes = self.mixture.shape, self.mixture.sizes
        size = self.width, self.depth, 1, self.dropout, self.octaves
        self.correction = MLP((2, *self.shape), *size).silenced()

    @property
    def speaks(self) -> bool:
        """Whether it corrects anything: not before training."""
        return self.correction.speaks

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """What the heads take of x_t (B, W) and t / T (B,): (B, W, 4)."""
        told, other = self.mixture(x, time).unbind(-1)
        signal, noise, _ = self.mixture.scales(time)
        dims = self.shape[0] - sum(self.sizes)
        seen = x.nan_to_num()
        left = torch.where(x.isnan(), 0.0, seen - signal * told)[:, :dims] / noise
        first = torch.cat([told[:, :dims], told[:, dims:].exp()], 1)
        second = torch.cat([left, seen[:, dims:]], 1)
        shift, widening = self.correction(torch.stack([first, second], 1), time)[..., 0].unbind(1)
        zero = torch.zeros_like(shift)
        real = torch.stack([told, other, shift, widening], -1)
        classes = torch.stack([told + shift, zero, zero, zero], -1)
        whole = torch.cat([real[:, :dims], classes[:, dims:]], 1)
        return whole if dims else whole[..., :1]
