r"""A code that may be read in part: layer by layer, from noise to data (DDPM Sec. 4.3)."""

__all__ = ["LayeredCodec", "Refinement"]

import io
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family
from ..model import Model
from .blocks import Block, Coded
from .chain import Chain, each_at, on_host
from .codec import expect, header_of
from .float_reproducibility import computing
from .relative_entropy_coding import LARGEST, Channel
from .stack import Stack
from .stream import CutShort, Header, StreamError, read_blocks, read_header, write_blocks

MOST = math.log2(LARGEST) - 3
"""Bits that one group may need, so that there are candidates enough."""

LONGEST = round(math.log2(LARGEST))
"""Bits of the largest index."""

_LAYER = struct.Struct("<HB")


@dataclass(frozen=True)
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


class LayeredCodec:
    r"""Writes arrays so that any beginning of a stream gives the best guess so far, and all of it
    the array to the last bit.

    Each layer takes all examples from x_t to x_s: a draw of q(x_s | x_t, x_0), told as the index
    of a draw of p(x_s | x_t) (DDPM Alg. 3, made by relative entropy coding in groups of values).
    The last is x_0 by p(x_0 | x_t). It takes more bytes than :class:`Codec`, which borrows its
    draws from what is written: an index of about as many bits as the KL, and as its logarithm.

    Args:
        model: of whole numbers, a space with levels, whose steps have a parameter or two for each
            value (no `Exact` head).
        times: of the chain, one layer each. Few long steps need fewer indices and more bits.
        bits: what a group of values should need. More make shorter streams, and each doubles
            the time that it takes to write.
    """

    def __init__(
        self,
        model: Model,
        times: int | Sequence[int] | Tensor | None = 12,
        *,
        bits: float = 10.0,
    ) -> None:
        if not 1 <= bits <= MOST:
            raise ValueError(f"bits must be from 1 to {MOST:g}, got {bits}")
        if model.space.levels is None:
            raise TypeError(
                f"{type(model.space).__name__} has no levels that all its values share, and is not "
                "written in layers: Codec writes it in one piece"
            )
        self.chain, self.bits = Chain(model, times), bits

    def compress(self, x: object) -> bytes:
        """The stream of raw data x (N, *shape)."""
        file = io.BytesIO()
        self.write(np.asarray(x.cpu() if isinstance(x, Tensor) else x), file)
        return file.getvalue()

    def write(self, x: np.ndarray, file: BinaryIO) -> int:
        """Writes the stream of x (N, *shape) to a file; how many bytes it takes.

        Raises:
            ValueError: if x is not of the model's data.
        """
        model = self.chain.model
        raw = model.space.check(x.astype(np.float64))
        header = header_of(self.chain, x, model.chunk_size, len(x), "layers")
        with computing(model), torch.no_grad():
            size = file.write(header.pack())
            x_0 = model.space.encode(raw.to(model.blank(1)))
            return size + write_blocks(file, self._layers(x, raw.cpu(), x_0))

    def read(self, file: BinaryIO, anyway: bool = False) -> Iterator[Refinement]:
        """What a reader has after each layer, as far as the stream goes; the first is its guess
        from noise alone, when only the header was read.

        Raises:
            StreamError: if the header is cut short, or what is there was altered.
        """
        header = read_header(file)
        expect(header, self.chain.model, "layers", anyway)
        return self._refinements(file, header)

    def decompress(self, stream: bytes, anyway: bool = False) -> Refinement:
        """The last that a stream, or a beginning of one, tells."""
        last = None
        for refinement in self.read(io.BytesIO(stream), anyway):
            last = refinement
        assert last is not None  # there is always a first
        return last

    def _layers(self, x: np.ndarray, raw: Tensor, x_0: Tensor) -> Iterator[Block]:
        model, times = self.chain.model, self.chain.times
        rng = np.random.default_rng(0)
        x_t = _noise(model, times, len(x))
        for k in range(len(times) - 1, 0, -1):
            laws = []
            for here, given in zip(_batches(model, x_t), _batches(model, x_0), strict=True):
                s, t = each_at(here, times[k - 1]), each_at(here, times[k])
                p = model.reverse(here, s, t).to(torch.float64)
                laws.append((p, model.kernel.posterior(here, given, s, t).to(torch.float64)))
            index, x_t = self._send(k, laws, x_t, rng)
            yield Block(Coded.layer, len(x), 0, _pack(index))
        stack = Stack.start(0)
        each = zip(_batches(model, x_t), _batches(model, raw), strict=True)
        for here, given in reversed(list(each)):
            self.chain.raw.push(stack, on_host(model.last(here, each_at(here, times[0]))), given)
        words = stack.payload().astype("<u4").tobytes()
        yield Block(Coded.layer, len(x), zlib.crc32(np.ascontiguousarray(x).tobytes()), words)

    def _send(
        self, k: int, laws: list[tuple[Family, Family]], x_t: Tensor, rng: np.random.Generator
    ) -> tuple[np.ndarray, Tensor]:
        """The indices (N, G) of the groups of layer k, and x_s (N, *) that they tell."""
        need = torch.cat([q.kl(p).flatten(1) for p, q in laws]) / math.log(2)
        whole = need.sum(1)
        groups = math.ceil(max(whole.mean() / self.bits, whole.max() / MOST))
        groups = max(1, min(groups, need.shape[1]))
        index = np.zeros((len(need), groups), dtype=np.int64)
        x_s = torch.empty_like(x_t).flatten(1)
        row = 0
        for p, q in laws:
            for i in range(len(p.mean)):
                for j, values in enumerate(_groups(need.shape[1], groups)):
                    channel = Channel((k, row, j), _part(p, i, values))
                    bits = need[row, values].sum().item()
                    index[row, j], drawn = channel.send(_part(q, i, values), bits, rng)
                    x_s[row, values] = drawn.to(x_s)
                row += 1
        return index, x_s.view_as(x_t)

    def _refinements(self, file: BinaryIO, header: Header) -> Iterator[Refinement]:
        model, times, n = self.chain.model, list(header.times), header.count
        layers = read_blocks(file, header)
        with computing(model), torch.no_grad():
            x_t = _noise(model, times, n)
            yield Refinement(file.tell(), times[-1], _guess(model, x_t, times[-1]))
            for k in range(len(times) - 1, 0, -1):
                try:
                    index = _unpack(next(layers).payload, n)
                except CutShort:
                    return
                x_t = _receive(model, x_t, times[k - 1], times[k], k, index)
                yield Refinement(file.tell(), times[k - 1], _guess(model, x_t, times[k - 1]))
            try:
                last = next(layers)
            except CutShort:
                return
            yield Refinement(file.tell(), 0, self._exactly(last, x_t, times[0], header))

    def _exactly(self, layer: Block, x_t: Tensor, t: int, header: Header) -> np.ndarray:
        model = self.chain.model
        stack = Stack.resume(np.frombuffer(layer.payload, "<u4"))
        raw = torch.cat(
            [
                self.chain.raw.pop(
                    stack, on_host(model.last(here, each_at(here, t))), here.double().cpu()
                )
                for here in _batches(model, x_t)
            ]
        )
        written = np.ascontiguousarray(raw.numpy().astype(header.dtype))
        if zlib.crc32(written.tobytes()) != layer.checksum or not stack.given_back(0):
            raise StreamError("the last layer: its values are not those that were written")
        return written


def _receive(model: Model, x_t: Tensor, s: int, t: int, k: int, index: np.ndarray) -> Tensor:
    """x_s, of which the groups are candidates of that index."""
    x_s, row = torch.empty_like(x_t).flatten(1), 0
    for here in _batches(model, x_t):
        p = model.reverse(here, each_at(here, s), each_at(here, t)).to(torch.float64)
        for i in range(len(here)):
            for j, values in enumerate(_groups(x_s.shape[1], index.shape[1])):
                channel = Channel((k, row, j), _part(p, i, values))
                x_s[row, values] = channel.receive(int(index[row, j])).to(x_s)
            row += 1
    return x_s.view_as(x_t)


def _noise(model: Model, times: Sequence[int], n: int) -> Tensor:
    """x_T (n, *), draws of pi that both sides make."""
    x = model.blank(n).flatten(1)
    prior = model.kernel.prior(model.blank(1)).to(torch.float64)
    for row in range(n):
        channel = Channel((len(times), row, 0), _part(prior, 0, slice(None)))
        x[row] = channel.receive(0).to(x)
    return x.view_as(model.blank(n))


def _guess(model: Model, x_t: Tensor, t: int) -> np.ndarray:
    """E[x_0 | x_t] in raw units."""
    found = [model.estimate(here, each_at(here, t)) for here in _batches(model, x_t)]
    return model.space.in_raw_units(torch.cat(found)).cpu().numpy()


def _batches(model: Model, x: Tensor) -> tuple[Tensor, ...]:
    return x.split(model.chunk_size)


def _groups(values: int, groups: int) -> list[slice]:
    """Values in so many groups, neighbours in different ones, so that all need about as much."""
    return [slice(j, None, groups) for j in range(groups)]


def _part(law: Family, row: int, values: slice) -> Family:
    """Some of the values of one example's law, (1, m)."""
    parameters = [getattr(law, field.name) for field in fields(law)]  # type: ignore[arg-type]
    if not all(isinstance(p, Tensor) and p.shape == law.mean.shape for p in parameters):
        raise TypeError(
            f"{type(law).__name__} has parameters that are not one for each value, and cannot be "
            "sent in parts: use a head without Exact"
        )
    return type(law)(*(p.flatten(1)[row : row + 1, values].cpu() for p in parameters))


def _pack(index: np.ndarray) -> bytes:
    """Indices (N, G): how many groups, the mean length of an index, and the indices by lengths of
    a binomial law with that mean, each in so many bits."""
    length = np.frexp(index.ravel() + 1.0)[1] - 1
    mean = round(255 * length.mean() / LONGEST)
    stack = Stack.start(0)
    stack.push_below(index.ravel() + 1 - (1 << length), 1 << length)
    stack.push_choices(_lengths(mean, index.size), length)
    return _LAYER.pack(index.shape[1], mean) + stack.payload().astype("<u4").tobytes()


def _unpack(payload: bytes, n: int) -> np.ndarray:
    try:
        groups, mean = _LAYER.unpack_from(payload)
        stack = Stack.resume(np.frombuffer(payload[_LAYER.size :], "<u4"))
    except (struct.error, ValueError) as error:
        raise StreamError(f"a layer cannot be read: {error}") from None
    length = stack.pop_choices(_lengths(mean, n * groups))
    index = (1 << length) - 1 + stack.pop_below(1 << length)
    if not stack.given_back(0):
        raise StreamError("a layer holds more than its indices")
    return index.reshape(n, groups)


def _lengths(mean: int, n: int) -> np.ndarray:
    share = min(max(mean / 255, 0.002), 0.998)
    k = np.arange(LONGEST + 1)
    law = [math.comb(LONGEST, i) * share**i * (1 - share) ** (LONGEST - i) for i in k.tolist()]
    return np.tile(law, (n, 1))
