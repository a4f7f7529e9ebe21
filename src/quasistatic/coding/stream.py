r"""The container of compressed blocks; `docs/format.md` gives it byte by byte."""

__all__ = [
    "CutShort",
    "Header",
    "StreamError",
    "pack_block",
    "pack_end",
    "read_block",
    "read_blocks",
    "read_header",
    "write_blocks",
]

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .blocks import Block, Coded
from .errors import CutShort, StreamError
from .header import WITH_IDENTITY, Header, read_header

_OLD_BLOCK = struct.Struct("<BIIIIII")
_OLD_END = struct.Struct("<BI")
_BLOCK = struct.Struct("<BI8sIIIIIII")
_END = struct.Struct("<BI8s")
_CRC = struct.Struct("<I")

SLACK = 2**16
"""Bytes that a payload may be longer than the values it holds."""

FREE_EXAMPLES, EXAMPLES_PER_BYTE = 4096, 64
"""Examples that a chain block may have: so many, and so many more for each byte of its payload."""

FREE_BYTES, BYTES_PER_BYTE = 2**24, 2**14
"""Bytes of values that a block may have: so many, and so many more for each byte of its payload."""

FREE_WORDS = 2**16
"""Initial words that a block may have besides those that its payload is as long as."""

AT_ONCE = 2**20
"""Bytes that are read at once."""


@dataclass(frozen=True)
class _Head:
    """The head of a block as it was read."""

    coded: Coded
    count: int
    checksum: int
    size: int
    initial_words: int
    least: int
    growth: int
    crc: int | None = None


def pack_block(header: Header, number: int, block: Block) -> bytes:
    """The bytes of a block, of which `number` blocks stand before it."""
    sizes = len(block.payload), block.initial_words, block.least, block.growth
    identity, crc = bytes.fromhex(header.identity), zlib.crc32(block.payload)
    head = _BLOCK.pack(block.coded, number, identity, block.count, block.checksum, *sizes, crc)
    return head + _CRC.pack(zlib.crc32(head)) + block.payload


def write_blocks(file: BinaryIO, header: Header, blocks: Iterable[Block]) -> int:
    """Writes blocks as they come, and the end of the stream; returns how many bytes they take."""
    count = total = 0
    for block in blocks:
        total += file.write(pack_block(header, count, block))
        count += 1
    return total + file.write(pack_end(header, count))


def pack_end(header: Header, count: int) -> bytes:
    """The bytes of the end of a stream of `count` blocks."""
    if header.version < WITH_IDENTITY:
        end = _OLD_END.pack(0, count)
    else:
        end = _END.pack(0, count, bytes.fromhex(header.identity))
    return end + _CRC.pack(zlib.crc32(end))


def read_blocks(file: BinaryIO, header: Header) -> Iterator[Block]:
    """Reads the blocks of a stream one by one, and its end.

    Raises:
        StreamError: which block is damaged, misplaced, cut short or out of bounds, or that the end
            is.
    """
    number = 0
    while (kind := file.read(1)) not in (b"", b"\0"):
        yield read_block(file, header, number, kind)
        number += 1
    _read_end(file, header, number, kind)


def read_block(file: BinaryIO, header: Header, number: int, kind: bytes = b"") -> Block:
    """Reads one block, of which `number` blocks stand before it. It holds no more bytes than the
    header and the length of the payload allow.

    Args:
        file: the stream.
        header: of the stream.
        number: how many blocks stand before it.
        kind: the first byte of the block, if it was read already.

    Raises:
        StreamError: if it is damaged, misplaced, cut short or out of bounds.
    """
    name = f"block {number + 1}"
    old = header.version < WITH_IDENTITY
    head = _read_head(file, header, number, kind, name)
    check_bounds(header, name, head)
    payload = _read_bytes(file, head.size)
    crc = file.read(_CRC.size) if old else _CRC.pack(head.crc)
    if len(payload) < head.size or len(crc) < _CRC.size:
        raise CutShort(f"the stream is cut short in {name}")
    if _CRC.unpack(crc)[0] != zlib.crc32(payload):
        raise StreamError(f"{name} is damaged")
    sizes = head.initial_words, head.least, head.growth
    return Block(head.coded, head.count, head.checksum, payload, *sizes)


def check_bounds(header: Header, name: str, head: "_Head | Block") -> None:
    """Checks that the numbers of a block are within bounds that its payload's length earns.

    Raises:
        StreamError: which number is not.
    """
    size = len(head.payload) if isinstance(head, Block) else head.size
    values = head.count * header.example
    chain = head.coded is Coded.chain
    bounds = [
        ("examples", head.count, header.block),
        ("bytes", size, header.largest + SLACK),
        ("bytes of values", values, FREE_BYTES + BYTES_PER_BYTE * size),
        ("initial words", head.initial_words, chain * (size // 4 + FREE_WORDS)),
    ]
    if chain:
        bounds += [
            ("examples", head.count, FREE_EXAMPLES + EXAMPLES_PER_BYTE * size),
            ("examples in a batch", head.least, header.together),
        ]
    for what, number, limit in bounds:
        if number > limit:
            raise StreamError(f"{name} claims {number:,} {what}, and may have {limit:,} at most")
    if head.count < 1 or (chain and (head.least < 1 or head.growth < 1)):
        raise StreamError(f"{name} claims no examples, or batches without examples")


def _read_head(file: BinaryIO, header: Header, number: int, kind: bytes, name: str) -> _Head:
    layout = _OLD_BLOCK if header.version < WITH_IDENTITY else _BLOCK
    head = kind + file.read(layout.size - len(kind))
    crc = file.read(_CRC.size)
    if len(crc) < _CRC.size:
        raise CutShort(f"the stream is cut short in the head of {name}")
    if _CRC.unpack(crc)[0] != zlib.crc32(head):
        raise StreamError(f"the head of {name} is damaged")
    if layout is _OLD_BLOCK:
        coded, *rest = layout.unpack(head)
    else:
        coded, place, identity, *rest = layout.unpack(head)
        if identity.hex() != header.identity:
            raise StreamError(f"{name} belongs to another stream")
        if place != number:
            raise StreamError(f"{name} was written as block {place + 1}: blocks were moved")
    try:
        return _Head(Coded(coded), *rest)
    except ValueError:
        raise StreamError(f"{name} is coded in an unknown way, {coded}") from None


def _read_end(file: BinaryIO, header: Header, number: int, kind: bytes) -> None:
    layout = _OLD_END if header.version < WITH_IDENTITY else _END
    end = kind + file.read(layout.size - 1)
    crc = file.read(_CRC.size)
    if len(crc) < _CRC.size:
        raise CutShort(f"the stream is cut short at its end, after block {number}")
    if _CRC.unpack(crc)[0] != zlib.crc32(end):
        raise StreamError(f"the end of the stream, after block {number}, is damaged")
    _, count, *identity = layout.unpack(end)
    if identity and identity[0].hex() != header.identity:
        raise StreamError("the end of the stream belongs to another stream")
    if count != number:
        raise StreamError(f"blocks are missing: {count} were written, and {number} were found")
    if file.read(1):
        raise StreamError("there are bytes after the end of the stream")


def _read_bytes(file: BinaryIO, size: int) -> bytes:
    """At most `size` bytes, fewer if the file ends. Memory grows with the bytes that were read."""
    parts, left = [], size
    while left and (part := file.read(min(left, AT_ONCE))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
