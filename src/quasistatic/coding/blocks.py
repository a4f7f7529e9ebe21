r"""Blocks of examples, each coded by itself and checked, and never longer than a plain packing."""

__all__ = ["Altered", "Block", "Coded", "decode", "encode"]

import math
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from .chain import Chain
from .missing_values import pop_holes, push_holes
from .packing import squeeze, unsqueeze
from .stack import Stack

AT_EASE = 2048
"""Bits that a block may borrow for the sake of speed, where one example needs fewer."""

MARGIN, NEVER = 1.5, 2**32 - 1


class Coded(IntEnum):
    """How a block's values are written."""

    chain = 1
    """By the model, on borrowed bits."""
    packed = 2
    """In as few bits as hold each value, see `values`, by xz."""
    raw = 3
    """The array's own bytes, by xz."""
    layer = 4
    """What all examples need to come from one time to the next, see `layers`."""


@dataclass(frozen=True)
class Block:
    """A block as it stands in a stream.

    Args:
        coded: how its values are written.
        count: of its examples.
        checksum: CRC-32 of the raw array's bytes.
        payload: the values.
        borrowed: words of 32 bits that the payload was started on.
        least, growth: of its batches, see :func:`batches`.
        plain: bytes that the payload takes without the model; 0 when it is read.
        repeated: whether reading gave what was written; else it is not by the model.
    """

    coded: Coded
    count: int
    checksum: int
    payload: bytes
    borrowed: int = 0
    least: int = 1
    growth: int = 0
    plain: int = 0
    repeated: bool = True


def batches(count: int, least: int, growth: int, together: int) -> list[slice]:
    """Examples that are written at once: one, and then, `least` to `together` of them, one for
    each `growth` sixteenths of those before them, which bear the bits that it starts on."""
    found, done = [], 0
    while done < count:
        size = max(least, min(16 * done // growth, together)) if done else 1
        found.append(slice(done, min(done + size, count)))
        done = found[-1].stop
    return found


def encode(chain: Chain, raw: np.ndarray, together: int, verify: bool = True) -> Block:
    """A block for raw data (N, *shape), by the chain if that is shorter, and if it can be read
    again: a float that does not repeat costs length and never a value.

    Raises:
        ValueError: if a value is none of the space's.
    """
    checked = chain.model.space.check(raw.astype(np.float64)).cpu()
    plain = _plain(chain, checked.numpy(), raw)
    try:
        _require_the_same(checked.numpy(), raw)
        made = _push_all(chain, checked, together)
        block = Block(Coded.chain, len(raw), plain.checksum, *made, plain=plain.plain)
        if len(block.payload) >= len(plain.payload):
            return plain
        if verify:
            decode(chain, block, raw.dtype, together)
        return block
    except (ArithmeticError, Altered):
        return replace(plain, repeated=False)


class Altered(ValueError):
    """The values of a block are not those that were written."""


def decode(chain: Chain, block: Block, dtype: np.dtype, together: int) -> np.ndarray:
    """The raw data (N, *shape) of a block.

    Raises:
        Altered: if they are not those that were written.
    """
    shape = (block.count, *chain.model.space.shape)
    try:
        if block.coded is Coded.chain:
            raw = _pop_all(chain, block, together).numpy()
        elif block.coded is Coded.packed:
            raw = chain.values.unpack(block.payload, block.count)
        else:
            data = unsqueeze(block.payload, math.prod(shape) * dtype.itemsize)
            raw = np.frombuffer(data, dtype).reshape(shape)
    except (ArithmeticError, ValueError) as error:
        raise Altered(f"its values cannot be read: {error}") from None
    raw = _as(raw, dtype)
    if zlib.crc32(raw.tobytes()) != block.checksum:
        raise Altered("its values are not those that were written")
    return raw


def _as(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """x in the type of an array that is written; what does not fit it is found by its bytes."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.ascontiguousarray(x.astype(dtype))


def _require_the_same(x: np.ndarray, raw: np.ndarray) -> None:
    if _as(x, raw.dtype).tobytes() != raw.tobytes():
        raise ArithmeticError("float64 does not hold the values")


def _plain(chain: Chain, checked: np.ndarray, raw: np.ndarray) -> Block:
    """The block that needs no model: values packed, or what is none as it is."""
    data, coded = np.ascontiguousarray(raw).tobytes(), Coded.raw
    checksum, payload = zlib.crc32(data), chain.values.pack(checked)
    try:
        coded = Coded.packed
        _require_the_same(chain.values.unpack(payload, len(raw)), raw)  # a -0.0 is no level
    except (ArithmeticError, ValueError):
        payload, coded = squeeze(data), Coded.raw
    return Block(coded, len(raw), checksum, payload, plain=len(payload))


@torch.no_grad()
def _push_all(chain: Chain, raw: Tensor, together: int) -> tuple[bytes, int, int, int]:
    """The payload of a chain's block, the words it borrowed, and how its batches grew: the least
    of them, and how fast."""
    room = 4 * chain.model.space.dims * (len(chain.times) + 1) + 16
    while True:
        stack = Stack.start(room)
        start = stack.bits
        chain.push(stack, raw[:1])
        need, left = max(1, start - 32 * stack.lowest), max(1, stack.bits - start)
        least = max(1, min(AT_EASE // need, len(raw) // 16, together))
        growth = min(math.ceil(16 * MARGIN * need / left), NEVER)
        for batch in batches(len(raw), least, growth, together)[1:]:
            chain.push(stack, raw[batch])
        push_holes(stack, raw.isnan().flatten(1)[:, chain.values.holes].numpy())
        if stack.lowest > 0:
            payload = stack.payload().astype("<u4").tobytes()
            return payload, room - stack.lowest, least, growth
        room *= 4  # all of it was in use, and more would have been


@torch.no_grad()
def _pop_all(chain: Chain, block: Block, together: int) -> Tensor:
    """The raw values of a chain's block, in float64."""
    stack = Stack.resume(np.frombuffer(block.payload, "<u4"))
    absent = torch.zeros(block.count, *chain.model.space.shape, dtype=torch.bool)
    holes = chain.values.holes
    absent.flatten(1)[:, holes] = torch.from_numpy(pop_holes(stack, block.count, len(holes)))
    found = [
        chain.pop(stack, absent[batch])
        for batch in reversed(batches(block.count, block.least, block.growth, together))
    ]
    if not stack.given_back(block.borrowed):
        raise Altered("the bits that it was started on did not come back")
    return torch.cat(found[::-1])
