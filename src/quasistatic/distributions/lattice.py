"""A distribution on finitely many real numbers, with one logit for each."""

__all__ = ["Lattice"]

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .moments import central_moments, exp_, fused_kernels, joint, rows_at_once, tilt_gradients
from .on_lattice import OnLattice


@dataclass(frozen=True)
class Lattice(OnLattice):
    """A scalar on finitely many real numbers: P(x = values[l]) is the softmax of logits + tilt.

    Args:
        logits: shape (B, *, L).
        values: ascending, shape (L,).
        linear: linear coefficient of the tilt, shape (B, *); None for zero.
        precision: quadratic coefficient of the tilt, shape (B, *); None for zero.
    """

    logits: Tensor
    values: Tensor
    linear: Tensor = field(default=None)  # type: ignore[assignment]
    precision: Tensor = field(default=None)  # type: ignore[assignment]

    def log_weight(self, index: Tensor) -> Tensor:
        logits = self.logits.expand(*self.shape, -1)
        return logits.gather(-1, index.expand(self.shape)[..., None])[..., 0]

    def log_weights(self) -> Tensor:
        return self.logits

    def _work_out(self) -> Tensor:
        flat = (each.flatten() for each in (self.slope, self.precision, self.pivot))
        log_Z, moments = _table_moments(self._parameters()["logits"], *flat, self.values)
        return torch.unflatten(torch.cat([log_Z[:, None], moments[:, :2]], -1), 0, self.shape)


@torch.library.custom_op("quasistatic::table_moments", mutates_args=())
def _table_moments(
    logits: Tensor, slope: Tensor, precision: Tensor, pivot: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    """The normaliser and the moments of each row, and no more, so that training holds no (N, L)
    tensor of probabilities: the backward pass computes them again.

    Args:
        logits: shape (N, L).
        slope: of the tilt at the pivot, shape (N,).
        precision: of the tilt, shape (N,).
        pivot: where deviations d are measured from, shape (N,).
        values: shape (L,).

    Returns:
        log Z, shape (N,), and E[d], Var[d] and the third and fourth central moments, shape (N, 4).
    """
    fused = fused_kernels(logits.device, len(values))
    if fused is not None:
        return fused.table_moments(logits, slope, precision, pivot, values)
    tilt = slope, precision, pivot
    log_Z, moments = logits.new_empty(len(logits)), logits.new_empty(len(logits), 4)
    n = rows_at_once(len(values), logits.device)
    for start in range(0, len(logits), n):
        rows = slice(start, start + n)
        d, log_joint = joint([each[rows] for each in tilt], values)
        log_joint += logits[rows]
        largest = log_joint.amax(-1, keepdim=True)
        weights = exp_(log_joint.sub_(largest))
        whole = weights.sum(-1, keepdim=True)
        log_Z[rows] = (whole.log() + largest)[:, 0]
        moments[rows] = central_moments(weights.div_(whole), d)[1]
    return log_Z, moments


@_table_moments.register_fake
def _(
    logits: Tensor, slope: Tensor, precision: Tensor, pivot: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    return logits.new_empty(len(logits)), logits.new_empty(len(logits), 4)


@torch.library.custom_op("quasistatic::table_gradient", mutates_args=())
def _table_gradient(
    logits: Tensor,
    slope: Tensor,
    precision: Tensor,
    pivot: Tensor,
    values: Tensor,
    log_Z: Tensor,
    moments: Tensor,
    upstream: Tensor,
) -> Tensor:
    fused = fused_kernels(logits.device, len(values))
    if fused is not None:
        return fused.table_gradient(
            logits, slope, precision, pivot, values, log_Z, moments, upstream
        )
    tilt = slope, precision, pivot
    by_logits = torch.empty_like(logits, memory_format=torch.contiguous_format)
    n = rows_at_once(len(values), logits.device)
    for start in range(0, len(logits), n):
        rows = slice(start, start + n)
        d, log_joint = joint([each[rows] for each in tilt], values)
        probs = exp_(log_joint.add_(logits[rows]).sub_(log_Z[rows, None]))
        d -= moments[rows, 0, None]
        # The derivatives of log Z, E[d] and Var[d] by a level's weight: 1, d and d^2 - Var.
        pull = upstream[rows, 2, None] * d + upstream[rows, 1, None]
        pull.mul_(d).add_((upstream[:, 0] - upstream[:, 2] * moments[:, 1])[rows, None])
        torch.mul(probs, pull, out=by_logits[rows])
    return by_logits


@_table_gradient.register_fake
def _(
    logits: Tensor,
    slope: Tensor,
    precision: Tensor,
    pivot: Tensor,
    values: Tensor,
    log_Z: Tensor,
    moments: Tensor,
    upstream: Tensor,
) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs, *output)


def _back(ctx: Any, by_log_Z: Tensor, by_moments: Tensor) -> tuple[Tensor | None, ...]:
    *inputs, log_Z, moments = ctx.saved_tensors
    upstream = torch.cat([by_log_Z[:, None], by_moments[:, :2]], -1)
    slope, precision = tilt_gradients(moments, upstream)
    by_logits = None
    if ctx.needs_input_grad[0]:
        by_logits = _table_gradient(*inputs, log_Z, moments, upstream)
    return by_logits, slope, precision, None, None


_table_moments.register_autograd(_back, setup_context=_keep)
