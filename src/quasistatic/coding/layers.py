r"""A code that can be read in part: layer by layer, from noise to data (DDPM Sec. 4.3)."""

__all__ = ["LayeredCodec", "Refinement"]

import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from .._utils.validation import unmasked
from ..distributions import Family
from ..model import Model
from .arithmetic import Arithmetic
from .blocks import Block, Coded
from .chain import Chain, each_at
from .codec import header_of
from .compatibility import chain_of, check_header
from .float_reproducibility import reproducible_floats
from .layer_indices import LONGEST, group_slices, pack_indices, receive, unpack_indices
from .portability import Native, Portable
from .relative_entropy_coding import SharedCandidates
from .stack import Stack
from .stream import (
    CutShort,
    Header,
    StreamError,
    pack_end,
    read_blocks,
    read_header,
    write_blocks,
)

MOST = LONGEST - 3
"""Bits that one group may need, so that there are enough candidates."""

MOST_EXAMPLES, MOST_VALUES = 2**16, 2**22
"""The most examples, and the most values of all of them, in a layered stream."""


@dataclass(frozen=True, repr=False)
class Refinement:
    """What a reader has after some of the layers.

    Args:
        size: bytes read.
        t: the time that was reached, 0 for the data.
        array: E[x_0 | x_t] by the model in raw units, (N, *); at t = 0 the data themselves, of the
            type that was written.
    """

    size: int
    t: int
    array: np.ndarray

    def __repr__(self) -> str:
        what = "the data" if self.t == 0 else f"an estimate at time {self.t}"
        return f"{what}, shape {self.array.shape}, after {self.size:,} bytes"


class LayeredCodec:
    r"""Writes arrays so that any prefix of a stream gives an estimate, and all of it the array.

    Each layer takes all examples from x_t to x_s: a draw of q(x_s | x_t, x_0), sent as the index of
    a draw of p(x_s | x_t) (DDPM Alg. 3, by relative entropy coding in groups of values). The last
    layer is x_0 by p(x_0 | x_t). A stream takes more bytes than that of :class:`Codec`, whose draws
    are made of bits that come back: an index takes about as many bits as the KL, and as its
    logarithm.

    Args:
        model: of whole numbers, a space with levels, whose steps have a parameter or two for each
            value (no `Exact` head).
        times: of the chain, one layer each. Few long steps need fewer indices and more bits.
        bits: what a group of values should need. More make shorter streams, and each doubles the
            time of writing.
        portable: see :class:`Codec`.

    Raises:
        TypeError: if the space has no levels.
        ValueError: if `bits` is out of range, or the times make no chain.
    """

    def __init__(
        self,
        model: Model,
        times: int | Sequence[int] | Tensor | None = 12,
        *,
        bits: float = 10.0,
        portable: bool = True,
    ) -> None:
        if not 1 <= bits <= MOST:
            raise ValueError(f"bits must be from 1 to {MOST}, got {bits}")
        if model.space.levels is None:
            raise TypeError(
                f"{type(model.space).__name__} has no levels that all its values share, and is not "
                "written in layers: Codec writes it in one piece"
            )
        self.model, self.bits = model, bits
        self.chain = Chain(model, times, portability=Portable() if portable else Native())

    def __repr__(self) -> str:
        return (
            f"LayeredCodec of {type(self.model.space).__name__} of shape {self.model.space.shape}: "
            f"{len(self.chain.times)} layers"
        )

    def compress(self, x: object) -> bytes:
        """The stream of raw data x (N, *shape), an array or a tensor on any device."""
        file = io.BytesIO()
        self.write(np.asarray(x.detach().cpu() if isinstance(x, Tensor) else unmasked(x)), file)
        return file.getvalue()

    def write(self, x: np.ndarray, file: BinaryIO) -> int:
        """Writes the stream of x (N, *shape) to a file.

        Returns:
            How many bytes it takes.

        Raises:
            ValueError: if x is not of the model's data, or too large for one stream.
        """
        model, chain = self.model, self.chain
        raw = model.space.check(unmasked(x).astype(np.float64)).cpu().double()
        if len(x) > MOST_EXAMPLES or x.size > MOST_VALUES:
            raise ValueError(
                f"{len(x)} examples of {model.space.dims} values are more than the "
                f"{MOST_EXAMPLES:,} examples and {MOST_VALUES:,} values of a layered stream: write "
                "them in parts"
            )
        with reproducible_floats(chain.model), torch.no_grad():
            noise = chain.portability.writer()
            x_t = _Steps(chain).noise(noise, len(x))
            header = replace(
                header_of(model, chain, x, model.host_chunk_size, len(x), "layers"),
                noise=chain.portability.listed(noise).hex(),
            ).with_identity(x)
            size = file.write(header.pack())
            return size + write_blocks(file, header, self._layers(x, raw, x_t))

    def read(self, file: BinaryIO, anyway: bool = False) -> Iterator[Refinement]:
        """What a reader has after each layer, as far as the stream goes.

        The first is the estimate from noise alone, when only the header was read.

        Args:
            file: the stream, or a prefix of it.
            anyway: also read a stream that is not portable and was written with other arithmetic.

        Raises:
            StreamError: if the header is cut short, or any part was altered.
        """
        header = read_header(file, self.model.space.dims)
        check_header(header, self.model, "layers", anyway)
        if header.count > MOST_EXAMPLES or header.count * self.model.space.dims > MOST_VALUES:
            raise StreamError(
                f"the stream claims {header.count:,} examples, more than a layered stream may have"
            )
        return self._refinements(file, header)

    def decompress(self, stream: bytes, anyway: bool = False) -> Refinement:
        """The last refinement of a stream, or of a prefix of one.

        Raises:
            StreamError: if the header is cut short, or any part was altered.
        """
        last = None
        for refinement in self.read(io.BytesIO(stream), anyway):
            last = refinement
        assert last is not None  # there is always a first
        return last

    def _layers(self, x: np.ndarray, raw: Tensor, x_t: Tensor) -> Iterator[Block]:
        chain, steps = self.chain, _Steps(self.chain)
        x_0 = chain.model.space.encode(raw.to(x_t))
        rng = np.random.default_rng(0)
        for k in range(len(chain.times) - 1, 0, -1):
            index = self._choose(k, steps.laws(k, x_t, x_0), rng)
            arithmetic = chain.portability.writer()
            arithmetic.next_law()
            x_t = steps.receive(arithmetic, k, x_t, index)
            yield Block(Coded.layer, len(x), 0, pack_indices(chain.portability, arithmetic, index))
        arithmetic = chain.portability.writer()
        stack = Stack.start(0, arithmetic)
        each = zip(steps.batches(x_t), steps.batches(raw), strict=True)
        for here, given in reversed(list(each)):
            chain.raw_alphabet.push(stack, chain.reverse(here, 0, chain.times[0]), given)
        payload = chain.portability.payload(arithmetic, stack.payload())
        yield Block(Coded.layer, len(x), zlib.crc32(np.ascontiguousarray(x).tobytes()), payload)

    def _choose(
        self, k: int, laws: list[tuple[Family, Family]], rng: np.random.Generator
    ) -> np.ndarray:
        """The indices (N, G) of the groups of layer k, for p and q of each batch."""
        need = torch.cat([q.kl(p).flatten(1) for p, q in laws]) / math.log(2)
        whole = need.sum(1)
        groups = math.ceil(max(whole.mean() / self.bits, whole.max() / MOST))
        groups = max(1, min(groups, need.shape[1]))
        index = np.zeros((len(need), groups), dtype=np.int64)
        row = 0
        for p, q in laws:
            for i in range(len(p.mean)):
                for j, values in enumerate(group_slices(groups)):
                    candidates = SharedCandidates((k, row, j), _part(p, i, values))
                    bits = need[row, values].sum().item()
                    index[row, j] = candidates.choose(_part(q, i, values), bits, rng)
                row += 1
        return index

    def _refinements(self, file: BinaryIO, header: Header) -> Iterator[Refinement]:
        chain, n = chain_of(header, self.model), header.count
        steps, times, layers = _Steps(chain), chain.times, read_blocks(file, header)
        with reproducible_floats(chain.model), torch.no_grad():
            try:
                x_t = steps.noise(chain.portability.reader(bytes.fromhex(header.noise)), n)
            except ValueError as error:
                raise StreamError(f"the header of the stream makes no sense: {error}") from None
            yield Refinement(file.tell(), times[-1], steps.estimate(x_t, times[-1]))
            for k in range(len(times) - 1, 0, -1):
                if (layer := _next_layer(layers, n)) is None:
                    return
                x_t = _as_sent(steps, k, x_t, layer.payload)
                yield Refinement(file.tell(), times[k - 1], steps.estimate(x_t, times[k - 1]))
            if (last := _next_layer(layers, n)) is None:
                return
            array = _exactly(steps, last, x_t, header)
            _check_end(file, layers, header, len(times))
            yield Refinement(file.tell(), 0, array)


class _Steps:
    """The steps of a chain for all examples of a stream, batch by batch."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def batches(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.split(x, self.chain.model.host_chunk_size)

    def laws(self, k: int, x_t: Tensor, x_0: Tensor) -> list[tuple[Family, Family]]:
        """p(x_s | x_t) and q(x_s | x_t, x_0) of each batch."""
        s, t, kernel, found = *self._times(k), self.chain.model.kernel, []
        for here, given in zip(self.batches(x_t), self.batches(x_0), strict=True):
            q = kernel.posterior(here, given, each_at(here, s), each_at(here, t))
            p = self.chain.reverse(here, s, t)
            found.append((p.to(torch.float64), q.to(torch.float64)))
        return found

    def receive(self, arithmetic: Arithmetic, k: int, x_t: Tensor, index: np.ndarray) -> Tensor:
        """x_s, of which the groups are the candidates of their indices."""
        (s, t), found, row = self._times(k), [], 0
        support = self.chain.model.kernel.support
        for here in self.batches(x_t):
            law = self.chain.reverse(here, s, t).to(torch.float64)
            x_s = receive(arithmetic, law, support, k, row, index[row : row + len(here)])
            found.append(x_s.to(here))
            row += len(here)
        return torch.cat(found)

    def noise(self, arithmetic: Arithmetic, n: int) -> Tensor:
        """x_T (n, *): a draw of the prior that both sides make."""
        arithmetic.next_law()
        blank = self.chain.blank(n)
        kernel = self.chain.model.kernel
        law = kernel.prior(blank).to(torch.float64)
        first = np.zeros((n, 1), dtype=np.int64)
        return receive(arithmetic, law, kernel.support, len(self.chain.times), 0, first).to(blank)

    def estimate(self, x_t: Tensor, t: int) -> np.ndarray:
        """E[x_0 | x_t] in raw units."""
        model = self.chain.model
        found = []
        for each in self.batches(x_t):
            here = each.to(model.blank(1).device)
            found.append(model.estimate(here, each_at(here, t)).cpu())
        estimate: np.ndarray = model.space.in_raw_units(torch.cat(found)).numpy()
        return estimate

    def _times(self, k: int) -> tuple[int, int]:
        return self.chain.times[k - 1], self.chain.times[k]


def _check_end(file: BinaryIO, layers: Iterator[Block], header: Header, count: int) -> None:
    """Reads the end after `count` layers. It may be cut short: the values are complete, and their
    checksum is right. What is there of it must be right.

    Raises:
        StreamError: if something else is there.
    """
    begun = file.tell() if file.seekable() else None
    try:
        if next(layers, None) is not None:
            raise StreamError("there are layers after the last one")
    except CutShort:
        if begun is None:
            return
        file.seek(begun)
        if not pack_end(header, count).startswith(file.read()):
            raise StreamError("the end of the stream is damaged") from None


def _next_layer(layers: Iterator[Block], n: int) -> Block | None:
    """The next layer; None where the stream is cut short."""
    try:
        layer = next(layers, None)
    except CutShort:
        return None
    if layer is None:
        raise StreamError("layers are missing")
    if layer.coded is not Coded.layer or layer.count != n:
        raise StreamError(f"a block of {layer.count} examples is no layer of {n}")
    return layer


def _as_sent(steps: _Steps, k: int, x_t: Tensor, payload: bytes) -> Tensor:
    """x_s by the layer of step k."""
    chain = steps.chain
    arithmetic, index = unpack_indices(chain.portability, payload, len(x_t), chain.model.space.dims)
    arithmetic.next_law()
    try:
        return steps.receive(arithmetic, k, x_t, index)
    except (ArithmeticError, ValueError) as error:
        raise StreamError(f"a layer cannot be read: {error}") from None


def _exactly(steps: _Steps, layer: Block, x_t: Tensor, header: Header) -> np.ndarray:
    """The data, by the last layer."""
    chain = steps.chain
    try:
        arithmetic, words = chain.portability.split(layer.payload)
        stack = Stack.resume(words, arithmetic)
        raw = torch.cat(
            [
                chain.raw_alphabet.pop(stack, chain.reverse(here, 0, chain.times[0]), here.double())
                for here in steps.batches(x_t)
            ]
        )
    except (ArithmeticError, ValueError) as error:
        raise StreamError(f"the last layer cannot be read: {error}") from None
    written = np.ascontiguousarray(raw.numpy().astype(header.dtype))
    if zlib.crc32(written.tobytes()) != layer.checksum or not stack.holds_only(0):
        raise StreamError("the last layer: its values are not those that were written")
    return written


def _part(law: Family, row: int, values: slice) -> Family:
    """Some of the values of one example's law, (1, m)."""
    parameters = [getattr(law, field.name) for field in fields(law)]  # type: ignore[arg-type]
    if not all(isinstance(p, Tensor) and p.shape == law.mean.shape for p in parameters):
        raise TypeError(
            f"{type(law).__name__} has parameters that are not one for each value, and cannot be "
            "sent in parts: use a head without Exact"
        )
    return type(law)(*(p.flatten(1)[row : row + 1, values] for p in parameters))
