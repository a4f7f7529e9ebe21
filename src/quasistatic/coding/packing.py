r"""Arrays without a model: whole numbers in as few bits as hold each, then by xz."""

__all__ = [
    "most_of_column",
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
"""Marks the width of a column that lacks values: 0 stands for one, and the others are 1 higher."""

PRESET = 9 | lzma.PRESET_EXTREME


def pack(x: np.ndarray, levels: int) -> bytes:
    """Whole numbers below `levels`, in bits if there are two, else in bytes or pairs of them,
    little-endian."""
    if levels == 2:
        return np.packbits(x.astype(np.uint8).ravel()).tobytes()
    return x.astype(f"<u{_width(levels)}").tobytes()


def unpack(data: bytes, levels: int, shape: tuple[int, ...]) -> np.ndarray:
    """What :func:`pack` packed.

    Raises:
        ValueError: if there is too much or too little of it.
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
    """Numbers (n,), float64, NaN where one is missing. A byte of width and the least in eight, then
    whole multiples of 10^-places, less the least, in so many bytes each; or, if they are none, a
    width of zero and the floats, their first bytes together, then their second ones."""
    there = ~np.isnan(x)
    index = np.rint(x[there] * 10.0 ** max(places, 0))
    if places < 0 or multiples(index, places, narrow).tobytes() != x[there].tobytes():
        floats = x.astype("<f4" if narrow else "<f8")
        shuffled = floats.view(np.uint8).reshape(len(x), -1).T
        return _COLUMN.pack(0, 0) + shuffled.tobytes()
    least = int(index.min()) if len(index) else 0
    codes = np.zeros(len(x), np.int64)
    codes[there] = index.astype(np.int64) - least + (not there.all())
    width = _width(int(codes.max()) + 1)
    mark = 0 if there.all() else LACKS
    return _COLUMN.pack(mark | width, least) + codes.astype(f"<u{width}").tobytes()


def unpack_column(
    data: memoryview, count: int, places: int, narrow: bool
) -> tuple[np.ndarray, memoryview]:
    """The first column of `count` numbers that was packed, and what follows it.

    Raises:
        ValueError: if there is none.
    """
    if len(data) < _COLUMN.size:
        raise ValueError("a column is missing")
    mark, least = _COLUMN.unpack_from(data)
    lacks, width = mark >= LACKS, mark % LACKS
    size = count * (width or (4 if narrow else 8))
    body, rest = data[_COLUMN.size :][:size], data[_COLUMN.size + size :]
    if len(body) < size or width not in (0, 1, 2, 4, 8):
        raise ValueError("a column is cut short, or of no width")
    if width == 0:
        floats = np.frombuffer(body, np.uint8).reshape(-1, count).T.copy()
        return floats.view("<f4" if narrow else "<f8")[:, 0].astype(np.float64), rest
    codes = np.frombuffer(body, f"<u{width}").astype(np.int64)
    found = multiples(codes - lacks + least, max(places, 0), narrow)
    return np.where(codes < lacks, np.nan, found), rest


def most_of_column(count: int) -> int:
    """Bytes that `count` packed numbers take, at most."""
    return _COLUMN.size + 8 * count


def squeeze(data: bytes) -> bytes:
    """The same as an .xz file."""
    # A window as long as the data finds as much, and spares the preset's hundreds of megabytes.
    window = min(max(4096, len(data)), 2**26)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": PRESET, "dict_size": window}]
    return lzma.compress(data, check=lzma.CHECK_NONE, filters=filters)


def unsqueeze(data: bytes, size: int) -> bytes:
    """What an .xz file holds, if that is `size` bytes: never more are made.

    Raises:
        ValueError: if it is something else.
    """
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        found = reader.decompress(data, max_length=size + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"no .xz data: {error}") from None
    if len(found) != size or not reader.eof or reader.unused_data:
        raise ValueError(f"it is no whole .xz file of {size} bytes")
    return found
