r"""The container of compressed blocks; `docs/format.md` gives it byte by byte."""

__all__ = [
    "NEWEST",
    "VERSION",
    "CutShort",
    "Header",
    "StreamError",
    "read_blocks",
    "read_header",
    "write_blocks",
]

import json
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np

from .blocks import Block, Coded

MAGIC = b"\x89QST\r\n\x1a\n"
VERSION, NEWEST = 1, 2
"""Of a stream that says nothing of columns, and of one that does."""

_START = struct.Struct("<8sHI")
_BLOCK = struct.Struct("<BIIIIII")
_END = struct.Struct("<BI")
_CRC = struct.Struct("<I")
LONGEST_HEADER, MOST_FACTS = 2**20, 2**24
"""Bytes of a header, compressed and as it was."""

SLACK = 2**16
"""Bytes that an .xz file may be longer than what it holds."""


class StreamError(ValueError):
    """A stream that cannot be read, and why."""


class CutShort(StreamError):
    """A stream that ends before it says that it does."""


@dataclass(frozen=True)
class Header:
    """What a reader needs besides the model.

    Args:
        model: the fingerprint of the model that wrote it.
        space: that model's data space, in words.
        shape: of one example.
        dtype: of the array, as NumPy spells it.
        count: of the examples.
        times: of the chain.
        cells: of a latent value to its least deviation.
        together: examples that the network may see at once.
        block: examples that a block holds at most.
        order: "examples", a block of them after the other, or "layers", of all of them.
        arithmetic: what its numbers depend on, by name.
        values: what is known of columns, if the model does not say all of them, see `values`.
    """

    model: str
    space: str
    shape: tuple[int, ...]
    dtype: str
    count: int
    times: tuple[int, ...]
    cells: float
    together: int
    block: int
    order: str
    arithmetic: dict[str, str]
    values: Any = None

    @property
    def largest(self) -> int:
        """Bytes that a block's values may take, written or read."""
        return self.block * math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def pack(self) -> bytes:
        facts, version = asdict(self), NEWEST
        if self.values is None:
            del facts["values"]
            version = VERSION
        whole = json.dumps(facts, separators=(",", ":")).encode()
        text = zlib.compress(whole, 9)
        if len(whole) > MOST_FACTS or len(text) > LONGEST_HEADER:
            raise ValueError(
                f"examples of shape {self.shape} have more columns than a header can tell of: "
                "write them in parts"
            )
        start = _START.pack(MAGIC, version, len(text)) + text
        return start + _CRC.pack(zlib.crc32(start))

    @classmethod
    def of(cls, text: bytes) -> "Header":
        try:
            facts = json.loads(zlib.decompressobj().decompress(text, MOST_FACTS))
            facts |= {name: tuple(facts[name]) for name in ("shape", "times")}
            header = cls(**facts)
            np.dtype(header.dtype)
        except (ValueError, TypeError, KeyError, zlib.error) as error:
            raise StreamError(f"the header of the stream makes no sense ({error!r})") from None
        return header


def read_header(file: BinaryIO) -> Header:
    """The header of a stream, which leaves the file at its first block.

    Raises:
        StreamError: if it is none, a newer one, or damaged.
    """
    start = file.read(_START.size)
    if start[:8] != MAGIC[: len(start[:8])] or not start:
        raise StreamError("this is no stream of compressed data: it does not begin like one")
    if len(start) < _START.size:
        raise StreamError("the stream is cut short in its header")
    _, version, length = _START.unpack(start)
    if version not in (VERSION, NEWEST):
        raise StreamError(
            f"the stream has version {version}, and this release reads {VERSION} and {NEWEST}: use "
            "the release that wrote it"
        )
    rest = file.read(min(length, LONGEST_HEADER) + _CRC.size)
    if length > LONGEST_HEADER or len(rest) < length + _CRC.size:
        raise StreamError("the header of the stream is damaged, or cut short")
    text, crc = rest[:length], _CRC.unpack(rest[length:])[0]
    if zlib.crc32(start + text) != crc:
        raise StreamError("the header of the stream is damaged")
    return Header.of(text)


def write_blocks(file: BinaryIO, blocks: Iterable[Block]) -> int:
    """Writes blocks, one after the other as they come, and the end of the stream; how many bytes
    they take."""
    count = total = 0
    for block in blocks:
        sizes = len(block.payload), block.borrowed, block.least, block.growth
        head = _BLOCK.pack(block.coded, block.count, block.checksum, *sizes)
        total += file.write(head + _CRC.pack(zlib.crc32(head)))
        total += file.write(block.payload + _CRC.pack(zlib.crc32(block.payload)))
        count += 1
    end = _END.pack(0, count)
    return total + file.write(end + _CRC.pack(zlib.crc32(end)))


def read_blocks(file: BinaryIO, header: Header) -> Iterator[Block]:
    """The blocks of a stream, one after the other; no more bytes are held than the header allows.

    Raises:
        StreamError: which block is damaged or cut short, or that the end is.
    """
    number = 0
    while True:
        number += 1
        kind = file.read(1)
        if kind in (b"", b"\0"):
            break
        yield _read_block(file, kind, f"block {number}", header)
    rest = kind + file.read(_END.size - 1)
    told = file.read(_CRC.size)
    if len(told) < _CRC.size:
        raise CutShort(f"the stream is cut short at its end, after block {number - 1}")
    if _CRC.unpack(told)[0] != zlib.crc32(rest):
        raise StreamError(f"the end of the stream, after block {number - 1}, is damaged")
    if _END.unpack(rest)[1] != number - 1:
        raise StreamError(f"blocks are missing: {_END.unpack(rest)[1]} were written")
    if file.read(1):
        raise StreamError("there are bytes after the end of the stream")


def _read_block(file: BinaryIO, kind: bytes, name: str, header: Header) -> Block:
    head = kind + file.read(_BLOCK.size - 1)
    told = file.read(_CRC.size)
    if len(told) < _CRC.size:
        raise CutShort(f"the stream is cut short in the head of {name}")
    if _CRC.unpack(told)[0] != zlib.crc32(head):
        raise StreamError(f"the head of {name} is damaged")
    coded, count, checksum, size, *rest = _BLOCK.unpack(head)
    if size > (limit := header.largest + SLACK) or count > header.block:
        raise StreamError(
            f"{name} claims {count} examples in {size:,} bytes, more than the {header.block} in "
            f"{limit:,} that one may have"
        )
    payload, told = file.read(size), file.read(_CRC.size)
    if len(told) < _CRC.size:
        raise CutShort(f"the stream is cut short in {name}")
    if _CRC.unpack(told)[0] != zlib.crc32(payload):
        raise StreamError(f"{name} is damaged")
    try:
        return Block(Coded(coded), count, checksum, payload, *rest)
    except ValueError:
        raise StreamError(f"{name} is coded in a way that is not known, {coded}") from None
