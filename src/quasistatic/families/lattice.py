"""A free table of probabilities for each scalar."""

__all__ = ["Lattice"]

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .moments import central_moments, exp_, joint, rows_at_once, tilt_gradients
from .on_lattice import OnLattice


@dataclass(frozen=True)
class Lattice(OnLattice):
    """A scalar on finitely many reals: P(x = values[l]) is the softmax of logits (B, *, L), and
    of the tilt where there is one."""

    logits: Tensor
    values: Tensor
    linear: Tensor = field(default=None)  # type: ignore[assignment]
    precision: Tensor = field(default=None)  # type: ignore[assignment]

    def log_weight(self, index: Tensor) -> Tensor:
        logits = self.logits.expand(*self.shape, -1)
        return logits.gather(-1, index.expand(self.shape)[..., None])[..., 0]

    def log_weights(self) -> Tensor:
        return self.logits

    @cached_property
    def _moments(self) -> Tensor:
        flat = (each.flatten() for each in (self.slope, self.precision, self.pivot))
        moments = _TableMoments.apply(self._parameters()["logits"], *flat, self.values)
        return moments.unflatten(0, self.shape)


class _TableMoments(torch.autograd.Function):
    """Logits (N, L), slope, precision and pivot (N,) and values (L,) to (log Z, E[d], Var[d]),
    (N, 3). The probabilities are made again for the gradient and never held."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, *tilt_and_values: Tensor) -> Tensor:
        *tilt, values = tilt_and_values
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
        ctx.save_for_backward(logits, *tilt, values, log_Z, moments)
        return torch.stack([log_Z, moments[:, 0], moments[:, 1]], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        logits, *tilt, values, log_Z, moments = ctx.saved_tensors
        slope, precision = tilt_gradients(moments, upstream)
        if not ctx.needs_input_grad[0]:
            return None, slope, precision, None, None
        by_logits = torch.empty_like(logits, memory_format=torch.contiguous_format)
        n = rows_at_once(len(values), logits.device)
        for start in range(0, len(logits), n):
            rows = slice(start, start + n)
            d, log_joint = joint([each[rows] for each in tilt], values)
            probs = exp_(log_joint.add_(logits[rows]).sub_(log_Z[rows, None]))
            d -= moments[rows, 0, None]
            # How each level moves log Z, E[d] and Var[d]: by 1, by d and by d^2 - Var.
            pull = upstream[rows, 2, None] * d + upstream[rows, 1, None]
            pull.mul_(d).add_((upstream[:, 0] - upstream[:, 2] * moments[:, 1])[rows, None])
            torch.mul(probs, pull, out=by_logits[rows])
        return by_logits, slope, precision, None, None
