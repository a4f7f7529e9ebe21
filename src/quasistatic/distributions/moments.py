"""Moments of scalars on finitely many levels, a few thousand at a time, and their tilts."""

__all__ = [
    "central_moments",
    "exp_",
    "fused_kernels",
    "joint",
    "rows_at_once",
    "tilt_gradients",
]

import functools
import importlib
import importlib.util
import math
import warnings
from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

_CACHED = 1 << 18
_AT_ONCE = 1 << 25
_LARGEST_TILE = 1 << 13
"""Numbers for each scalar up to which the registers of a GPU hold them."""


def rows_at_once(width: int, device: torch.device) -> int:
    """How many scalars to process at a time: as many as fit in the cache of a CPU core, or keep an
    accelerator busy.

    Args:
        width: numbers for each scalar.
        device: where they are.

    Returns:
        At least 1.
    """
    return max(1, (_CACHED if device.type == "cpu" else _AT_ONCE) // width)


class Kernels(Protocol):
    """The functions of :mod:`.fused`."""

    def mixture_moments(
        self, learn: bool, values: Tensor, *rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]: ...

    def table_moments(
        self, logits: Tensor, slope: Tensor, precision: Tensor, pivot: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]: ...

    def table_gradient(
        self,
        logits: Tensor,
        slope: Tensor,
        precision: Tensor,
        pivot: Tensor,
        values: Tensor,
        log_Z: Tensor,
        moments: Tensor,
        upstream: Tensor,
    ) -> Tensor: ...


def fused_kernels(device: torch.device, width: int) -> Kernels | None:
    """The fused kernels where they serve: on CUDA devices where Triton works.

    Args:
        device: where the numbers are.
        width: numbers for each scalar.

    Returns:
        None where PyTorch has to do the work.
    """
    if device.type != "cuda" or width > _LARGEST_TILE:
        return None
    return _working_kernels(device)


@functools.cache
def _working_kernels(device: torch.device) -> Kernels | None:
    """The fused kernels, if they can be compiled for the device: Triton needs a C compiler too."""
    if importlib.util.find_spec("triton") is None:
        return None
    fused = cast(Kernels, importlib.import_module(".fused", __package__))
    numbers = torch.zeros(1, 2, device=device)
    try:
        fused.table_moments(numbers, numbers[:, 0], numbers[:, 0], numbers[:, 0], numbers[0])
    except Exception as error:  # a compiler that we do not own
        warnings.warn(
            f"the fused kernels for data with levels cannot be compiled here ({error!r:.200}): "
            "PyTorch does their work, several times slower",
            stacklevel=2,
        )
        return None
    return fused


def exp_(x: Tensor) -> Tensor:
    """exp(x) for x <= 0, in place; arguments below -80 are taken as -80.

    On a CPU a result below the normal range takes twenty times as long to compute.
    """
    return x.clamp_(min=-80).mul_(1 / math.log(2)).exp2_()


def joint(tilt: Sequence[Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
    """Deviations from the pivot, and the tilt there minus the tilt at the pivot.

    Args:
        tilt: the slope at the pivot, the precision and the pivot, shape (n,) each.
        values: the levels, shape (L,).

    Returns:
        Two tensors of shape (n, L).
    """
    slope, precision, pivot = (each[:, None] for each in tilt)
    d = values - pivot
    return d, (precision * d).mul_(-0.5).add_(slope).mul_(d)


def central_moments(probs: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Moments of the deviations d, in two passes, as E[d]^2 may be much larger than the variance.

    Args:
        probs: shape (n, L).
        d: shape (n, L).

    Returns:
        d - E[d], shape (n, L), and E[d] with the second, third and fourth central moments, shape
            (n, 4).
    """
    shift = (probs * d).sum(-1)
    centred = d - shift[:, None]
    square = probs * centred * centred
    third = square * centred
    moments = [shift, square.sum(-1), third.sum(-1), (third * centred).sum(-1)]
    return centred, torch.stack(moments, -1)


def tilt_gradients(moments: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients for slope and precision. log Z is the cumulant generating function of d in the
    slope, and of d^2 in -precision / 2.

    Args:
        moments: as :func:`central_moments` gives them, shape (N, 4).
        upstream: the gradients for log Z, E[d] and Var[d], shape (N, 3).

    Returns:
        The two gradients, shape (N,) each.
    """
    shift, variance, third, fourth = moments.unbind(-1)
    by_log_Z, by_shift, by_variance = upstream.unbind(-1)
    slope = by_log_Z * shift + by_shift * variance + by_variance * third
    square = by_log_Z * (variance + shift**2) + by_shift * (third + 2 * shift * variance)
    square = square + by_variance * (fourth - variance**2 + 2 * shift * third)
    return slope, -square / 2
