r"""The indices of a layer: how they are coded, and the values that they stand for."""

__all__ = ["LONGEST", "group_slices", "pack_indices", "receive", "unpack_indices"]

import math
import struct

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family, Support
from .arithmetic import Arithmetic
from .errors import StreamError
from .portability import Portability
from .relative_entropy_coding import LARGEST, uniforms
from .stack import Stack

LONGEST = round(math.log2(LARGEST))
"""Bits of the largest index."""

INDICES_PER_BYTE, FREE_INDICES = 256, 4096
"""Indices that a layer may have: so many for each byte of its payload, and so many more."""

_LAYER = struct.Struct("<HB")


def group_slices(groups: int) -> list[slice]:
    """Values in so many groups, neighbours in different ones, so that all need about as much."""
    return [slice(j, None, groups) for j in range(groups)]


def receive(
    arithmetic: Arithmetic,
    law: Family,
    support: Support,
    step: int,
    first: int,
    index: np.ndarray,
) -> Tensor:
    """The values (B, *) of examples, of which each group is the candidate of its index.

    Args:
        arithmetic: of the layer, which makes them the same on every machine.
        law: p, a batch (B, *), float64.
        support: the values that the law can have.
        step: number of the layer.
        first: number of the first example.
        index: of the groups, (B, G).
    """
    mean = law.mean
    flat = np.empty((len(mean), mean[0].numel()))
    for i, row in enumerate(index.tolist()):
        for j, (values, which) in enumerate(zip(group_slices(len(row)), row, strict=True)):
            part = flat[i, values]
            flat[i, values] = uniforms((step, first + i, j), len(part), which, 1)[0]
    return arithmetic.quantile(law, torch.from_numpy(flat).view_as(mean), support)


def pack_indices(way: Portability, arithmetic: Arithmetic, index: np.ndarray) -> bytes:
    """Indices (N, G): how many groups, the mean length of an index, and the indices.

    The lengths are coded by a binomial law with that mean, and each index in so many bits.
    """
    length = np.frexp(index.ravel() + 1.0)[1].astype(np.int64) - 1
    mean = round(255 * length.mean() / LONGEST)
    stack = Stack.start(0, arithmetic)
    stack.push_uniform(index.ravel() + 1 - (1 << length), 1 << length)
    arithmetic.next_law()
    stack.push_law(_lengths(mean, index.size), length)
    return _LAYER.pack(index.shape[1], mean) + way.payload(arithmetic, stack.payload())


def unpack_indices(
    way: Portability, payload: bytes, n: int, dims: int
) -> tuple[Arithmetic, np.ndarray]:
    """What :func:`pack_indices` packed: the arithmetic of the layer, and the indices (n, G).

    Args:
        way: of the stream.
        payload: of the layer.
        n: number of examples.
        dims: values of an example.

    Raises:
        StreamError: if the payload is malformed, or too short for its indices.
    """
    try:
        groups, mean = _LAYER.unpack_from(payload)
        arithmetic, words = way.split(payload[_LAYER.size :])
        stack = Stack.resume(words, arithmetic)
    except (struct.error, ValueError) as error:
        raise StreamError(f"a layer cannot be read: {error}") from None
    most = FREE_INDICES + INDICES_PER_BYTE * len(payload)
    if not 1 <= groups <= dims or n * groups > most:
        raise StreamError(
            f"a layer claims {n} times {groups} indices, and may have {dims} an example and "
            f"{most:,} in all"
        )
    arithmetic.next_law()
    length = stack.pop_law(_lengths(mean, n * groups))
    index = (1 << length) - 1 + stack.pop_uniform(1 << length)
    if not stack.holds_only(0):
        raise StreamError("a layer holds more than its indices")
    return arithmetic, index.reshape(n, groups)


def _lengths(mean: int, n: int) -> np.ndarray:
    share = min(max(mean / 255, 0.002), 0.998)
    k = np.arange(LONGEST + 1)
    law = [math.comb(LONGEST, i) * share**i * (1 - share) ** (LONGEST - i) for i in k.tolist()]
    return np.tile(law, (n, 1))
