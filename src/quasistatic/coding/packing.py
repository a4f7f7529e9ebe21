r"""Arrays without a model: whole numbers in as few bits as hold each, then by xz."""

__all__ = [
    "column_limit",
    "pack",
    "pack_column",
    "packed_size",
    "squeeze",
    "unpack",
    "unpack_column",
    "unsqueeze",
]

import lzma
import struct

import numpy as np

from .decimal_grids import multiples

_COLUMN = struct.Struct("<Bq")
LACKS = 128
"""Added to the width of a column with missing values: code 0 is one, and others are 1 higher."""

PRESET = 9 | lzma.PRESET_EXTREME

MEMORY = 2**27
"""Bytes that reading an .xz file may take, whatever window the file asks for."""


def pack(x: np.ndarray, levels: int) -> bytes:
    """Whole numbers below `levels`: a bit each for two levels, else 1, 2, 4 or 8 bytes each,
    little-endian."""
    if levels == 2:
        return np.packbits(x.astype(np.uint8).ravel()).tobytes()
    return x.astype(f"<u{_width(levels)}").tobytes()


def unpack(data: bytes, levels: int, shape: tuple[int, ...]) -> np.ndarray:
    """What :func:`pack` packed.

    Raises:
        ValueError: if the number of bytes is another.
    """
    count = int(np.prod(shape))
    if len(data) != packed_size(count, levels):
        raise ValueError(f"{len(data)} bytes are not {count} values below {levels}")
    if levels == 2:
        return np.unpackbits(np.frombuffer(data, np.uint8), count=count).reshape(shape)
    return np.frombuffer(data, f"<u{_width(levels)}").reshape(shape)


def packed_size(count: int, levels: int) -> int:
    """Bytes of `count` packed values."""
    return -(-count // 8) if levels == 2 else count * _width(levels)


def _width(levels: int) -> int:
    """Bytes of a whole number below `levels`."""
    return next(width for width in (1, 2, 4, 8) if levels <= 256**width)


def pack_column(x: np.ndarray, places: int, narrow: bool) -> bytes:
    """Packs numbers (n,), float64, NaN where one is missing.

    A byte holds a width and eight bytes the least number. Then whole multiples of 10^-places, less
    the least, take so many bytes each. If the numbers are no such multiples, the width is zero, and
    the floats follow: all first bytes, then all second bytes, and so on.
    """
    present = ~np.isnan(x)
    index = np.rint(x[present] * 10.0 ** max(places, 0))
    if places < 0 or multiples(index, places, narrow).tobytes() != x[present].tobytes():
        floats = x.astype("<f4" if narrow else "<f8")
        shuffled = floats.view(np.uint8).reshape(len(x), -1).T
        return _COLUMN.pack(0, 0) + shuffled.tobytes()
    least = int(index.min()) if len(index) else 0
    codes = np.zeros(len(x), np.int64)
    codes[present] = index.astype(np.int64) - least + (not present.all())
    width = _width(int(codes.max()) + 1)
    mark = 0 if present.all() else LACKS
    return _COLUMN.pack(mark | width, least) + codes.astype(f"<u{width}").tobytes()


def unpack_column(
    data: memoryview, count: int, places: int, narrow: bool
) -> tuple[np.ndarray, memoryview]:
    """The first packed column of `count` numbers, and the rest of the data.

    Raises:
        ValueError: if the data are too short, or the width is unknown.
    """
    if len(data) < _COLUMN.size:
        raise ValueError("a column is missing")
    mark, least = _COLUMN.unpack_from(data)
    lacks, width = mark >= LACKS, mark % LACKS
    size = count * (width or (4 if narrow else 8))
    body, rest = data[_COLUMN.size :][:size], data[_COLUMN.size + size :]
    if len(body) < size or width not in (0, 1, 2, 4, 8):
        raise ValueError("a column is cut short, or its width is unknown")
    if width == 0:
        floats = np.frombuffer(body, np.uint8).reshape(-1, count).T.copy()
        return floats.view("<f4" if narrow else "<f8")[:, 0].astype(np.float64), rest
    codes = np.frombuffer(body, f"<u{width}").astype(np.int64)
    found = multiples(codes - lacks + least, max(places, 0), narrow)
    return np.where(codes < lacks, np.nan, found), rest


def column_limit(count: int) -> int:
    """The most bytes that `count` packed numbers take."""
    return _COLUMN.size + 8 * count


def squeeze(data: bytes) -> bytes:
    """The data as an .xz file."""
    # A window as long as the data finds as much, and saves the preset's hundreds of megabytes.
    window = min(max(4096, len(data)), 2**26)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": PRESET, "dict_size": window}]
    return lzma.compress(data, check=lzma.CHECK_NONE, filters=filters)


def unsqueeze(data: bytes, size: int) -> bytes:
    """The `size` bytes that an .xz file holds; it makes no more than one byte more.

    Raises:
        ValueError: if the file is damaged, holds another number of bytes, or needs too much memory.
    """
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        found = reader.decompress(data, max_length=size + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"these are no .xz data: {error}") from None
    if len(found) != size or not reader.eof or reader.unused_data:
        raise ValueError(f"this is no complete .xz file of {size} bytes")
    return found
