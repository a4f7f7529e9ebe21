"""The moments of laws on levels as one Triton kernel each, for CUDA devices.

A scalar with 256 levels depends on a few numbers, and its moments are a few numbers. What lies
between them, the weight of every level, stays in the registers of the program that processes the
scalar. The functions agree with those of :mod:`.logistic` and :mod:`.lattice`, which are the
reference; import this module only where Triton is installed.
"""

__all__ = ["mixture_moments", "table_gradient", "table_moments"]

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

PER_THREAD = 8
"""Cells of a tile that one thread holds."""


@triton.jit
def _moments(weight, d, axis: tl.constexpr):
    """E[d], d - E[d] and three central moments along an axis, in two passes."""
    shift = tl.sum(weight * d, axis)
    centred = d - shift
    square = weight * centred * centred
    return (
        shift,
        centred,
        tl.sum(square, axis),
        tl.sum(square * centred, axis),
        tl.sum(square * centred * centred, axis),
    )


@triton.jit
def _mixture_kernel(
    values, share, loc, per_scale, inner, slope_of_width, slope, precision, pivot,
    log_Z, moments, jacobian,
    K: tl.constexpr, L: tl.constexpr, K_PADDED: tl.constexpr, L_PADDED: tl.constexpr,
    LEARN: tl.constexpr,
):  # fmt: skip
    """One scalar: K logistics on L levels, as a tile (K, L) of registers."""
    row = tl.program_id(0).to(tl.int64)
    k, level = tl.arange(0, K_PADDED), tl.arange(0, L_PADDED)
    real_k, real = k < K, level < L
    place = row * K + k
    centre = tl.load(loc + place, mask=real_k, other=0.0)[:, None]
    sharp = tl.load(per_scale + place, mask=real_k, other=1.0)[:, None]
    log_inner = tl.load(inner + place, mask=real_k, other=0.0)[:, None]
    log_share = tl.load(share + place, mask=real_k, other=float("-inf"))[:, None]
    value = tl.load(values + level, mask=real, other=0.0)
    half = (tl.load(values + 1) - tl.load(values)) / 2
    d = value - tl.load(pivot + row)
    tilt = (tl.load(slope + row) - 0.5 * tl.load(precision + row) * d) * d

    low, high = (value[None, :] - half - centre) * sharp, (value[None, :] + half - centre) * sharp
    first, last = (level == 0)[None, :], (level == L - 1)[None, :]
    # An open end has the logistic function 1 there, and no edge that could move.
    near_low = 1 / (1 + tl.exp(-tl.abs(low)))
    near_high = 1 / (1 + tl.exp(-tl.abs(high)))
    above = tl.where(first, 0.0, tl.log(near_low) - tl.maximum(low, 0.0))
    below = tl.where(last, 0.0, tl.log(near_high) - tl.maximum(-high, 0.0))
    log_mass = above + below + tl.where(first | last, 0.0, log_inner) + log_share + tilt[None, :]
    log_mass = tl.where(real_k[:, None] & real[None, :], log_mass, float("-inf"))
    largest = tl.max(tl.max(log_mass, 1), 0)
    mass = tl.exp(log_mass - largest)
    whole = tl.sum(tl.sum(mass, 1), 0)
    mass = mass / whole
    tl.store(log_Z + row, tl.log(whole) + largest)

    d = tl.where(real, d, 0.0)
    shift, centred, second, third, fourth = _moments(tl.sum(mass, 0), d, 0)
    tl.store(moments + row * 4, shift)
    tl.store(moments + row * 4 + 1, second)
    tl.store(moments + row * 4 + 2, third)
    tl.store(moments + row * 4 + 3, fourth)
    if LEARN:
        # The derivatives of log Z, E[d] and Var[d] by a level's weight: 1, d and d^2 - Var.
        linear = tl.where(real, centred, 0.0)[None, :]
        square = linear * linear - second
        tau_low = tl.where(low < 0, 1 - 2 * near_low, 2 * near_low - 1)
        tau_high = tl.where(high < 0, 1 - 2 * near_high, 2 * near_high - 1)
        from_low, from_high = tl.where(first, -1.0, tau_low), tl.where(last, 1.0, tau_high)
        width = tl.load(slope_of_width + place, mask=real_k, other=0.0)[:, None]
        by_loc = mass * (from_low + from_high) * (sharp / 2)
        end = tl.where(first, high * (tau_high - 1), low * (tau_low + 1))
        by_scale = tl.where(
            first | last, end, low * tau_low + high * tau_high - width
        ) * (mass / 2)  # fmt: skip
        out = jacobian + row * (9 * K) + k * 3
        tl.store(out, tl.sum(mass, 1), mask=real_k)
        tl.store(out + 1, tl.sum(mass * linear, 1), mask=real_k)
        tl.store(out + 2, tl.sum(mass * square, 1), mask=real_k)
        tl.store(out + 3 * K, tl.sum(by_loc, 1), mask=real_k)
        tl.store(out + 3 * K + 1, tl.sum(by_loc * linear, 1), mask=real_k)
        tl.store(out + 3 * K + 2, tl.sum(by_loc * square, 1), mask=real_k)
        tl.store(out + 6 * K, tl.sum(by_scale, 1), mask=real_k)
        tl.store(out + 6 * K + 1, tl.sum(by_scale * linear, 1), mask=real_k)
        tl.store(out + 6 * K + 2, tl.sum(by_scale * square, 1), mask=real_k)


def mixture_moments(
    learn: bool,
    values: Tensor,
    share: Tensor,
    loc: Tensor,
    log_scale: Tensor,
    slope: Tensor,
    precision: Tensor,
    pivot: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`.logistic._mixture_moments`: its arguments and what it returns."""
    count, k = share.shape
    per_scale = (-log_scale).exp()
    half = (values[1] - values[0]) * per_scale / 2
    inner = (-torch.expm1(-2 * half)).log()
    slope_of_width = 2 * half / half.tanh()
    log_Z, moments = share.new_empty(count), share.new_empty(count, 4)
    jacobian = share.new_empty(count if learn else 0, 3, k, 3)
    inputs = (share, loc, per_scale, inner, slope_of_width, slope, precision, pivot)
    if count:
        _mixture_kernel[(count,)](
            values.contiguous(), *(each.contiguous() for each in inputs), log_Z, moments, jacobian,
            **_sizes(K=k, L=len(values)), LEARN=learn,
        )  # fmt: skip
    return log_Z, moments, jacobian


@triton.jit
def _table_kernel(
    values, logits, slope, precision, pivot, log_Z, moments, count,
    L: tl.constexpr, L_PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Some scalars: their logits as a tile (ROWS, L) of registers."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    level = tl.arange(0, L_PADDED)
    held, real = row < count, (level < L)[None, :]
    value = tl.load(values + level, mask=level < L, other=0.0)
    d = value[None, :] - tl.load(pivot + row, mask=held, other=0.0)[:, None]
    d = tl.where(real, d, 0.0)
    linear = tl.load(slope + row, mask=held, other=0.0)[:, None]
    tilt = (linear - 0.5 * tl.load(precision + row, mask=held, other=0.0)[:, None] * d) * d
    place = (row * L)[:, None] + level[None, :]
    logit = tl.load(logits + place, mask=held[:, None] & real, other=0.0)
    log_joint = tl.where(real, logit + tilt, float("-inf"))
    largest = tl.max(log_joint, 1)
    weight = tl.exp(log_joint - largest[:, None])
    whole = tl.sum(weight, 1)
    tl.store(log_Z + row, tl.log(whole) + largest, mask=held)
    probs = weight / whole[:, None]
    shift = tl.sum(probs * d, 1)
    centred = d - shift[:, None]
    square = probs * centred * centred
    tl.store(moments + row * 4, shift, mask=held)
    tl.store(moments + row * 4 + 1, tl.sum(square, 1), mask=held)
    tl.store(moments + row * 4 + 2, tl.sum(square * centred, 1), mask=held)
    tl.store(moments + row * 4 + 3, tl.sum(square * centred * centred, 1), mask=held)


@triton.jit
def _table_gradient_kernel(
    values, logits, slope, precision, pivot, log_Z, moments, upstream, by_logits, count,
    L: tl.constexpr, L_PADDED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Some scalars: the gradients for their logits."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    level = tl.arange(0, L_PADDED)
    held = row < count
    place, real = (row * L)[:, None] + level[None, :], held[:, None] & (level < L)[None, :]
    value = tl.load(values + level, mask=level < L, other=0.0)
    d = value[None, :] - tl.load(pivot + row, mask=held, other=0.0)[:, None]
    linear = tl.load(slope + row, mask=held, other=0.0)[:, None]
    tilt = (linear - 0.5 * tl.load(precision + row, mask=held, other=0.0)[:, None] * d) * d
    log_joint = tl.load(logits + place, mask=real, other=float("-inf")) + tilt
    probs = tl.exp(log_joint - tl.load(log_Z + row, mask=held, other=0.0)[:, None])
    centred = d - tl.load(moments + row * 4, mask=held, other=0.0)[:, None]
    variance = tl.load(moments + row * 4 + 1, mask=held, other=0.0)[:, None]
    whole = tl.load(upstream + row * 3, mask=held, other=0.0)[:, None]
    first = tl.load(upstream + row * 3 + 1, mask=held, other=0.0)[:, None]
    second = tl.load(upstream + row * 3 + 2, mask=held, other=0.0)[:, None]
    pull = (second * centred + first) * centred + whole - second * variance
    tl.store(by_logits + place, probs * pull, mask=real)


def table_moments(
    logits: Tensor, slope: Tensor, precision: Tensor, pivot: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    """See :func:`.lattice._table_moments`: its arguments and what it returns."""
    log_Z, moments = logits.new_empty(len(logits)), logits.new_empty(len(logits), 4)
    inputs = (values, logits, slope, precision, pivot)
    if len(logits):
        rows = _rows(len(values))
        _table_kernel[(triton.cdiv(len(logits), rows),)](
            *(each.contiguous() for each in inputs), log_Z, moments, len(logits),
            **_sizes(L=len(values)), ROWS=rows,
        )  # fmt: skip
    return log_Z, moments


def table_gradient(
    logits: Tensor,
    slope: Tensor,
    precision: Tensor,
    pivot: Tensor,
    values: Tensor,
    log_Z: Tensor,
    moments: Tensor,
    upstream: Tensor,
) -> Tensor:
    """See :func:`.lattice._table_gradient`: its arguments and what it returns."""
    by_logits = torch.empty_like(logits, memory_format=torch.contiguous_format)
    inputs = (values, logits, slope, precision, pivot, log_Z, moments, upstream)
    if len(logits):
        rows = _rows(len(values))
        _table_gradient_kernel[(triton.cdiv(len(logits), rows),)](
            *(each.contiguous() for each in inputs), by_logits, len(logits),
            **_sizes(L=len(values)), ROWS=rows,
        )  # fmt: skip
    return by_logits


def _rows(levels: int) -> int:
    """Scalars that a program processes together: enough to keep all threads of a warp busy."""
    return int(max(1, 32 * PER_THREAD // triton.next_power_of_2(levels)))


def _sizes(**sizes: int) -> dict[str, Any]:
    """The sizes of a tile, the powers of two that hold them, and the warps that process it."""
    padded = {f"{name}_PADDED": triton.next_power_of_2(size) for name, size in sizes.items()}
    warps = math.prod(padded.values()) // (32 * PER_THREAD)
    return {**sizes, **padded, "num_warps": min(max(warps, 1), 8)}
