"""A job: a directory in, a directory out, in parts, by any engine."""

__all__ = ["Finished", "run"]

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from .._utils.naming import counted, nearest
from ..data.folders import SUFFIXES
from ..diffusion import Diffusion
from ..opened.fitted_table import FittedTable
from ..opened.model import OpenedModel
from ..opened.table import TableModel
from ..reporting.answer import Answer
from ..reporting.console import Display
from .array_verbs import ArrayVerb
from .engines import Engine, Local
from .manifest import Manifest, Part, Plan, Record
from .partition import Partition, partition
from .places import Place, file_system, files_at, is_remote, local_copy
from .table_verbs import TableVerb
from .tasks import Task

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


@dataclass(frozen=True)
class Finished:
    """What a job did.

    Args:
        verb: of the job.
        out: the folder that it wrote.
        records: of all parts.
        resumed: how many parts an earlier run had finished.
    """

    verb: str
    out: str
    records: tuple[Record, ...]
    resumed: int

    @property
    def failed(self) -> tuple[Record, ...]:
        """The parts that were left out."""
        return tuple(record for record in self.records if record.error)

    @property
    def rows(self) -> int:
        """Rows of all answers."""
        return sum(record.rows for record in self.records)

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        sums: dict[str, float] = {}
        for record in self.records:
            for name, value in record.facts.items():
                sums[name] = sums.get(name, 0.0) + value
        if "nats" in sums:
            sums["nats"] /= max(self.rows - sums["impossible"], 1)  # the mean
        failed = [{"source": r.part.about, "error": r.error} for r in self.failed]
        return {
            "out": self.out,
            "rows": self.rows,
            "parts": len(self.records) - len(failed),
            "resumed": self.resumed,
            "seconds": sum(record.seconds for record in self.records),
            **sums,
            "failed": failed,
        }

    def answer(self) -> Answer:
        """For the console."""
        facts = self.facts()
        lines = [
            f"wrote {self.out}: {facts['parts']} of {len(self.records)} parts, {self.rows:,} rows"
        ]
        if self.resumed:
            lines[0] += f"; {self.resumed} parts were finished before"
        if "nats" in facts:
            lines.append(f"mean log-density: {facts['nats']:.4f} nats a row")
            if facts["impossible"]:
                lines[-1] += (
                    f", without {counted(int(facts['impossible']), 'row')} of probability 0, with "
                    "a value that the model does not know"
                )
        if "found" in facts:
            lines.append(f"{facts['found']:.0f} outliers")
        lines += [f"left out: {each['source']}: {each['error']}" for each in facts["failed"]]
        return Answer(facts, lines)

    def __repr__(self) -> str:
        return "\n".join(str(line) for line in self.answer().shown)


def run(
    model: str | Path | OpenedModel,
    verb: str,
    data: str | Path | None,
    out: str | Path,
    *,
    engine: Engine | None = None,
    n: int | None = None,
    retries: int = 2,
    device: str | None = None,
    display: Display | None = None,
    **options: Any,
) -> Finished:
    """Answers all files of a directory into another directory, one file a part.

    The answers do not depend on the engine or on the number of workers. A part is written whole or
    not at all, and the same call goes on after a run that was killed: it makes only what is
    missing. A part that fails is tried again, and then left out with a record in `manifest.json`.

    Args:
        model: a run folder, the name of a pretrained model, or an opened run.
        verb: see :func:`partition`.
        data: a file, a directory, or a pattern such as "data/*.parquet": Parquet, CSV, TSV or
            NumPy files, images, or for "decompress" the streams of a compress job. It may be on s3
            or gs. None for "sample".
        out: the directory to write.
        engine: `Local(workers)` or `OnRay(address, workers)`; by default this process.
        n: the number of draws of "sample".
        retries: how often a failed part is tried again.
        device: where the model computes; the CPU by default.
        display: where progress is shown.
        options: of the verb, see :func:`partition`.

    Raises:
        FileNotFoundError: if there are no such files.
        ValueError: if a file lacks a column or has one of another type than the other files, before
            any work starts: the message names the file.
        FileExistsError: if the directory holds something else.
        ConnectionError: if the engine cannot be reached.
    """
    if not isinstance(model, str | Path | OpenedModel):
        raise TypeError(f"a job takes a run folder or an opened run, got a {type(model).__name__}")
    engine, display = engine or Local(), display or Display(quiet=True)
    work = partition(model, verb, device=device, **options)
    sources = _sources_of(work, data, n)
    parts, unreadable = _parts(work, sources, n, str(out))
    place = Place(str(out))
    plan = Plan(verb, options, _digest(work.source), parts, _sizes(sources))
    engine.check()
    _try_first(work, parts, unreadable)
    manifest = Manifest(place, plan)
    done = manifest.begin()
    missing = [part for part in parts if part.name not in done]
    records = dict(done)
    if done and missing:
        display.say(f"goes on after {len(done)} finished parts of {len(parts)}")
    try:
        with display.counting(verb, len(parts), "parts") as advance:
            advance(len(done))
            for record in engine.map(Task(work, str(out), retries), missing, _lost):
                records[record.part.name] = record
                if record.error:
                    display.say(f"{record.part.about}: {record.error}")
                advance(1)
    except BaseException:  # an interrupt too: the manifest says what there is
        with contextlib.suppress(OSError):
            manifest.end(records.get(p.name, Record(p, error="not reached")) for p in parts)
        raise
    manifest.end(records[part.name] for part in parts)
    return Finished(verb, str(out), tuple(records[part.name] for part in parts), len(done))


def _lost(part: Part, error: str) -> Record:
    return Record(part, error=error)


def _sources_of(work: Partition, data: str | Path | None, n: int | None) -> list[str]:
    if work.verb == "sample":
        if data is not None or n is None or n < 1:
            raise ValueError("a job of `sample` takes a number of draws, 1 or more, and no data")
        return []
    if data is None:
        raise ValueError(f"a job of `{work.verb}` takes data: a directory, a file or a pattern")
    return files_at(str(data))


def _parts(
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
    chosen = [each for each in sources if _suffix(each) in wanted]
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


def _suffix(uri: str) -> str:
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
    if _suffix(uri) == ".parquet":
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
    if _suffix(uri) in (".npy", ".npz"):
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


def _try_first(work: Partition, parts: Sequence[Part], unreadable: Mapping[str, str]) -> None:
    """Answers a few rows of the first file that can be read, so that what is wrong with all files
    is an error before any work starts."""
    if not isinstance(work.answer, TableVerb) or not work.answer.rows_in:
        return
    assert isinstance(work.opened, TableModel)  # as its verbs are those of a table
    for part in parts:
        uri = part.sources[0]
        if uri in unreadable or _suffix(uri) != ".parquet" or is_remote(uri):
            continue
        try:
            piece = pl.scan_parquet(uri).head(8).collect()
            if len(piece):
                work.answer(piece, 0)
        except pl.exceptions.PolarsError:
            continue  # a damaged file, which is found again when its turn comes
        except ValueError as error:
            raise ValueError(f"{uri}: {error}") from None
        return


def _sizes(sources: Iterable[str]) -> dict[str, int]:
    """The bytes of each file."""
    sizes = {}
    for uri in sources:
        if is_remote(uri):
            system, path = file_system(uri)
            sizes[uri] = int(system.get_file_info(path).size or 0)
        else:
            sizes[uri] = Path(uri).stat().st_size
    return sizes


def _digest(source: Path | Diffusion) -> str:
    """What tells a model from others: a digest of the files in its folder."""
    assert isinstance(source, Path)  # as a job takes a run
    found = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        if path.suffix in (".safetensors", ".json") and path.name != "speed.json":
            found.update(f"{path.relative_to(source)}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()
