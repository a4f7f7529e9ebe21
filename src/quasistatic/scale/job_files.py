"""The files that a job reads: which there are, the parts that they make, and what is wrong with
them."""

__all__ = ["parts_of", "sizes_of", "sources_of", "suffix_of"]

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from .._utils.naming import nearest
from ..data.folders import SUFFIXES
from ..opened.fitted_table import FittedTable
from ..opened.table import TableModel
from .array_verbs import ArrayVerb
from .manifest import Part
from .partition import Partition
from .places import file_system, files_at, is_remote, local_copy

PART_ROWS = 1_000_000
"""A Parquet file of more rows becomes several parts, so that one long file keeps no worker busy
while the others wait."""

PART_DRAWS = {True: 102_400, False: 4096}
"""Draws of a part: of a table, and of arrays."""

PART_IMAGES = 1024
"""Images of a part."""

TABLES = (".parquet", ".csv", ".tsv", ".txt", ".dat", ".npy", ".npz")
HEAD = 2**16
"""Bytes of a text file by which its columns are checked."""


def sources_of(work: Partition, data: str | Path | None, n: int | None) -> list[str]:
    if work.verb == "sample":
        if data is not None or n is None or n < 1:
            raise ValueError("a job of `sample` takes a number of draws, 1 or more, and no data")
        return []
    if data is None:
        raise ValueError(f"a job of `{work.verb}` takes data: a directory, a file or a pattern")
    return files_at(str(data))


def parts_of(
    work: Partition, sources: Sequence[str], n: int | None, out: str
) -> tuple[list[Part], dict[str, str]]:
    """The parts of the work, and what is wrong with files that cannot be read."""
    table = isinstance(work.opened, TableModel)
    ending = _ending(work)
    if not sources:
        size, total = PART_DRAWS[table], n or 0
        return [
            Part(f"part-{i // size:06}{ending}", (), i, min(size, total - i))
            for i in range(0, total, size)
        ], {}
    images = [each for each in sources if Path(each).suffix.lower() in SUFFIXES]
    if images and not table:
        return [
            Part(f"part-{i // PART_IMAGES:06}{ending}", tuple(images[i : i + PART_IMAGES]))
            for i in range(0, len(images), PART_IMAGES)
        ], {}
    wanted = (".qs",) if work.verb == "decompress" else TABLES if table else (".npy", ".npz")
    chosen = [each for each in sources if suffix_of(each) in wanted]
    if not chosen:
        raise ValueError(
            f"{sources[0]} and the other files have none of the endings {', '.join(wanted)}"
        )
    unreadable: dict[str, str] = {}
    rows: dict[str, int] = {}
    if table and work.verb != "decompress":
        assert isinstance(work.opened, TableModel)
        rows, unreadable = _checked(work.opened.table, work.answer, chosen)
    return list(_of_files(chosen, rows, ending, work.verb)), unreadable


def _of_files(
    files: Sequence[str], rows: Mapping[str, int], ending: str, verb: str
) -> Iterator[Part]:
    taken: set[str] = set()
    for uri in files:
        file = uri.partition("?")[0].rpartition("/")[2]
        stem = file.removesuffix(".qs") if verb == "decompress" else file
        stem = stem.rpartition(".")[0] or stem
        while stem in taken:  # a.csv and a.parquet
            stem += "_"
        taken.add(stem)
        count = rows.get(uri, 0)
        if count <= PART_ROWS or verb == "compress":
            yield Part(f"{stem}{ending}", (uri,))
            continue
        for first in range(0, count, PART_ROWS):
            name = f"{stem}-{first // PART_ROWS:06}{ending}"
            yield Part(name, (uri,), first, min(PART_ROWS, count - first))


def _ending(work: Partition) -> str:
    if work.verb == "compress":
        return ".qs"
    return ".npy" if isinstance(work.answer, ArrayVerb) and work.answer.arrays_out else ".parquet"


def suffix_of(uri: str) -> str:
    return Path(uri.partition("?")[0]).suffix.lower()


def _checked(
    table: FittedTable, answer: object, files: Sequence[str]
) -> tuple[dict[str, int], dict[str, str]]:
    """The rows of Parquet files, and what is wrong with files that cannot be read.

    Raises:
        ValueError: if a file lacks a fitted column, or two files have a column of different types.
    """
    rows: dict[str, int] = {}
    unreadable: dict[str, str] = {}
    first: tuple[str, dict[str, Any]] | None = None
    for uri in files:
        try:
            schema, rows[uri] = _schema(table, uri)
        except _Unreadable as error:
            unreadable[uri] = str(error)
            continue
        absent = [name for name in table.types if name not in schema]
        if absent:
            near = "; ".join(f"{name!r}: {nearest(name, list(schema))}" for name in absent[:20])
            raise ValueError(f"{uri} has no column {near}")
        if first is None:
            first = uri, schema
        for name, kind in schema.items():
            other = first[1].get(name)
            if other is None and name not in table.types:
                raise ValueError(f"{uri} has a column {name!r}, and {first[0]} has none")
            if other != kind:
                raise ValueError(
                    f"column {name!r} is {kind} in {uri}, and {other} in {first[0]}: write all "
                    "files with the same types"
                )
        left = [name for name in first[1] if name not in schema]
        if left:
            raise ValueError(f"{uri} has no column {left[0]!r}, and {first[0]} has one")
    if first is None:
        uri, wrong = next(iter(unreadable.items()))
        raise ValueError(f"none of {len(files)} files can be read: {uri}: {wrong}")
    return rows, unreadable


class _Unreadable(Exception):
    """A file that is damaged."""


def _schema(table: FittedTable, uri: str) -> tuple[dict[str, Any], int]:
    """The types of a file's columns by name, and the rows of a Parquet file, else 0. Of a text file
    only the beginning is read."""
    if suffix_of(uri) == ".parquet":
        try:
            if is_remote(uri):
                import pyarrow.parquet as pq

                system, path = file_system(uri)
                file = pq.ParquetFile(system.open_input_file(path))
                kinds = {f.name: str(f.type) for f in file.schema_arrow}
                return kinds, file.metadata.num_rows
            kinds = {name: str(kind) for name, kind in pl.read_parquet_schema(uri).items()}
            return kinds, int(pl.scan_parquet(uri).select(pl.len()).collect().item())
        except Exception as error:  # each library has errors of its own for a damaged file
            raise _Unreadable(str(error).partition("\n")[0]) from None
    with _head_of(uri) as head:
        try:
            piece = next(table.file(head).pieces(1000))
        except ValueError as error:
            if "there is no column" in str(error):
                raise ValueError(f"{uri}: {error}") from None
            raise _Unreadable(str(error)) from None
        return {name: str(kind) for name, kind in piece.schema.items()}, 0


@contextlib.contextmanager
def _head_of(uri: str) -> Iterator[Path]:
    """The beginning of a text file in a file of its own, or a whole file of another kind."""
    if suffix_of(uri) in (".npy", ".npz"):
        with local_copy(uri) as path:
            yield path
        return
    if is_remote(uri):
        system, inner = file_system(uri)
        with system.open_input_stream(inner) as file:
            data = bytes(file.read(HEAD))
    else:
        with open(uri, "rb") as file:
            data = file.read(HEAD)
    if len(data) == HEAD:
        data = data[: data.rfind(b"\n") + 1] or data
    with tempfile.TemporaryDirectory(prefix="quasistatic-") as folder:
        path = Path(folder) / Path(uri.partition("?")[0]).name
        path.write_bytes(data)
        yield path


def sizes_of(sources: Iterable[str]) -> dict[str, int]:
    """The bytes of each file."""
    sizes = {}
    for uri in sources:
        if is_remote(uri):
            system, path = file_system(uri)
            sizes[uri] = int(system.get_file_info(path).size or 0)
        else:
            sizes[uri] = Path(uri).stat().st_size
    return sizes
