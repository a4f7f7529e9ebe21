"""A mixture of discretised logistics: a law on hundreds of levels from a few numbers (SKCK17 Eq.
2).

With u = sigmoid and an edge at z = (edge - loc) / scale, a cell between the edges a < b has the
mass u(b) - u(a) = u(b) u(-a) (1 - exp(a - b)), a product in which no digits cancel. Its logarithm
is log(1 - exp(a - b)) - relu(a) - relu(-b), exact where the edges are far, plus the logarithm of
one factor 1 / (1 + exp(-|z|)) for each edge, between a half and one.
"""

__all__ = ["LogisticMixture"]

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .moments import central_moments, exp_, fused_kernels, joint, rows_at_once, tilt_gradients
from .on_lattice import OnLattice


@dataclass(frozen=True)
class LogisticMixture(OnLattice):
    """The mass that a mixture of K logistics gives to the cell around each level. The outer cells
    reach to infinity (SKCK17 Eq. 2).

    Args:
        logits: of the mixture weights, shape (B, *, K).
        loc: shape (B, *, K), in the units of `values`.
        log_scale: shape (B, *, K), the logarithm of the scale in the units of `values`.
        values: the levels, ascending and evenly spaced, shape (L,).
        linear: linear coefficient of the tilt, shape (B, *); None for zero.
        precision: quadratic coefficient of the tilt, shape (B, *); None for zero.
    """

    logits: Tensor
    loc: Tensor
    log_scale: Tensor
    values: Tensor
    linear: Tensor = field(default=None)  # type: ignore[assignment]
    precision: Tensor = field(default=None)  # type: ignore[assignment]

    def log_weight(self, index: Tensor) -> Tensor:
        return self._log_weight(index.expand(self.shape)[..., None])[..., 0]

    def log_weights(self) -> Tensor:
        return self._log_weight(torch.arange(len(self.values), device=self.values.device))

    def _log_weight(self, index: Tensor) -> Tensor:
        """log w at the levels `index` (B, *, M) of each scalar, shape (B, *, M)."""
        last, index = len(self.values) - 1, index[..., None]
        edges, width = _edges(self.values), self.values[1] - self.values[0]
        per_scale = (-self.log_scale).exp()[..., None, :]
        low = (edges[(index - 1).clamp(min=0)] - self.loc[..., None, :]) * per_scale
        high = (edges[index.clamp(max=last - 1)] - self.loc[..., None, :]) * per_scale
        inner = (-torch.expm1(-width * per_scale)).log()
        above = torch.where(index > 0, F.logsigmoid(-low), 0.0)
        below = torch.where(index < last, F.logsigmoid(high), 0.0)
        each = above + below + torch.where((index > 0) & (index < last), inner, 0.0)
        return (self.logits.log_softmax(-1)[..., None, :] + each).logsumexp(-1)

    def _work_out(self) -> Tensor:
        each = self._parameters()
        parameters = [each["logits"].log_softmax(-1), each["loc"], each["log_scale"]]
        tilt = [each.flatten() for each in (self.slope, self.precision, self.pivot)]
        learn = torch.is_grad_enabled() and any(each.requires_grad for each in parameters)
        log_Z, moments, _ = _mixture_moments(learn, self.values, *parameters, *tilt)
        return torch.unflatten(torch.cat([log_Z[:, None], moments[:, :2]], -1), 0, self.shape)


@torch.library.custom_op("quasistatic::mixture_moments", mutates_args=())
def _mixture_moments(
    learn: bool,
    values: Tensor,
    share: Tensor,
    loc: Tensor,
    log_scale: Tensor,
    slope: Tensor,
    precision: Tensor,
    pivot: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The normaliser, the moments and, if `learn`, their derivatives. Each depends on 3 K numbers
    only, so the derivatives are computed while the (n, K, L) tensors exist, and these are not kept.

    Args:
        learn: whether derivatives are needed.
        values: the levels, shape (L,).
        share: the logarithms of the mixture weights, shape (N, K).
        loc: shape (N, K).
        log_scale: shape (N, K).
        slope: of the tilt at the pivot, shape (N,).
        precision: of the tilt, shape (N,).
        pivot: where deviations d are measured from, shape (N,).

    Returns:
        log Z, shape (N,); E[d], Var[d] and two more central moments, shape (N, 4); and the
            derivatives by log-weight, loc and log-scale, shape (N, 3, K, 3) or (0, 3, K, 3).
    """
    fused = fused_kernels(share.device, len(values) * share.shape[1])
    if fused is not None:
        return fused.mixture_moments(learn, values, share, loc, log_scale, slope, precision, pivot)
    return _reference_moments(learn, values, share, loc, log_scale, slope, precision, pivot)


def _reference_moments(
    learn: bool,
    values: Tensor,
    share: Tensor,
    loc: Tensor,
    log_scale: Tensor,
    slope: Tensor,
    precision: Tensor,
    pivot: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`_mixture_moments` in PyTorch, a part of the rows at a time."""
    inputs = share, loc, log_scale, slope, precision, pivot
    like, (count, k), levels = inputs[0], inputs[0].shape, len(values)
    log_Z, moments = like.new_empty(count), like.new_empty(count, 4)
    jacobian = like.new_empty(count if learn else 0, 3, k, 3)
    n = rows_at_once(levels * k, like.device)
    edge_room = like.new_empty(2, min(n, count), k, levels - 1)
    room = like.new_empty(2, min(n, count), k, levels)
    for start in range(0, count, n):
        rows = slice(start, start + n)
        share, loc, log_scale, *tilt = (each[rows] for each in inputs)
        d, log_tilt = joint(tilt, values)
        cells = _Cells(loc, log_scale, values, edge_room[:, : len(d)], room[:, : len(d)])
        log_Z[rows] = cells.weigh(share, log_tilt)
        centred, moments[rows] = central_moments(cells.mass.sum(1), d)
        if learn:
            jacobian[rows] = cells.jacobian(centred, moments[rows, 1])
    return log_Z, moments, jacobian


@_mixture_moments.register_fake
def _(
    learn: bool,
    values: Tensor,
    share: Tensor,
    loc: Tensor,
    log_scale: Tensor,
    slope: Tensor,
    precision: Tensor,
    pivot: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    count, k = share.shape
    jacobian = share.new_empty(count if learn else 0, 3, k, 3)
    return share.new_empty(count), share.new_empty(count, 4), jacobian


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*output[1:])


def _back(ctx: Any, by_log_Z: Tensor, by_moments: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    moments, jacobian = ctx.saved_tensors
    upstream = torch.cat([by_log_Z[:, None], by_moments[:, :2]], -1)
    slope, precision = tilt_gradients(moments, upstream)
    by_parameters: tuple[Tensor | None, ...] = (None, None, None)
    if len(jacobian):
        by_parameters = (jacobian @ upstream[:, None, :, None])[..., 0].unbind(1)
    return None, None, *by_parameters, slope, precision, None


_mixture_moments.register_autograd(_back, setup_context=_keep)


def _edges(values: Tensor) -> Tensor:
    """The inner edges of the cells, shape (L - 1,)."""
    return (values[1:] + values[:-1]) / 2


class _Cells:
    """The cells of n scalars. It works in buffers that the caller allocates once: two of shape (n,
    K, L - 1) for the edges and two of shape (n, K, L) for the cells. Allocating them for each chunk
    of scalars would take as long as the computation."""

    def __init__(
        self, loc: Tensor, log_scale: Tensor, values: Tensor, edge_room: Tensor, room: Tensor
    ) -> None:
        self.per_scale = (-log_scale).exp()[..., None]
        self.width = (values[1] - values[0]) * self.per_scale
        (self.z, self.near), (self.mass, self.room) = edge_room, room
        torch.sub(_edges(values), loc[..., None], out=self.z).mul_(self.per_scale)
        exp_(torch.abs(self.z, out=self.near).neg_()).add_(1).reciprocal_()  # sigmoid(|z|)

    def weigh(self, share: Tensor, log_tilt: Tensor) -> Tensor:
        """Sets `mass` to the weight of each component and level, normalised over both, and returns
        the logarithm of the normaliser, shape (n,)."""
        fall = self.mass  # first relu(a) + relu(-b) - log(1 - exp(a - b)), then the mass
        torch.clamp(self.z, min=0, out=fall[..., 1:])
        fall[..., 0] = 0
        fall[..., :-1].add_(torch.sub(fall[..., 1:], self.z, out=self.room[..., 1:]))
        fall[..., 1:-1].sub_((-torch.expm1(-self.width)).log())
        torch.sub(log_tilt[:, None], fall, out=self.mass).add_(share[..., None])
        largest = self.mass.amax((1, 2), keepdim=True)
        exp_(self.mass.sub_(largest))
        self.mass[..., 1:].mul_(self.near)
        self.mass[..., :-1].mul_(self.near)
        whole = self.mass.sum((1, 2), keepdim=True)
        self.mass.div_(whole)
        found: Tensor = (whole.log() + largest)[:, 0, 0]
        return found

    def jacobian(self, centred: Tensor, variance: Tensor) -> Tensor:
        """The derivatives of (log Z, E[d], Var[d]) by log-weight, loc and log-scale. Overwrites the
        buffers.

        With tau = tanh(z / 2) at the edges a and b of a cell, the derivative of log mass is (tau_a
        + tau_b) / 2 by loc, in units of the scale, and (a tau_a + b tau_b) / 2 - (h / 2) coth(h /
        2), h = b - a, by the logarithm of the scale. An open end has tau = -1 or 1, and no h.

        Args:
            centred: d - E[d], shape (n, L).
            variance: Var[d], shape (n,).

        Returns:
            Shape (n, 3, K, 3).
        """
        square = centred**2 - variance[:, None]
        pulls = torch.stack([torch.ones_like(centred), centred, square], 1).mT
        z, tau, moved = self.z, self.near.mul_(2).sub_(1).copysign_(self.z), self.room
        by_share = torch.bmm(self.mass, pulls)

        torch.add(tau[..., :-1], tau[..., 1:], out=moved[..., 1:-1])
        moved[..., 0], moved[..., -1] = tau[..., 0] - 1, tau[..., -1] + 1
        by_loc = torch.bmm(moved.mul_(self.mass), pulls).mul_(self.per_scale)

        half = self.width / 2
        tau.mul_(z)
        torch.add(tau[..., :-1], tau[..., 1:], out=moved[..., 1:-1])
        moved[..., 1:-1].sub_(2 * half / half.tanh())
        moved[..., 0], moved[..., -1] = tau[..., 0] - z[..., 0], tau[..., -1] + z[..., -1]
        by_scale = torch.bmm(moved.mul_(self.mass), pulls)
        return torch.stack([by_share, by_loc / 2, by_scale / 2], 1)
