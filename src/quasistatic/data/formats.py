"""The file formats of published images. An error names the file and the offset of the damage."""

__all__ = ["Content", "bits", "cifar", "idx", "read"]

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# The third byte of an IDX file names its type; numbers are big-endian.
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CIFAR_PIXELS = 3 * 32 * 32
_LABELS = 10


@dataclass(frozen=True)
class Content:
    """The bytes of a file, unzipped, and where they come from."""

    path: Path
    data: bytes

    def verify(self, published: str) -> None:
        """Compares with a published hash of the unzipped file, `algorithm:hex`.

        Raises:
            ValueError: if the file is another one.
        """
        algorithm, _, known = published.partition(":")
        found = hashlib.new(algorithm, self.data).hexdigest()
        if found != known:
            raise ValueError(
                f"{self.path} is not the published file: its {algorithm} is {found}, and that of "
                f"the published one is {known}; delete it, and fetch or copy it again"
            )

    def damaged(self, offset: int, expected: str, found: str) -> ValueError:
        """The error that says what is wrong at a byte of the (unzipped) file."""
        return ValueError(
            f"{self.path} is damaged at byte {offset}: expected {expected}, found {found}; delete "
            "it, and fetch or copy it again"
        )

    def expect_size(self, size: int, what: str) -> None:
        """Raises an error unless the file has `size` bytes: it is cut short, or holds more."""
        if len(self.data) < size:
            raise self.damaged(len(self.data), f"{size} bytes, {what}", "the end of the file")
        if len(self.data) > size:
            more = len(self.data) - size
            raise self.damaged(size, f"the end of the file, after {what}", f"{more} bytes more")


def read(path: str | Path) -> Content:
    """A file's bytes; a gzipped file is unzipped, whatever its name.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if its gzip stream is damaged or breaks off.
    """
    path = Path(path)
    data = path.read_bytes()
    if data[:2] != b"\x1f\x8b":
        return Content(path, data)
    try:
        return Content(path, gzip.decompress(data))
    except EOFError:
        whole = Content(path, data)
        raise whole.damaged(len(data), "more of a gzip stream", "the end of the file") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is damaged in its first {len(data)} bytes, which are no whole gzip stream "
            f"({error}); delete it, and fetch or copy it again"
        ) from None


def idx(content: Content) -> np.ndarray:
    """The array of an IDX file, MNIST's format, with the shape and the type that it states.

    Raises:
        ValueError: if the header is no IDX header, or the values end early or continue after it.
    """
    data = content.data
    if data[:2] != b"\0\0":
        raise content.damaged(0, "two zero bytes, as an IDX file begins", repr(data[:2])[1:])
    if len(data) < 4:
        raise content.damaged(len(data), "an IDX header of 4 bytes", "the end of the file")
    kind, axes = data[2], data[3]
    if kind not in _IDX_TYPES:
        known = ", ".join(f"0x{each:02X}" for each in _IDX_TYPES)
        raise content.damaged(2, f"an IDX type ({known})", f"0x{kind:02X}")
    start = 4 + 4 * axes
    if len(data) < start:
        raise content.damaged(len(data), f"{axes} sizes up to byte {start}", "the end of the file")
    shape = struct.unpack_from(f">{axes}I", data, 4)
    dtype = np.dtype(_IDX_TYPES[kind])
    # Python's whole numbers: sizes that are nonsense must not wrap round.
    count = 1
    for size in shape:
        count *= size
    sizes = " x ".join(map(str, shape))
    content.expect_size(start + count * dtype.itemsize, f"{sizes} values of {dtype.itemsize} bytes")
    values = np.frombuffer(data, dtype, count, start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def cifar(content: Content, records: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """The images, uint8 (N, 3, 32, 32), and the labels, uint8 (N,), of a binary CIFAR-10 file:
    each record is a label and the red, the green and the blue plane.

    Raises:
        ValueError: if it has another number of records, or a label above 9.
    """
    size = 1 + _CIFAR_PIXELS
    content.expect_size(records * size, f"{records} records of {size} bytes")
    table = np.frombuffer(content.data, np.uint8).reshape(records, size)
    wrong = np.flatnonzero(table[:, 0] >= _LABELS)
    if len(wrong):
        raise content.damaged(int(wrong[0]) * size, "a label from 0 to 9", str(table[wrong[0], 0]))
    return table[:, 1:].reshape(records, 3, 32, 32).copy(), table[:, 0].copy()


def bits(content: Content, width: int) -> np.ndarray:
    """The rows, uint8 (N, width), of a text of `width` digits 0 or 1 a line with a space between
    two.

    Raises:
        ValueError: at the first byte that is another: its line, its offset, what belongs there.
    """
    length = 2 * width
    text = np.frombuffer(content.data, np.uint8)
    lines = text[: len(text) // length * length].reshape(-1, length)
    gaps = np.frombuffer(b" " * (width - 1) + b"\n", np.uint8)
    values = lines[:, ::2] ^ ord("0")  # anything but 0 and 1 becomes 2 or more
    right = (values <= 1).all(1) & (lines[:, 1::2] == gaps).all(1)
    if not right.all():
        raise _wrong_line(content, int(right.argmin()), length)
    if len(text) != lines.size:
        raise _wrong_line(content, len(lines), length)
    return values


def _wrong_line(content: Content, line: int, length: int) -> ValueError:
    """The error about a line, counted from 0, all before which have `length` bytes."""
    digit, gap, end = (b"01", "0 or 1"), (b" ", "a space"), (b"\n", "a line's end")
    wanted = [digit, gap] * (length // 2 - 1) + [digit, end]
    start = line * length
    text = content.data[start : start + length]
    wrong = (place for place, byte in enumerate(text) if byte not in wanted[place][0])
    place = next(wrong, len(text))
    found = repr(text[place : place + 1])[1:] if place < len(text) else "the end of the file"
    belongs = f"{wanted[place][1]} in line {line + 1}, of {length // 2} digits"
    return content.damaged(start + place, belongs, found)
