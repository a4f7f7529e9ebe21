r"""Arrays of whole numbers without a model: in as few bits as hold each, then by xz."""

__all__ = ["pack", "packed_size", "squeeze", "unpack", "unsqueeze"]

import lzma

import numpy as np

PRESET = 9 | lzma.PRESET_EXTREME


def pack(x: np.ndarray, levels: int) -> bytes:
    """Whole numbers below `levels`, in bits if there are two, else in bytes or pairs of them,
    little-endian."""
    if levels == 2:
        return np.packbits(x.astype(np.uint8).ravel()).tobytes()
    return x.astype(_kind(levels)).tobytes()


def unpack(data: bytes, levels: int, shape: tuple[int, ...]) -> np.ndarray:
    """What :func:`pack` packed, int64.

    Raises:
        ValueError: if there is too much or too little of it.
    """
    count = int(np.prod(shape))
    if len(data) != packed_size(count, levels):
        raise ValueError(f"{len(data)} bytes are not {count} values below {levels}")
    if levels == 2:
        return np.unpackbits(np.frombuffer(data, np.uint8), count=count).reshape(shape)
    return np.frombuffer(data, _kind(levels)).reshape(shape)


def packed_size(count: int, levels: int) -> int:
    """Bytes of `count` packed values."""
    return -(-count // 8) if levels == 2 else count * _kind(levels).itemsize


def _kind(levels: int) -> np.dtype:
    return next(np.dtype(k) for k in ("<u1", "<u2", "<u4") if levels <= 256 ** np.dtype(k).itemsize)


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
