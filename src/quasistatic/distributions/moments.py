r"""Moments of scalars on levels, a few thousand at a time, and what a tilt does to them."""

__all__ = ["central_moments", "exp_", "joint", "rows_at_once", "tilt_gradients"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_CACHED = 1 << 18
_AT_ONCE = 1 << 25


def rows_at_once(width: int, device: torch.device) -> int:
    """How many scalars of `width` numbers each to work on at a time: as many as fit the cache of
    a core, or keep an accelerator busy."""
    return max(1, (_CACHED if device.type == "cpu" else _AT_ONCE) // width)


def exp_(x: Tensor) -> Tensor:
    """exp(x) for x <= 0, in place, where anything less than e^-80 is as good as that: on a CPU a
    numeric underflow takes twenty times as long."""
    return x.clamp_(min=-80).mul_(1 / math.log(2)).exp2_()


def joint(tilt: Sequence[Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
    """The levels from the pivot, and the tilt there less the tilt at the pivot, both (n, L), of a
    tilt with the slope, the precision and the pivot (n,) each."""
    slope, precision, pivot = (each[:, None] for each in tilt)
    d = values - pivot
    return d, (precision * d).mul_(-0.5).add_(slope).mul_(d)


def central_moments(probs: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """The deviations d - E[d] with shape (n, L); E[d] and the second, third and fourth central
    moment, stacked: (n, 4). Two passes, as the square of E[d] may dwarf the variance."""
    shift = (probs * d).sum(-1)
    centred = d - shift[:, None]
    square = probs * centred * centred
    third = square * centred
    moments = [shift, square.sum(-1), third.sum(-1), (third * centred).sum(-1)]
    return centred, torch.stack(moments, -1)


def tilt_gradients(moments: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients for slope and precision, (N,), from those for (log Z, E[d], Var[d]), (N, 3):
    log Z is the cumulant generator of d in the slope, and in -precision / 2 that of d^2."""
    shift, variance, third, fourth = moments.unbind(-1)
    by_log_Z, by_shift, by_variance = upstream.unbind(-1)
    slope = by_log_Z * shift + by_shift * variance + by_variance * third
    square = by_log_Z * (variance + shift**2) + by_shift * (third + 2 * shift * variance)
    square = square + by_variance * (fourth - variance**2 + 2 * shift * third)
    return slope, -square / 2
