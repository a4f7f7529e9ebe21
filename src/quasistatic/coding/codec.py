r"""Arrays to streams and back, by a model's likelihood: lossless, in constant memory."""

__all__ = ["Codec"]

import contextlib
import io
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from .._utils.validation import unmasked
from ..model import Model
from .blocks import Block, decode, encode
from .chain import Chain
from .compatibility import chain_of, check_header, given_digest
from .errors import DamagedValues
from .float_reproducibility import fingerprint, platform_facts, reproducible_floats
from .header import LARGEST, MOST_VALUES, Header
from .kept_blocks import KeptBlocks
from .portability import Native, Portable
from .report import CompressionReport
from .stream import (
    StreamError,
    check_bounds,
    pack_block,
    read_block,
    read_blocks,
    read_header,
    write_blocks,
)

STEPS = 50
"""Even times of a chain by default."""

S = TypeVar("S")
T = TypeVar("T")


class Codec:
    r"""Writes arrays of a model's raw data as streams about as long as -K, and reads them to the
    last bit, or says why not.

    Args:
        model: of whole numbers, reals, classes, or a table of them. A real number is written as the
            float that it is. If all numbers of a column have few decimals, it takes as many bits as
            the density of the column and the grid ask for, and else all its digits.
        times: of the chain, see :meth:`Model.times`; None for 50 even ones, or for all if the
            model's head needs them. A path chosen for the model
            (`grids.measure(model, x).path(50)`) makes shorter streams.
        block: examples in a block. Blocks are read independently, and each starts on about as many
            initial bits as one example needs. Large ones are shorter, small ones take less memory.
        together: examples that the network sees at once.
        workers: blocks at work at a time, a thread each; None for one for each core.
        verify: read each block before it is written, by the reader's own way, and code it without
            the model if a float did not repeat. It takes as long again.
        portable: compute in float64 and round all laws, so that any machine reads the stream. If
            False, laws are computed in the type of the weights, faster, and only a machine with the
            same arithmetic reads the stream.

    Raises:
        TypeError: if raw values are not determined by x_0, as those of `Dequantized`.
        ValueError: if the times make no chain, or a number is out of range.
    """

    def __init__(
        self,
        model: Model,
        times: int | Sequence[int] | Tensor | None = None,
        *,
        block: int = 2048,
        together: int = 64,
        workers: int | None = None,
        verify: bool = True,
        portable: bool = True,
    ) -> None:
        for name, value in {"block": block, "together": together, "workers": workers or 1}.items():
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        if together * model.space.dims > MOST_VALUES:
            raise ValueError(
                f"together={together} examples of {model.space.dims} values are more than "
                f"{MOST_VALUES:,} values at once: choose {MOST_VALUES // model.space.dims} or less"
            )
        if times is None and model.head.jumps:
            times = min(STEPS, model.steps)
        portability = Portable() if portable else Native()
        self.model = model
        self.chain = Chain(model, times, portability=portability)
        self.block, self.together = block, together
        self.workers, self.verify = workers or os.cpu_count() or 1, verify

    def __repr__(self) -> str:
        portable = self.chain.portability.epsilon is not None
        return (
            f"Codec of {type(self.model.space).__name__} of shape {self.model.space.shape}: "
            f"{len(self.chain.times)} times, blocks of {self.block}, "
            f"{'portable' if portable else 'for this arithmetic only'}"
        )

    def compress(self, x: object) -> bytes:
        """The stream of raw data x (N, *shape).

        Args:
            x: an array or a tensor on any device.

        Raises:
            TypeError: if x is no array of numbers.
            ValueError: if it has another shape, or values that the space does not have.
        """
        file = io.BytesIO()
        self.write(np.asarray(x.detach().cpu() if isinstance(x, Tensor) else unmasked(x)), file)
        return file.getvalue()

    def decompress(self, stream: bytes, anyway: bool = False) -> np.ndarray:
        """The raw data (N, *shape) of a stream, of the type that was written.

        Args:
            stream: what :meth:`compress` gave.
            anyway: also read a stream that is not portable and was written with other arithmetic.
                Wrong values are found by their checksums.

        Raises:
            StreamError: what is wrong, and in which block.
        """
        header, parts = self.read(io.BytesIO(stream), anyway)
        return np.concatenate(list(parts)).astype(header.dtype, copy=False)

    def write(
        self, x: np.ndarray, file: BinaryIO, kept: KeptBlocks | None = None
    ) -> CompressionReport:
        """Writes the stream of x (N, *shape), which may be a memory map, to a file, with a few
        blocks in memory.

        Args:
            x: the raw data.
            file: where to write.
            kept: keeps the finished blocks, so that a second call continues after a first one that
                was stopped; None keeps none.

        Returns:
            What the stream is made of.

        Raises:
            TypeError: if x is no array of numbers.
            ValueError: if it has another shape, or values that the space does not have.
        """
        x = self._checked(unmasked(x))
        self.model.require_known_weights()
        self.model.given_each(None, len(x))
        chain = self.chain.scan(x)
        if chain.values.holes and not self.model.space.holes:
            where = tuple(map(int, np.unravel_index(chain.values.holes[0], x.shape[1:])))
            raise ValueError(
                f"x holds NaN in {len(chain.values.holes)} of {self.model.space.dims} columns, "
                f"first in column {where}, and the model allows for no missing values: remove such "
                "rows, or fill them"
            )
        header = header_of(self.model, chain, x, self.together, self._block_of(x), "examples")
        start = header.pack()
        report = CompressionReport(self.model.space.dims, raw=x.nbytes)
        if kept is not None:
            kept.open(start, len(x) > header.block)
        with reproducible_floats(chain.model):
            encoded = _Encoder(self.model, chain, start, x, self.verify, kept)
            blocks = self._each(encoded, range(-(-len(x) // header.block)))
            report.total = file.write(start)
            report.total += write_blocks(file, header, _counted(blocks, report, kept))
        return report

    def read(
        self, file: BinaryIO, anyway: bool = False, kept: KeptBlocks | None = None
    ) -> tuple[Header, Iterator[np.ndarray]]:
        """The header of a stream, and its arrays block by block, with a few of them in memory.

        Args:
            file: the stream.
            anyway: see :meth:`decompress`.
            kept: keeps the finished blocks, as for :meth:`write`.

        Raises:
            StreamError: what is wrong, and in which block: at once, or when it comes to it.
        """
        header = read_header(file, self.model.space.dims)
        check_header(header, self.model, "examples", anyway)
        if kept is not None:
            kept.open(header.pack(), header.count > header.block)
        return header, self._arrays(file, header, kept)

    def _arrays(
        self, file: BinaryIO, header: Header, kept: KeptBlocks | None
    ) -> Iterator[np.ndarray]:
        chain = chain_of(header, self.model)
        dtype = np.dtype(header.dtype)

        def decoded(numbered: tuple[int, Block]) -> np.ndarray:
            number, block = numbered
            found = None if kept is None else kept.get(number)
            if found is not None and len(found) == block.count * header.example:
                return np.frombuffer(found, dtype).reshape(block.count, *header.shape)
            try:
                rows = slice((number - 1) * header.block, number * header.block)
                part = decode(chain.take(rows), block, dtype, header.together)
            except DamagedValues as error:
                raise StreamError(f"block {number}: {error}") from None
            if kept is not None:
                kept.put(number, part.tobytes())
            return part

        count, digest = 0, header.digest()
        with reproducible_floats(chain.model):
            for part in self._each(decoded, enumerate(read_blocks(file, header), 1)):
                count += len(part)
                digest.update(part.tobytes())
                if kept is not None:
                    kept.following.advance(len(part))
                yield part
        if count != header.count:
            raise StreamError(f"the stream holds {count} examples, and its header {header.count}")
        if header.identity and digest.hexdigest() != header.identity:
            raise StreamError("the values of the stream are not those that were written")

    def _each(self, work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """work of each item, in order, by all workers, with a few results waiting at most."""
        waiting: deque[Future[T]] = deque()
        with ThreadPoolExecutor(self.workers, initializer=_one_thread) as pool:
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
        """x, if it can be an array of the model's raw data; its values are checked block by
        block."""
        if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
            raise TypeError(
                f"x must be an array of numbers of at most 64 bits, got {x.dtype}: Table.read "
                "makes one of a data frame"
            )
        self.model.space.check(x[:1] if x.ndim else x)
        return x

    def _block_of(self, x: np.ndarray) -> int:
        """Examples in a block, few enough for a reader."""
        example = math.prod(x.shape[1:]) * x.itemsize
        if example > LARGEST:
            raise ValueError(
                f"an example takes {example:,} bytes, and a block may have {LARGEST:,}: write it "
                "in parts, by a model of such parts"
            )
        return min(self.block, len(x), LARGEST // example)


class _Encoder:
    """Codes blocks of an array, and reads each as a reader does before it is accepted."""

    def __init__(
        self,
        model: Model,
        chain: Chain,
        start: bytes,
        x: np.ndarray,
        verify: bool,
        kept: KeptBlocks | None,
    ) -> None:
        self.chain, self.x, self.kept = chain, x, kept
        self.header = read_header(io.BytesIO(start), model.space.dims)
        self.reader = chain
        if verify:
            check_header(self.header, model, "examples", anyway=False)
            self.reader = chain_of(self.header, model)
        self.verify = verify

    def __call__(self, number: int) -> Block:
        found = None if self.kept is None else self.kept.get(number)
        if found is not None:
            with contextlib.suppress(StreamError):  # a damaged block is coded again
                return read_block(io.BytesIO(found), self.header, number)
        block = self._coded(number)
        if self.kept is not None:
            self.kept.put(number, pack_block(self.header, number, block))
        return block

    def _coded(self, number: int) -> Block:
        start = number * self.header.block
        rows = slice(start, start + self.header.block)
        raw = np.ascontiguousarray(self.x[rows])

        def accept(block: Block) -> None:
            check_bounds(self.header, f"block {number + 1}", block)
            if self.verify:
                written = io.BytesIO(pack_block(self.header, number, block))
                read = read_block(written, self.header, number)
                again = decode(self.reader.take(rows), read, raw.dtype, self.header.together)
                if again.tobytes() != raw.tobytes():
                    raise DamagedValues("its values are not those that were written")

        return encode(self.chain.take(rows), raw, self.header.together, accept)


def header_of(
    model: Model,
    chain: Chain,
    x: np.ndarray,
    together: int,
    block: int,
    order: Literal["examples", "layers"],
) -> Header:
    """The header of a stream of x (N, *shape) by a chain of a model."""
    epsilon = chain.portability.epsilon
    return Header(
        model=fingerprint(model),
        space=chain.values.describe(model.space),
        shape=tuple(model.space.shape),
        dtype=x.dtype.str,
        count=len(x),
        times=tuple(chain.times),
        bins=chain.bins,
        together=together,
        block=block,
        order=order,
        arithmetic=platform_facts(model) if epsilon is None else {},
        values=chain.values.header_entry,
        epsilon=epsilon,
        rounded=chain.listed.hex(),
        given=given_digest(model),
    ).with_identity(x)


def _counted(
    blocks: Iterable[Block], report: CompressionReport, kept: KeptBlocks | None
) -> Iterator[Block]:
    for block in blocks:
        report.add(block)
        if kept is not None:
            kept.following.advance(block.count)
        yield block


def _one_thread() -> None:
    """One thread for what a worker computes."""
    torch.set_num_threads(1)
