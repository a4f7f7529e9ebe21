r"""Blocks of examples, each coded by itself and checked, and never longer than a plain packing."""

__all__ = ["Block", "Coded", "batch_slices", "decode", "encode"]

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from .chain import Chain
from .errors import DamagedValues, StreamError
from .missing_values import pop_missing, push_missing
from .packing import squeeze, unsqueeze
from .stack import Stack

AT_EASE = 2048
"""Initial bits that a block may use to be faster, where one example needs fewer."""

MARGIN = 1.5
"""How many times the bits that a batch needs are on the stack before it."""

NEVER = 2**32 - 1
"""The growth of batches that do not grow."""

FALL_BACK = 1024
"""How many times smaller packed values have to be for the array's bytes to be tried as well: a
reader refuses a payload that is too short for the values that it holds."""


class Coded(IntEnum):
    """How a block's values are coded."""

    chain = 1
    """By the model, on initial bits."""
    packed = 2
    """In as few bits as hold each value, see `values`, by xz."""
    raw = 3
    """The array's own bytes, by xz."""
    layer = 4
    """What all examples need to come from one time to the next, see `layers`."""


@dataclass(frozen=True)
class Block:
    """A block of a stream.

    Args:
        coded: how its values are coded.
        count: number of its examples.
        checksum: CRC-32 of the bytes of the raw array.
        payload: the coded values.
        initial_words: the 32-bit words that the payload was started on.
        least, growth: of its batches, see :func:`batch_slices`.
        plain: bytes that the payload takes without the model; 0 when the block was read.
        repeated: False if the block is not coded by the model because floats did not repeat.
    """

    coded: Coded
    count: int
    checksum: int
    payload: bytes
    initial_words: int = 0
    least: int = 1
    growth: int = 0
    plain: int = 0
    repeated: bool = True


def batch_slices(count: int, least: int, growth: int, together: int) -> list[slice]:
    """Examples that are coded at once: one, then between `least` and `together` of them, one for
    each `growth` sixteenths of those before, whose bits the batch starts on."""
    found, done = [], 0
    while done < count:
        size = max(least, min(16 * done // growth, together)) if done else 1
        found.append(slice(done, min(done + size, count)))
        done = found[-1].stop
    return found


def encode(chain: Chain, raw: np.ndarray, together: int, accept: Callable[[Block], None]) -> Block:
    """Codes raw data (N, *shape) as a block: by the chain if that is shorter and accepted.

    A float that does not repeat costs length and never a value.

    Args:
        chain: which codes the examples.
        raw: the examples.
        together: examples that the network sees at once.
        accept: called with the block; raises StreamError or DamagedValues if a reader would refuse
            it.

    Raises:
        ValueError: if the space does not have a value, or no block is accepted.
    """
    checked = chain.model.space.check(raw.astype(np.float64)).cpu()
    shortest, *longer = _plain(chain, checked.numpy(), raw)
    plain = len(shortest.payload)
    shortest = replace(shortest, plain=plain)
    try:
        _require_the_same(checked.numpy(), raw)
        coded = _push_all(chain, checked, together)
        block = replace(coded, checksum=shortest.checksum, plain=plain)
        if len(block.payload) < plain:
            accept(block)
            return block
    except (ArithmeticError, DamagedValues, StreamError):
        shortest = replace(shortest, repeated=False)
    refused: ValueError | None = None
    for block in (shortest, *longer):
        try:
            accept(block)
            return replace(block, plain=plain)
        except (DamagedValues, StreamError) as error:
            refused = error
    raise ValueError(f"the values cannot be written: {refused}")


def decode(chain: Chain, block: Block, dtype: np.dtype, together: int) -> np.ndarray:
    """The raw data (N, *shape) of a block.

    Raises:
        DamagedValues: if they are not those that were written.
    """
    shape = (block.count, *chain.model.space.shape)
    try:
        if block.coded is Coded.chain:
            raw = _pop_all(chain, block, together).numpy()
        elif block.coded is Coded.packed:
            raw = chain.values.unpack(block.payload, block.count)
        elif block.coded is Coded.raw:
            data = unsqueeze(block.payload, math.prod(shape) * dtype.itemsize)
            raw = np.frombuffer(data, dtype).reshape(shape)
        else:
            raise ValueError("it is a layer in a stream without layers")
    except (ArithmeticError, ValueError) as error:
        raise DamagedValues(f"its values cannot be read: {error}") from None
    raw = _as(raw, dtype)
    if zlib.crc32(raw.tobytes()) != block.checksum:
        raise DamagedValues("its values are not those that were written")
    return raw


def _as(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """x in the type of the array; a value that does not fit is found by its bytes."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.ascontiguousarray(x.astype(dtype))


def _require_the_same(x: np.ndarray, raw: np.ndarray) -> None:
    if _as(x, raw.dtype).tobytes() != raw.tobytes():
        raise ArithmeticError("float64 does not hold the values")


def _plain(chain: Chain, checked: np.ndarray, raw: np.ndarray) -> list[Block]:
    """The blocks that need no model, the shorter first: values packed, and the array's bytes."""
    data = np.ascontiguousarray(raw).tobytes()
    checksum, payload = zlib.crc32(data), chain.values.pack(checked)
    found = []
    try:
        _require_the_same(chain.values.unpack(payload, len(raw)), raw)  # a -0.0 is no level
        found.append(Block(Coded.packed, len(raw), checksum, payload))
    except (ArithmeticError, ValueError):
        pass
    if not found or len(data) > FALL_BACK * len(payload):
        found.append(Block(Coded.raw, len(raw), checksum, squeeze(data)))
    return found


@torch.no_grad()
def _push_all(chain: Chain, raw: Tensor, together: int) -> Block:
    """The block of a chain, without its checksum."""
    room = 4 * chain.model.space.dims * (len(chain.times) + 1) + 16
    while True:
        arithmetic = chain.portability.writer()
        stack = Stack.start(room, arithmetic)
        start = stack.bits
        chain.take(slice(0, 1)).push(stack, raw[:1])
        need, left = max(1, start - 32 * stack.lowest), max(1, stack.bits - start)
        least = max(1, min(AT_EASE // need, len(raw) // 16, together))
        growth = min(math.ceil(16 * MARGIN * need / left), NEVER)
        for batch in batch_slices(len(raw), least, growth, together)[1:]:
            chain.take(batch).push(stack, raw[batch])
        push_missing(stack, raw.isnan().flatten(1)[:, chain.values.holes].numpy())
        if stack.lowest > 0:
            payload = chain.portability.payload(arithmetic, stack.payload())
            initial = room - stack.lowest
            return Block(Coded.chain, len(raw), 0, payload, initial, least, growth)
        room *= 4  # all of it was in use, and more would have been


@torch.no_grad()
def _pop_all(chain: Chain, block: Block, together: int) -> Tensor:
    """The raw values of a chain's block, float64."""
    arithmetic, words = chain.portability.split(block.payload)
    stack = Stack.resume(words, arithmetic)
    missing = torch.zeros(block.count, *chain.model.space.shape, dtype=torch.bool)
    holes = chain.values.holes
    missing.flatten(1)[:, holes] = torch.from_numpy(pop_missing(stack, block.count, len(holes)))
    found = [
        chain.take(batch).pop(stack, missing[batch])
        for batch in reversed(batch_slices(block.count, block.least, block.growth, together))
    ]
    if not stack.holds_only(block.initial_words) or arithmetic.unfinished:
        raise DamagedValues("the initial bits did not come back")
    return torch.cat(found[::-1])
