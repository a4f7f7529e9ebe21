r"""A mixture of normals as a denoiser in closed form, and a network that stands on one."""

__all__ = ["MixtureDenoiser", "MixtureMLP"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..distributions.mixtures.components import Part
from .mlp import MLP

LARGEST = 2**20
"""Elements of the largest table over examples, components and values: more go in pieces."""


class _Held(nn.Module):
    """The numbers of a part as buffers; a standard normal until they are filled."""

    log_weight: Tensor
    mean: Tensor
    variance: Tensor
    basis: Tensor

    def __init__(self, components: int, bases: int, dims: int, share: float) -> None:
        super().__init__()
        log_weight = torch.full((components,), math.log(share / components))
        self.register_buffer("log_weight", log_weight)
        self.register_buffer("mean", torch.zeros(components, dims))
        self.register_buffer("variance", torch.ones(components, dims))
        self.register_buffer("basis", torch.eye(dims).repeat(bases, 1, 1))

    @property
    def part(self) -> Part:
        return Part(self.log_weight, self.mean, self.variance, self.basis)

    def fill(self, part: Part) -> None:
        for name in ("log_weight", "mean", "variance", "basis"):
            _fill(getattr(self, name), getattr(part, name), name)
        if not (self.variance > 0).all():
            raise ValueError(f"variances must be positive, got {self.variance.min().item():g}")


@dataclass(eq=False)
class MixtureDenoiser(nn.Module):
    r"""E[x_0 | x_t] and Var[x_0 | x_t] if x_0 has the law sum_k w_k N(m_k, C_k), exactly.

    With C_k = U_k diag(lambda_k) U_k' and x_t = signal x_0 + noise eps, component k gives x_t the
    law N(signal m_k, U_k diag(v_k) U_k') where v_k = signal^2 lambda_k + noise^2, and x_0

        mean_k  = m_k + U_k (signal lambda_k / v_k) U_k' (x_t - signal m_k)
        cov_k   = U_k diag(noise^2 lambda_k / v_k) U_k'.

    Their mixture by the components' shares given x_t has the mean sum_k share_k mean_k, and its
    variance is that within components and that between them. The eigenvectors serve every t.

    Args:
        shape: the shape of one example; a whole number means one axis. It has D values.
        parts: for each part of the mixture, how many components it has, and how many sets of
            eigenvectors: as many, or 1 that all of the part share.
        steps: T of the schedule.

    It starts as a standard normal; :meth:`start_at` gives it its law. It has no weights to train:
    its numbers are buffers, which are saved with a model.
    """

    shape: Any
    parts: Any
    steps: int

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        self.parts = tuple((int(count), int(bases)) for count, bases in self.parts)
        if not self.parts or any(bases not in (1, count) for count, bases in self.parts):
            raise ValueError(
                f"parts are pairs (components, bases) with 1 basis or one a component, got "
                f"{self.parts}"
            )
        dims = math.prod(self.shape)
        share = 1 / len(self.parts)
        self.held = nn.ModuleList(_Held(k, bases, dims, share) for k, bases in self.parts)
        self.log_snr: Tensor
        self.register_buffer("log_snr", torch.zeros(self.steps))

    @property
    def law(self) -> list[Part]:
        """The mixture, part by part."""
        return [held.part for held in self.held]  # type: ignore[misc]

    def start_at(self, law: Sequence[Part], log_snr: Tensor) -> "MixtureDenoiser":
        """Takes the law of x_0, one :class:`Part` for each of `parts`, and the log-SNR of the
        times 1..T, with shape (T,).

        Raises:
            ValueError: if a shape is another, or a variance is not positive.
        """
        _fill(self.log_snr, log_snr, "log_snr")
        for held, part in zip(self.held, law, strict=True):
            held.fill(part)  # type: ignore[operator]
        return self

    def scales(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """signal and noise at t / T (B,), each (B, 1)."""
        log_snr = self.log_snr[(time * self.steps).round().long() - 1, None]
        return (log_snr.sigmoid()).sqrt(), ((-log_snr).sigmoid()).sqrt()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """E[x_0 | x_t] and Var[x_0 | x_t] for x_t (B, *) and t / T (B,): (B, *, 2)."""
        flat = x.flatten(1)
        pieces = self._pieces(flat, *self.scales(time.to(self.log_snr)))
        return torch.cat([self._moments(*piece) for piece in pieces]).reshape(*x.shape, 2)

    def log_prob(self, x_0: Tensor) -> Tensor:
        """log p(x_0) of x_0 (B, *), with shape (B,), in nats, computed in its type."""
        flat = x_0.flatten(1)
        one = torch.ones_like(flat[:, :1])
        found = []
        for piece in self._pieces(flat, one, 0 * one):
            joint = torch.cat([part.to(x_0).joint(*piece)[0] for part in self.law])
            found.append(joint.logsumexp(0))
        return torch.cat(found)

    def _moments(self, x: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        told = [part.joint(x, signal, noise) for part in self.law]
        log_all = torch.cat([joint for joint, _, _ in told]).logsumexp(0)
        shares = [(joint - log_all).exp()[..., None] for joint, _, _ in told]
        each = [
            part.moments(off, spread, signal, noise)
            for part, (_, off, spread) in zip(self.law, told, strict=True)
        ]
        whole = torch.zeros_like(x)
        for share, (mean, _) in zip(shares, each, strict=True):
            whole = whole + (share * mean).sum(0)
        # About the mean, for at high SNR the variance has none of the mean square's digits.
        variance = torch.zeros_like(x)
        for share, (mean, within) in zip(shares, each, strict=True):
            variance = variance + (share * (within + (mean - whole) ** 2)).sum(0)
        return torch.stack([whole, variance], -1)

    def _pieces(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        numbers = sum(part.mean.numel() for part in self.law)
        rows = max(1, LARGEST // numbers)
        return list(zip(*(tensor.split(rows) for tensor in tensors), strict=True))


def _fill(buffer: Tensor, value: Any, name: str) -> None:
    value = torch.as_tensor(value)
    if value.shape != buffer.shape or not value.isfinite().all():
        raise ValueError(
            f"{name} must be finite and have shape {tuple(buffer.shape)}, got {tuple(value.shape)}"
        )
    buffer.copy_(value)


@dataclass(eq=False)
class MixtureMLP(nn.Module):
    r"""A mixture's word on x_0, and a multilayer perceptron's word on how far off that is: what the
    :class:`Corrected` head takes, (B, *, 4).

    The perceptron sees E[x_0 | x_t] under the mixture and the noise that would then be in x_t, and
    its read-out starts at zero: before training, the model is the mixture.

    Args:
        shape, parts, steps: of :class:`MixtureDenoiser`.
        width, depth, dropout, octaves: of :class:`MLP`.
    """

    shape: Any
    parts: Any
    steps: int
    width: int = 128
    depth: int = 2
    dropout: float = 0.0
    octaves: int = 8

    def __post_init__(self) -> None:
        super().__init__()
        self.mixture = MixtureDenoiser(self.shape, self.parts, self.steps)
        self.shape, self.parts = self.mixture.shape, self.mixture.parts
        size = self.width, self.depth, 1, self.dropout, self.octaves
        self.correction = MLP((2, *self.shape), *size).silenced()

    @property
    def speaks(self) -> bool:
        """Whether it corrects anything: not before training."""
        return self.correction.speaks

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """E[x_0 | x_t] and Var[x_0 | x_t] under the mixture, the shift of the mean in deviations
        and the change of the log-variance: (B, *, 4)."""
        mean, variance = self.mixture(x, time).unbind(-1)
        return torch.stack([mean, variance, *self.corrections(x, time, mean)], -1)

    def corrections(self, x: Tensor, time: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be changed where the mixture says that mean: two tensors (B, *)."""
        signal, noise = (
            each.reshape(-1, *[1] * (x.ndim - 1)) for each in self.mixture.scales(time)
        )
        seen = torch.stack([mean, (x - signal * mean) / noise], 1)
        shift, widening = self.correction(seen, time)[..., 0].unbind(1)
        return shift, widening
