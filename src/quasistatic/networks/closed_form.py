r"""A closed-form law as a denoiser, and a network that corrects one."""

__all__ = ["ClosedFormDenoiser", "ResidualDenoiser"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..distributions.mixtures import (
    Block,
    CategoricalBlock,
    GaussianBlock,
    Mixture,
    Moments,
    NoiseLevel,
)
from .buffers import fill_buffers
from .mlp import MLP

NEAR, LEAST = 4, 1e-3
"""How many numbers on either side of the nearest a narrow normal is spread over, and the least
deviation that it has then, in units of the distance between neighbours."""


@dataclass(eq=False)
class ClosedFormDenoiser(nn.Module):
    r"""E[x_0 | x_t] and Var[x_0 | x_t] if x_0 has the law of a :class:`Mixture`, exactly, and of
    each class its log-probability given the other columns. Values that are NaN are absent.

    Whole numbers are normal on their lattice: once the noise is of the size of their distance,
    E[x_0 | x_t] is drawn to the numbers that the lattice has.

    Args:
        shape: of x_0: D real values, then the one-hot values of classes. A whole number means one
            axis.
        sizes: how many classes each column has.
        components: K, the number of components.
        matrices: M, the number of different covariance matrices.
        steps: T of the schedule.

    It starts with components that are alike, standard normal and with even classes;
    :meth:`start_at` gives it its law. It has no weights to train: its numbers are buffers in
    float64, which are saved with a model.

    Raises:
        ValueError: if there are more classes than values.
    """

    shape: Any
    sizes: Any
    components: int
    matrices: int
    steps: int

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        self.sizes = tuple(int(size) for size in self.sizes)
        count, double = self.components, torch.float64
        if self.dims < 0:
            raise ValueError(
                f"classes {self.sizes} are more than the {math.prod(self.shape)} values"
            )
        even = [math.log(1 / size) for size in self.sizes for _ in range(size)]
        buffers = {
            "log_weight": torch.full((count,), -math.log(count), dtype=double),
            "mean": torch.zeros(count, self.dims, dtype=double),
            "matrix": torch.eye(self.dims, dtype=double).repeat(self.matrices, 1, 1),
            "of": torch.arange(count) % self.matrices,
            "scale": torch.ones(count, dtype=double),
            "log_p": torch.tensor(even, dtype=double).repeat(count, 1),
            "log_pi": torch.tensor(even, dtype=double),
            "log_snr": torch.zeros(self.steps, dtype=double),
            "keep": torch.zeros(self.steps, dtype=double),
            "lattice": torch.zeros(3, self.dims, dtype=double),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self._kept: tuple[Any, dict[torch.dtype, Mixture]] = (None, {})

    @property
    def dims(self) -> int:
        """D, the number of real values."""
        return int(math.prod(self.shape) - sum(self.sizes))

    @property
    def law(self) -> Mixture:
        """The law of x_0, in the type of the buffers."""
        return self._law(self.get_buffer("log_weight").dtype)

    def start_at(
        self,
        law: Mixture,
        log_snr: Tensor,
        keep: Tensor | None = None,
        log_pi: Tensor | None = None,
        lattice: Tensor | None = None,
    ) -> "ClosedFormDenoiser":
        """Takes the law of x_0 and what the forward process does to it.

        Args:
            law: with a block of the real values and one of the classes, where there are any.
            log_snr: of the times 1..T for real values, with shape (T,).
            keep: the probability with which a class has been kept, with shape (T,).
            log_pi: the log-probabilities of a class that is drawn afresh, with shape (V,).
            lattice: where the numbers of each real column begin, how far apart they are (0 on a
                continuum) and where they end, with shape (3, D).

        Raises:
            ValueError: if a shape is another, or a number is not finite.
        """
        found: dict[str, Any] = {"log_weight": law.log_weight, "log_snr": log_snr}
        for block in law.blocks:
            found |= {name: value for name, value in vars(block).items() if name in _OF_BLOCKS}
        given = {"keep": keep, "log_pi": log_pi, "lattice": lattice}
        found |= {name: value for name, value in given.items() if value is not None}
        fill_buffers(self, found)
        return self

    def level(self, time: Tensor) -> NoiseLevel:
        """The noise level at t / T (B,)."""
        index = (time * self.steps).round().long() - 1
        log_snr, keep = (
            self.get_buffer("log_snr")[index, None],
            self.get_buffer("keep")[index, None],
        )
        scales = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
        return NoiseLevel(*scales, keep, self.get_buffer("log_pi"))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The mean and the variance of real values, the log-prior of classes and 0, of x_t (B, *)
        and t / T (B,): (B, *, 2)."""
        found, dims = self.moments(x, time), self.dims
        first = torch.cat([found.mean[:, :dims], found.log_prior[:, dims:]], 1)
        second = torch.cat([found.variance[:, :dims], torch.zeros_like(first[:, dims:])], 1)
        return torch.stack([first, second], -1).reshape(*x.shape, 2)

    def moments(self, x: Tensor, time: Tensor) -> Moments:
        """The moments of x_0 given x_t (B, *) at t / T (B,), each with shape (B, W)."""
        level = self.level(time.to(self.get_buffer("log_snr"))).to(x)
        found, dims = self._law(x.dtype).denoise(x.flatten(1), level), self.dims
        lattice = self.get_buffer("lattice").to(x)
        if not (lattice[1] > 0).any():
            return found
        mean, variance = _on_lattice(found.mean[:, :dims], found.variance[:, :dims], lattice)
        rest = found.mean[:, dims:], found.variance[:, dims:]
        return Moments(
            torch.cat([mean, rest[0]], 1), torch.cat([variance, rest[1]], 1), found.log_prior
        )

    def log_prob(self, x_0: Tensor, given: Tensor | None = None) -> Tensor:
        """log p of the observed values of x_0 (B, *), with shape (B,), in nats, in its type. The
        law has no condition, and `given` changes nothing."""
        return self._law(x_0.dtype).log_prob(x_0.flatten(1))

    def _law(self, dtype: torch.dtype) -> Mixture:
        """The law in a type; made once, and again when a buffer has changed."""
        buffers = dict(self.named_buffers())
        key = tuple((b.data_ptr(), b._version, b.dtype) for b in buffers.values())
        if self._kept[0] != key:
            self._kept = key, {}
        kept = self._kept[1]
        if dtype not in kept:
            kept[dtype] = self._made(buffers).to(buffers["log_weight"].to(dtype))
        return kept[dtype]

    def _made(self, buffers: dict[str, Tensor]) -> Mixture:
        blocks: list[Block] = []
        if self.dims:
            gaussian = GaussianBlock(*(buffers[name] for name in ("mean", "matrix", "of", "scale")))
            _ = gaussian.eigen  # found in this type, and kept for others
            blocks.append(gaussian)
        if self.sizes:
            blocks.append(CategoricalBlock(buffers["log_p"], self.sizes))
        return Mixture(buffers["log_weight"], tuple(blocks))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": (None, {})}


_OF_BLOCKS = ("mean", "matrix", "of", "scale", "log_p")
"""The numbers of blocks that are kept."""


def _on_lattice(mean: Tensor, variance: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the variance of normals (B, D) on the numbers of a lattice (3, D), where they
    are so narrow that the two differ."""
    low, cell, high = lattice
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
class ResidualDenoiser(nn.Module):
    r"""A closed-form law, and a multilayer perceptron that corrects its estimate of x_0.

    It gives (B, *, 4): for real values what the :class:`Corrected` head takes, for classes what
    the :class:`CorrectedClasses` head takes. The perceptron sees the law's estimate and what it
    leaves unexplained: of real values E[x_0 | x_t] and the noise that would then be in x_t, of
    classes their probabilities given the other columns, and x_t. Its last layer starts at zero:
    before training, the model is the law.

    Args:
        shape, sizes, components, matrices, steps: of :class:`ClosedFormDenoiser`.
        width, depth, dropout, octaves: of :class:`MLP`.
    """

    shape: Any
    sizes: Any
    components: int
    matrices: int
    steps: int
    width: int = 128
    depth: int = 2
    dropout: float = 0.0
    octaves: int = 8

    def __post_init__(self) -> None:
        super().__init__()
        counts = self.components, self.matrices, self.steps
        self.denoiser = ClosedFormDenoiser(self.shape, self.sizes, *counts)
        self.shape, self.sizes = self.denoiser.shape, self.denoiser.sizes
        size = self.width, self.depth, 1, self.dropout, self.octaves
        self.correction = MLP((2, *self.shape), *size).zero_output()

    @property
    def corrects(self) -> bool:
        """Whether the correction can be anything but zero; it is zero before training."""
        return self.correction.gives_output

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The law's two numbers for each value of x_t (B, *) at t / T (B,), and two corrections:
        (B, *, 4)."""
        first, second = self.denoiser(x, time).flatten(1, -2).unbind(-1)
        level, dims = self.denoiser.level(time.to(torch.float64)).to(x), self.denoiser.dims
        values = x.flatten(1)
        seen = values.nan_to_num()
        left = torch.where(values.isnan(), 0.0, seen - level.signal * first)[:, :dims] / level.noise
        estimate = torch.cat([first[:, :dims], first[:, dims:].exp()], 1)
        rest = torch.cat([left, seen[:, dims:]], 1)
        inputs = torch.stack([estimate, rest], 1).reshape(len(x), 2, *self.shape)
        shift, widening = self.correction(inputs.to(x), time)[..., 0].flatten(2).unbind(1)
        return torch.stack([first, second, shift, widening], -1).reshape(*x.shape, 4)
