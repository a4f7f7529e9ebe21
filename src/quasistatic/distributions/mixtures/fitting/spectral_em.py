"""Expectation maximisation of a spectral law, whose components are independent coefficients."""

__all__ = ["PRIOR_COUNT", "CoefficientRows", "directed"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cosine_basis import CosineBasis
from ..mixture import Mixture
from ..spectral_block import SpectralBlock
from .groups import Groups

PRIOR_COUNT = 10.0
"""A component's spectrum is drawn to the common one, at its own scale, with the weight of so many
examples."""

ENOUGH = 2e-5
"""The gain of a round, in nats a value, below which expectation maximisation stops."""

AT_ONCE = 2**21
"""Numbers of the examples that are converted to float64 at once."""


@dataclass(frozen=True, eq=False)
class CoefficientRows:
    """Examples as coefficients.

    Args:
        basis: of the coefficients.
        center: the mean example, with shape (D,).
        z: the coefficients of the examples without their mean, with shape (N, D).
        common: the variance of each coefficient, with shape (D,).
        floor: the least variance.
        seed: of the groups.
    """

    basis: CosineBasis
    center: Tensor
    z: Tensor
    common: Tensor
    floor: float
    seed: int

    def law(self, components: int, groups: Groups, rounds: int) -> Mixture:
        """What so many rounds of expectation maximisation find."""
        count = min(components, len(self.z))
        labels = torch.zeros(len(self.z), dtype=torch.long, device=self.z.device)
        if count > 1:
            labels = groups.labels(self.z, self.common, count, self.seed)
        share = torch.nn.functional.one_hot(labels, count).to(self.z)
        found = _maximised(self.z, share, self.common, self.floor, rounds)
        log_weight, mean, variance = (each.to(self.z) for each in found)
        mean = self.basis.turn(self.center) + mean
        return Mixture(log_weight, (SpectralBlock(self.basis, mean, variance),))


def directed(x: Tensor, basis: CosineBasis) -> CosineBasis:
    """The basis whose directions are, for each frequency, the principal ones of examples x (N, D)
    without their mean."""
    z = basis.turn(x).reshape(len(x), basis.channels, basis.frequencies).permute(2, 0, 1)
    covariance = torch.bmm(z.mT, z).double() / len(x)
    # Where all directions are alike, the axes themselves.
    tiny = 1e-9 * covariance.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-30)
    order = torch.arange(basis.channels, dtype=torch.float64, device=x.device)
    covariance = covariance + torch.diag(tiny * order / basis.channels)
    return CosineBasis(basis.shape, basis.axes, torch.linalg.eigh(covariance)[1].to(x))


def _maximised(
    z: Tensor, share: Tensor, common: Tensor, floor: float, rounds: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-weights (K,), means and variances (K, D) of coefficients z (N, D), from shares (N, K)."""
    before, found = -math.inf, _likeliest(_sums(z, share), len(z), common, floor)
    if share.shape[1] == 1:
        return found
    for _ in range(rounds):
        sums, now = _expected(z, *found)
        found = _likeliest(sums, len(z), common, floor)
        if now - before < ENOUGH * z.numel():
            break
        before = now
    return found


_Sums = tuple[Tensor, Tensor, Tensor]
"""The count (K,) of each component, and the sums (K, D) of its values and of their squares."""


def _sums(z: Tensor, share: Tensor) -> _Sums:
    return share.sum(0).double(), (share.T @ z).double(), (share.T @ z.square()).double()


def _likeliest(
    sums: Sequence[Tensor], n: int, common: Tensor, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The parameters that maximise the penalised likelihood."""
    count, first, second = sums[0][:, None], sums[1], sums[2]
    mean = first / (count + PRIOR_COUNT)
    square = second / count.clamp_min(1e-6)
    scale = (square / common).mean(1, keepdim=True)
    shrunk = (count * square + PRIOR_COUNT * scale * common) / (count + PRIOR_COUNT)
    variance = (shrunk - mean.square() * count / (count + PRIOR_COUNT)).clamp_min(floor)
    log_weight = ((sums[0] + 1) / (n + len(sums[0]))).log()
    return log_weight.to(common), mean.to(common), variance.to(common)


def _expected(z: Tensor, log_weight: Tensor, mean: Tensor, variance: Tensor) -> tuple[_Sums, float]:
    """The sums of each component by the shares that a law gives, and the sum of log p."""
    block = SpectralBlock.log_p_of_coefficients
    total, log_p = None, 0.0
    for some in torch.split(z, max(1, AT_ONCE // z.shape[1])):
        joint = log_weight.double() + block(some, mean, variance).T
        log_p += joint.logsumexp(1).sum().item()
        found = _sums(some, joint.softmax(1).to(z))
        total = found if total is None else _added(total, found)
    assert total is not None  # there is at least one example
    return total, log_p


def _added(a: _Sums, b: _Sums) -> _Sums:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
