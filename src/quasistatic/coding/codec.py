r"""Arrays to streams and back, by a model's likelihood: lossless, in constant memory."""

__all__ = ["Codec", "Report"]

import io
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import EllipsisType
from typing import BinaryIO, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..model import Model
from .blocks import Altered, Block, decode, encode
from .chain import CELLS, Chain
from .float_reproducibility import computing, fingerprint, here
from .stream import Header, StreamError, read_blocks, read_header, write_blocks
from .values import values_of

STEPS = 50
"""Even times of a chain, if nothing is said."""

LARGEST = 2**30
"""Bytes of raw values that a block of a stream may have for it to be read."""

READERS = {"examples": "Codec", "layers": "LayeredCodec"}

S = TypeVar("S")
T = TypeVar("T")


@dataclass
class Report:
    """What a stream is made of, in bytes unless said; sums over its blocks.

    Args:
        dims: values of an example.
        examples: how many were written.
        raw: of the array.
        total: of the stream.
        payload: of the blocks' values.
        borrowed: of those, what was borrowed to start the blocks with.
        blocks: how many were coded in each way.
        plain: of the same blocks by a packing without the model and xz.
        unrepeated: blocks that the model's floats did not repeat on, and were not coded by it.
    """

    dims: int
    examples: int = 0
    raw: int = 0
    total: int = 0
    payload: int = 0
    borrowed: int = 0
    plain: int = 0
    unrepeated: int = 0
    blocks: dict[str, int] = field(default_factory=dict)

    def count(self, block: Block) -> None:
        self.examples += block.count
        self.payload += len(block.payload)
        self.borrowed += 4 * block.borrowed
        self.plain += block.plain
        self.unrepeated += not block.repeated
        self.blocks[block.coded.name] = self.blocks.get(block.coded.name, 0) + 1

    @property
    def bits_per_dim(self) -> float:
        """Of the whole stream."""
        return self._rate(self.total)

    @property
    def net_bits_per_dim(self) -> float:
        """Without what was borrowed and what the container takes: -K, if all is by the model."""
        return self._rate(self.payload - self.borrowed)

    @property
    def overhead(self) -> int:
        """Borrowed bytes and the container's."""
        return self.total - self.payload + self.borrowed

    @property
    def pays_off(self) -> float:
        """Examples from which on a stream by the model is shorter than the packing without it;
        infinite if it never is."""
        gain = (self.plain - self.payload + self.borrowed) / max(self.examples, 1)
        return self.overhead / gain if gain > 0 else math.inf

    def _rate(self, size: float) -> float:
        return 8 * size / max(self.examples, 1) / self.dims

    def __str__(self) -> str:
        ways = ", ".join(f"{count} {name}" for name, count in sorted(self.blocks.items()))
        text = (
            f"{self.examples} examples in {self.total:,} bytes, {self.raw / self.total:.2f} times "
            f"smaller: {self.bits_per_dim:.4f} bits per dimension, {self.net_bits_per_dim:.4f} "
            f"and {self.overhead:,} bytes of overhead ({self.borrowed:,} borrowed), which pays off "
            f"after {self.pays_off:.3g} examples; blocks: {ways}"
        )
        if self.unrepeated:
            text += f", {self.unrepeated} because floats did not repeat"
        return text


class Codec:
    r"""Writes arrays of a model's raw data to streams about as long as -K, and reads them back to
    the last bit; or not at all, with the reason.

    Args:
        model: of whole numbers, reals, classes, or a table of them. A real number is written as
            the float that it is: in as many bits as the density of its column and the grid ask
            for, if all numbers of a column have few decimals, and else with all its digits.
        times: of the chain, see :meth:`Model.times`; by default 50 even ones. A path chosen for
            the model (`grids.measure(model, x).path(50)`) makes shorter streams.
        block: examples in a block. Blocks are read by themselves, and each borrows about what one
            example needs: large ones are shorter, small ones take less memory.
        together: examples that the network sees at once.
        workers: blocks at work at a time, a thread each; by default one for each core.
        verify: read each block before it is written, and code it without the model if a float did
            not repeat; it takes as long again.

    Raises:
        TypeError: if raw values have no code by x_0, as those of `Dequantized`.
        ValueError: if the times make no chain.
    """

    def __init__(
        self,
        model: Model,
        times: int | Sequence[int] | Tensor | EllipsisType | None = ...,
        *,
        block: int = 2048,
        together: int = 64,
        workers: int | None = None,
        verify: bool = True,
    ) -> None:
        if isinstance(times, EllipsisType):
            times = min(STEPS, model.steps) if model.head.jumps else None
        for name, value in {"block": block, "together": together, "workers": workers or 1}.items():
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        self.chain, self.block, self.together = Chain(model, times), block, together
        self.workers, self.verify = workers or os.cpu_count() or 1, verify

    def compress(self, x: object) -> bytes:
        """The stream of raw data x (N, *shape).

        Raises:
            ValueError: if it has another shape, or values that the space does not have.
        """
        file = io.BytesIO()
        self.write(np.asarray(x.cpu() if isinstance(x, Tensor) else x), file)
        return file.getvalue()

    def decompress(self, stream: bytes, anyway: bool = False) -> np.ndarray:
        """The raw data (N, *shape) of a stream, of the type that was written.

        Args:
            anyway: read what a machine wrote whose arithmetic may differ: values that come out
                wrong are still found by their checksums.

        Raises:
            StreamError: what is wrong, and in which block.
        """
        header, parts = self.read(io.BytesIO(stream), anyway)
        found = list(parts)
        return np.concatenate(found).astype(header.dtype, copy=False)

    def write(self, x: np.ndarray, file: BinaryIO) -> Report:
        """Writes the stream of x (N, *shape), which may be a memory map, to a file, with a few
        blocks in memory."""
        x = self._checked(x)
        model, chain = self.chain.model, self.chain.seeing(x)
        header = header_of(chain, x, self.together, self.block, "examples")
        report = Report(model.space.dims, raw=x.nbytes)

        def encoded(start: int) -> Block:
            part = np.ascontiguousarray(x[start : start + self.block])
            return encode(chain, part, self.together, self.verify)

        def counted(blocks: Iterable[Block]) -> Iterator[Block]:
            for block in blocks:
                report.count(block)
                yield block

        starts = range(0, len(x), self.block)
        with computing(model):
            report.total = file.write(header.pack())
            report.total += write_blocks(file, counted(self._each(encoded, starts)))
        return report

    def read(self, file: BinaryIO, anyway: bool = False) -> tuple[Header, Iterator[np.ndarray]]:
        """What a stream says of itself, and its arrays block by block, with a few of them in
        memory.

        Raises:
            StreamError: what is wrong, and in which block: at once, or when it comes to it.
        """
        header = read_header(file)
        expect(header, self.chain.model, "examples", anyway)
        return header, self._arrays(file, header)

    def _arrays(self, file: BinaryIO, header: Header) -> Iterator[np.ndarray]:
        model = self.chain.model
        chain = Chain(model, header.times, values_of(model.space, header.values))
        dtype = np.dtype(header.dtype)

        def decoded(numbered: tuple[int, Block]) -> np.ndarray:
            number, block = numbered
            try:
                return decode(chain, block, dtype, header.together)
            except Altered as error:
                raise StreamError(f"block {number}: {error}") from None

        count = 0
        with computing(chain.model):
            for part in self._each(decoded, enumerate(read_blocks(file, header), 1)):
                count += len(part)
                yield part
        if count != header.count:
            raise StreamError(f"the stream holds {count} examples, and says {header.count}")

    def _each(self, work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """work of each item, in order, by all workers, with a few results waiting at most."""
        waiting: deque[Future[T]] = deque()
        with ThreadPoolExecutor(self.workers, initializer=_alone) as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(work, item))
                    if len(waiting) > self.workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _checked(self, x: np.ndarray) -> np.ndarray:
        """x, if it can be an array of the model's raw data; its values are looked at block by
        block."""
        if x.dtype.kind not in "biuf":
            raise TypeError(
                f"x must be an array of numbers, got one of {x.dtype}: Table.read makes one of a "
                "data frame"
            )
        self.chain.model.space.check(x[:1])
        return x


def header_of(chain: Chain, x: np.ndarray, together: int, block: int, order: str) -> Header:
    """What a stream of x by a chain says of itself."""
    model = chain.model
    return Header(
        model=fingerprint(model),
        space=chain.values.words(model.space),
        shape=tuple(model.space.shape),
        dtype=x.dtype.str,
        count=len(x),
        times=tuple(chain.times),
        cells=CELLS,
        together=together,
        block=block,
        order=order,
        arithmetic=here(model),
        values=chain.values.told,
    )


def expect(header: Header, model: Model, order: str, anyway: bool) -> None:
    """Whether a stream is by this model, in that order, and can be read here.

    Raises:
        StreamError: if not, why.
    """
    if header.order != order:
        raise StreamError(
            f"the stream is in the order of {header.order}, not of {order}: read it with "
            f"{READERS.get(header.order, 'a newer release')}"
        )
    space = values_of(model.space).words(model.space)
    if header.model != (mine := fingerprint(model)):
        raise StreamError(
            f"the stream was written by another model ({header.space}, fingerprint "
            f"{header.model[:12]}) than this one ({space}, {mine[:12]}): use that one"
        )
    if tuple(header.shape) != tuple(model.space.shape) or header.largest > LARGEST:
        raise StreamError(
            f"the stream claims blocks of {header.largest:,} bytes of shape {header.shape}, "
            f"which this model ({space}) did not write"
        )
    try:
        values_of(model.space, header.values)
    except ValueError as error:
        raise StreamError(f"the header of the stream makes no sense: {error}") from None
    if header.cells != CELLS:
        raise StreamError(
            f"the stream has {header.cells} cells to a deviation, and this release {CELLS}"
        )
    mine_too = here(model)
    other = {k: v for k, v in header.arithmetic.items() if mine_too.get(k) != v}
    if other and not anyway:
        told = ", ".join(f"{k} {v} (here {mine_too.get(k)})" for k, v in sorted(other.items()))
        raise StreamError(
            f"the stream was written with {told}: floats may differ in their last bits, and "
            "nothing could be read. Read it where it was written, or try anyway: values that "
            "come out wrong are found by their checksums"
        )


def _alone() -> None:
    """One thread for what a worker computes."""
    torch.set_num_threads(1)
