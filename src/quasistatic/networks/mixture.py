r"""A mixture of normals as a denoiser in closed form, and a network that stands on one."""

__all__ = ["MixtureDenoiser", "MixtureMLP"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .mlp import MLP

LARGEST = 2**21
"""Elements of the largest table over examples, components and values: more go in pieces."""


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
        components: K.
        steps: T of the schedule.
        bases: how many sets of eigenvectors there are: K, or 1 if all components share them.

    The mixture starts as one standard normal, K times over; :meth:`start_at` gives it its law. It
    has no weights to train: its numbers are buffers, which are saved with a model.
    """

    shape: Any
    components: int
    steps: int
    bases: int = 1

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        K, D = self.components, math.prod(self.shape)
        if self.bases not in (1, K):
            raise ValueError(f"{K} components have 1 basis or {K}, got bases={self.bases}")
        self.log_weight: Tensor
        self.mean: Tensor
        self.variance: Tensor
        self.basis: Tensor
        self.log_snr: Tensor
        self.register_buffer("log_weight", torch.full((K,), -math.log(K)))
        self.register_buffer("mean", torch.zeros(K, D))
        self.register_buffer("variance", torch.ones(K, D))
        self.register_buffer("basis", torch.eye(D).repeat(self.bases, 1, 1))
        self.register_buffer("log_snr", torch.zeros(self.steps))

    def start_at(
        self, weight: Tensor, mean: Tensor, variance: Tensor, basis: Tensor, log_snr: Tensor
    ) -> "MixtureDenoiser":
        """Takes the law of x_0 and the schedule.

        Args:
            weight: of the components, with shape (K,), summing to 1.
            mean: m_k, with shape (K, D).
            variance: lambda_k, the variances along the eigenvectors, with shape (K, D).
            basis: U_k, with eigenvectors as columns, (bases, D, D).
            log_snr: of the times 1..T, with shape (T,).

        Raises:
            ValueError: if a shape is another, or a weight or a variance is not positive.
        """
        given = {
            "log_weight": torch.as_tensor(weight).log(),
            "mean": torch.as_tensor(mean),
            "variance": torch.as_tensor(variance),
            "basis": torch.as_tensor(basis),
            "log_snr": torch.as_tensor(log_snr),
        }
        for name, value in given.items():
            buffer = getattr(self, name)
            if value.shape != buffer.shape or not value.isfinite().all():
                raise ValueError(
                    f"{name} must be finite and have shape {tuple(buffer.shape)}, got "
                    f"{tuple(value.shape)}"
                )
            buffer.copy_(value)
        if not (self.variance > 0).all():
            raise ValueError(f"variances must be positive, got {self.variance.min().item():g}")
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
        """log p(x_0) of x_0 (B, *), with shape (B,), in nats."""
        flat = x_0.flatten(1)
        one = torch.ones_like(flat[:, :1])
        return torch.cat(
            [self._joint(*p)[0].logsumexp(0) for p in self._pieces(flat, one, 0 * one)]
        )

    def _joint(self, x: Tensor, signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log w_k + log p(x | k), (K, B); U_k' (x - signal m_k) and v_k, both (K, B, D)."""
        off = (x - signal * self.mean[:, None]) @ self.basis
        spread = signal**2 * self.variance[:, None] + noise**2
        square = (off**2 / spread + (2 * math.pi * spread).log()).sum(-1)
        return self.log_weight[:, None] - square / 2, off, spread

    def _moments(self, x: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        log_joint, off, spread = self._joint(x, signal, noise)
        share = log_joint.softmax(0)[..., None]
        ratio = self.variance[:, None] / spread
        turned = self.basis.transpose(1, 2)
        mean = self.mean[:, None] + (signal * ratio * off) @ turned
        within = (noise**2 * ratio) @ turned**2
        whole = (share * mean).sum(0)
        variance = (share * (within + (mean - whole) ** 2)).sum(0)
        return torch.stack([whole, variance], -1)

    def _pieces(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        rows = max(1, LARGEST // self.mean.numel())
        return list(zip(*(tensor.split(rows) for tensor in tensors), strict=True))


@dataclass(eq=False)
class MixtureMLP(nn.Module):
    r"""A mixture's word on x_0, and a multilayer perceptron's word on how far off that is: what the
    :class:`Corrected` head takes, (B, *, 4).

    The perceptron sees E[x_0 | x_t] under the mixture and the noise that would then be in x_t, and
    its read-out starts at zero: before training, the model is the mixture.

    Args:
        shape, components, steps, bases: of :class:`MixtureDenoiser`.
        width, depth, dropout, octaves: of :class:`MLP`.
    """

    shape: Any
    components: int
    steps: int
    bases: int = 1
    width: int = 128
    depth: int = 2
    dropout: float = 0.0
    octaves: int = 8

    def __post_init__(self) -> None:
        super().__init__()
        self.mixture = MixtureDenoiser(self.shape, self.components, self.steps, self.bases)
        self.shape = self.mixture.shape
        self.correction = MLP(
            (2, *self.shape), self.width, self.depth, 1, self.dropout, self.octaves
        )
        nn.init.zeros_(self.correction.read_out.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """E[x_0 | x_t] and Var[x_0 | x_t] under the mixture, the shift of the mean in deviations
        and the change of the log-variance: (B, *, 4)."""
        known = self.uncorrected(x, time)
        signal, noise = (self._beside(x, each) for each in self.mixture.scales(time))
        clean = known[..., 0]
        seen = torch.stack([clean, (x - signal * clean) / noise], 1)
        shift, widening = self.correction(seen, time)[..., 0].unbind(1)
        return torch.stack([clean, known[..., 1], shift, widening], -1)

    def uncorrected(self, x: Tensor, time: Tensor) -> Tensor:
        """The same with no correction, from which it differs in the last two numbers."""
        known = self.mixture(x, time)
        return torch.cat([known, torch.zeros_like(known)], -1)

    @staticmethod
    def _beside(x: Tensor, scale: Tensor) -> Tensor:
        return scale.reshape(-1, *[1] * (x.ndim - 1))
