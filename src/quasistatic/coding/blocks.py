r"""Blocks of examples, each coded by itself and checked, and never longer than a plain packing."""

__all__ = ["Altered", "Block", "Coded", "decode", "encode"]

import math
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from ..spaces import Space
from .chain import Chain
from .packing import pack, packed_size, squeeze, unpack, unsqueeze
from .stack import Stack

FIRST = 4
"""Examples written one by one before it is known how fast batches may grow."""

MARGIN, NEVER = 1.25, 2**32 - 1


class Coded(IntEnum):
    """How a block's values are written."""

    chain = 1
    """By the model, on borrowed bits."""
    packed = 2
    """Which level each value is, in 1, 8 or 16 bits, by xz."""
    raw = 3
    """The array's own bytes, by xz."""


@dataclass(frozen=True)
class Block:
    """A block as it stands in a stream.

    Args:
        coded: how its values are written.
        count: of its examples.
        checksum: CRC-32 of the raw array's bytes.
        payload: the values.
        borrowed: words of 32 bits that the payload was started on.
        growth: see :func:`batches`.
        plain: bytes that the payload takes without the model; 0 when it is read.
        repeated: whether reading gave what was written; else it is not by the model.
    """

    coded: Coded
    count: int
    checksum: int
    payload: bytes
    borrowed: int = 0
    growth: int = 0
    plain: int = 0
    repeated: bool = True


def batches(count: int, growth: int, together: int) -> list[slice]:
    """Examples that are written at once. After the first few a batch has one for each `growth`
    sixteenths of those before it, from 1 to `together`: they bear the bits that it starts on."""
    found, done = [], 0
    while done < count:
        size = max(1, min(16 * done // growth, together)) if done >= FIRST else 1
        found.append(slice(done, min(done + size, count)))
        done = found[-1].stop
    return found


def encode(chain: Chain, raw: np.ndarray, together: int, verify: bool = True) -> Block:
    """A block for raw data (N, *shape), by the chain if that is shorter, and if it can be read
    again: a float that does not repeat costs length and never a value.

    Raises:
        ValueError: if a value is none of the space's.
    """
    checked = chain.model.space.check(raw)
    plain = _plain(chain.model.space, checked, raw)
    try:
        payload, borrowed, growth = _push_all(chain, checked, together)
        block = replace(plain, coded=Coded.chain, payload=payload, borrowed=borrowed, growth=growth)
        if len(payload) >= len(plain.payload):
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
    space = chain.model.space
    shape = (block.count, *space.shape)
    try:
        if block.coded is Coded.chain:
            raw = space.decode(_pop_all(chain, block, together)).numpy()
        elif block.coded is Coded.packed:
            data = unsqueeze(block.payload, packed_size(math.prod(shape), _levels(space)))
            raw = unpack(data, _levels(space), shape)
        else:
            data = unsqueeze(block.payload, math.prod(shape) * dtype.itemsize)
            raw = np.frombuffer(data, dtype).reshape(shape)
    except (ArithmeticError, ValueError) as error:
        raise Altered(f"its values cannot be read: {error}") from None
    raw = np.ascontiguousarray(raw.astype(dtype))
    if zlib.crc32(raw.tobytes()) != block.checksum:
        raise Altered("its values are not those that were written")
    return raw


def _plain(space: Space, checked: Tensor, raw: np.ndarray) -> Block:
    """The block of the shorter of two packings that need no model."""
    data = {Coded.raw: np.ascontiguousarray(raw).tobytes()}
    checksum = zlib.crc32(data[Coded.raw])
    whole = checked.cpu().long().numpy()
    if zlib.crc32(whole.astype(raw.dtype).tobytes()) == checksum:  # a -0.0 is no whole number
        data[Coded.packed] = pack(whole, _levels(space))
    short = {coded: squeeze(each) for coded, each in data.items()}
    coded = min(short, key=lambda each: len(short[each]))
    return Block(coded, len(raw), checksum, short[coded], plain=len(short[coded]))


def _levels(space: Space) -> int:
    assert space.levels is not None  # as of every space that a chain codes
    return len(space.levels)


@torch.no_grad()
def _push_all(chain: Chain, raw: Tensor, together: int) -> tuple[bytes, int, int]:
    """The payload of a chain's block, the words it borrowed, and how its batches grew."""
    blank, space = chain.model.blank(1), chain.model.space
    room = 4 * space.dims * (len(chain.times) + 1) + 16
    while True:
        stack, growth = Stack.start(room), NEVER
        start, first = stack.bits, batches(min(FIRST, len(raw)), NEVER, 1)
        for batch in first:
            chain.push(stack, space.encode(raw[batch].to(blank)))
        need, left = start - 32 * stack.lowest, (stack.bits - start) / len(first)
        if left > 0:
            growth = min(NEVER, math.ceil(16 * MARGIN * need / left))
        for batch in batches(len(raw), growth, together)[len(first) :]:
            chain.push(stack, space.encode(raw[batch].to(blank)))
        if stack.lowest > 0:
            return stack.payload().astype("<u4").tobytes(), room - stack.lowest, growth
        room *= 4  # all of it was in use, and more would have been


@torch.no_grad()
def _pop_all(chain: Chain, block: Block, together: int) -> Tensor:
    """x_0 of a chain's block."""
    stack = Stack.resume(np.frombuffer(block.payload, "<u4"))
    found = [
        chain.pop(stack, batch.stop - batch.start)
        for batch in reversed(batches(block.count, block.growth, together))
    ]
    if not stack.given_back(block.borrowed):
        raise Altered("the bits that it was started on did not come back")
    return torch.cat(found[::-1])
