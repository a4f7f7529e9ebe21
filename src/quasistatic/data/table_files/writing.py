"""Which writer a file has: by the ending of its name."""

__all__ = ["is_text", "write_table"]

import codecs
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from ..._utils import files
from .notation import Style

TEXT = (".csv", ".txt", ".dat", ".tsv")
"""The endings of text files."""

Writer = Callable[[BinaryIO, Iterator[pl.DataFrame], Style | None], None]


def is_text(path: str | Path) -> bool:
    """Whether a table of that name is a text file."""
    return Path(path).suffix.lower() in TEXT


def write_table(
    path: str | Path, pieces: Iterable[pl.DataFrame], style: Style | None = None
) -> int:
    """Writes a table piece by piece, by the ending of the file's name, whole or not at all; says
    how many rows it has.

    Args:
        path: the file.
        pieces: its rows.
        style: how a text file is written: separator, decimal mark, encoding, and the notations of
            columns. None writes commas (tabs in a .tsv file), points and UTF-8.

    Raises:
        ValueError: if the ending is not known, or the file cannot hold such columns.
        OSError: if it cannot be written; what was there before is untouched.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"{path} has no ending that is known: use {', '.join(WRITERS)}")
    count = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal count
        for piece in pieces:
            count += len(piece)
            yield piece

    with files.writing(path) as file:
        WRITERS[path.suffix.lower()](file, counted(), style)
    return count


def _write_text(separator: str) -> Writer:
    def write(file: BinaryIO, pieces: Iterator[pl.DataFrame], style: Style | None) -> None:
        own = style or Style(separator)
        parted = "\t" if separator == "\t" else own.separator.replace(" ", ",")
        encoder = codecs.getincrementalencoder(own.encoding)()  # it writes a mark once
        for number, piece in enumerate(pieces):
            cells = pl.DataFrame([own.text(each) for each in piece])
            quoted = cells.select(
                _quoted(name, parted, name in own.quotes.columns) for name in cells.columns
            )
            text = quoted.write_csv(
                include_header=False,
                separator=parted,
                quote_style="never",
                line_terminator=own.line_end,
            )
            if number == 0 and own.header:
                text = _header(piece.columns, parted, own) + text
            file.write(encoder.encode(text))

    return write


def _header(names: Sequence[str], separator: str, style: Style) -> str:
    cells = pl.DataFrame({"name": list(names)})
    quoted = cells.select(_quoted("name", separator, style.quotes.header))["name"]
    return separator.join(quoted) + style.line_end


def _quoted(name: str, separator: str, always: bool) -> pl.Expr:
    """The cells of a column of text with quotes, where they need them or always."""
    cell = pl.col(name)
    made = pl.lit('"') + cell.str.replace_all('"', '""', literal=True) + pl.lit('"')
    if always:
        return made.alias(name)
    needs = cell.str.contains_any([separator, '"', "\n", "\r"]) | (cell == "")
    return pl.when(needs).then(made).otherwise(cell).alias(name)


def _write_npy(file: BinaryIO, pieces: Iterator[pl.DataFrame], style: Style | None) -> None:
    with tempfile.TemporaryFile() as body:
        rows, width = 0, 0
        for piece in pieces:
            array = _numbers(piece)
            rows, width = rows + len(array), array.shape[1]
            body.write(array.tobytes())
        about: Any = {"descr": "<f8", "fortran_order": False, "shape": (rows, width)}
        np.lib.format.write_array_header_1_0(file, about)
        body.seek(0)
        shutil.copyfileobj(body, file)


def _write_npz(file: BinaryIO, pieces: Iterator[pl.DataFrame], style: Style | None) -> None:
    np.savez(file, values=np.concatenate([_numbers(piece) for piece in pieces]))


def _numbers(piece: pl.DataFrame) -> np.ndarray:
    """A piece as numbers (n, C) in float64."""
    for name, kind in piece.schema.items():
        if not (kind.is_numeric() or kind == pl.Boolean):
            raise ValueError(
                f"column {name!r} holds {kind}, and a NumPy file numbers only: write .csv or "
                ".parquet"
            )
    return np.ascontiguousarray(piece.cast(pl.Float64).to_numpy(), dtype="<f8")


def _write_parquet(file: BinaryIO, pieces: Iterator[pl.DataFrame], style: Style | None) -> None:
    with tempfile.TemporaryDirectory() as folder:  # polars writes a file at once, or joins several
        parts = Path(folder)
        for number, piece in enumerate(pieces):
            piece.write_parquet(parts / f"{number:09}.parquet")
        pl.scan_parquet(parts / "*.parquet").sink_parquet(file)


WRITERS: dict[str, Writer] = {
    **dict.fromkeys((".csv", ".txt", ".dat"), _write_text(",")),
    ".tsv": _write_text("\t"),
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
