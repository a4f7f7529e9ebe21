"""The rows of a text file as bytes, some megabytes of whole rows at a time."""

__all__ = ["UnclosedQuoteError", "records", "without_first_lines"]

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

CHUNK = 1 << 22
"""Bytes that are in memory together."""

LONGEST = 1 << 27
"""The longest row, in bytes; a quote that nobody closes makes the rest of a file one row."""

QUOTE = 34


class UnclosedQuoteError(Exception):
    """A quote is never closed."""


def records(path: Path, skip: int = 0) -> Iterator[bytes]:
    """Whole rows of a file, some megabytes at a time; each ends in a newline.

    Args:
        path: a file in UTF-8.
        skip: how many lines at its start hold no rows.

    Raises:
        ValueError: if a byte is no UTF-8: its line.
        UnclosedQuoteError: if a row is longer than `LONGEST`.
    """
    left, line = b"", 1 + skip
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        without_first_lines(file, skip)
        while chunk := file.read(CHUNK):
            if not chunk.isascii() or decoder.getstate()[0]:
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    raise _no_utf_8(path, chunk, error, line) from None
            line += chunk.count(b"\n")
            data = left + chunk
            end = _last_end(data)
            if end < 0 and len(data) > LONGEST:
                raise UnclosedQuoteError
            left = data[end + 1 :]
            if end >= 0:
                yield data[: end + 1]
    if decoder.getstate()[0]:
        raise ValueError(f"{path} is no text table in UTF-8, as line {line} shows: it is cut off")
    if left:
        if left.count(b'"') % 2:
            raise UnclosedQuoteError
        yield left if left.endswith(b"\n") else left + b"\n"


def without_first_lines(file: IO[bytes], skip: int) -> None:
    """Moves a file behind a byte-order mark and so many lines."""
    if file.read(3) != codecs.BOM_UTF8:
        file.seek(0)
    for _ in range(skip):
        file.readline()


def _last_end(data: bytes) -> int:
    """The position of the last newline that is not within quotes; -1 if there is none."""
    end = data.rfind(b"\n")
    if b'"' not in data:
        return end
    quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == QUOTE)
    while end >= 0 and int(np.searchsorted(quotes, end)) % 2:
        end = data.rfind(b"\n", 0, end)
    return end


def _no_utf_8(path: Path, chunk: bytes, error: UnicodeDecodeError, line: int) -> ValueError:
    at = min(error.start, len(chunk) - 1)
    row = line + chunk[:at].count(b"\n")
    byte = error.object[error.start]
    before = chunk[max(0, at - 12) : at].split(b"\n")[-1].decode("utf-8", "replace")
    return ValueError(
        f"{path} is no text table in UTF-8, as line {row} shows: the byte 0x{byte:02X} after "
        f"{before!r} is none; name the encoding (fit --encoding cp1252 for Western Windows, "
        "latin-1, utf-16), or save the file as UTF-8"
    )
