"""A job: a directory in, a directory out, in parts, by any engine."""

__all__ = ["Finished", "run"]

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from .._utils.naming import counted
from ..diffusion import Diffusion
from ..opened.model import OpenedModel
from ..opened.table import TableModel
from ..reporting.answer import Answer
from ..reporting.console import Display
from .engines import Engine, Local
from .job_files import parts_of, sizes_of, sources_of, suffix_of
from .manifest import Manifest, Part, Plan, Record
from .partition import Partition, partition
from .places import Place, is_remote
from .table_verb import TableVerb
from .tasks import Task


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
    not at all, and the same call continues after a run that was killed: it makes only what is
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
    sources = sources_of(work, data, n)
    parts, unreadable = parts_of(work, sources, n, str(out))
    place = Place(str(out))
    plan = Plan(verb, options, _digest(work.source), parts, sizes_of(sources))
    engine.check()
    _try_first(work, parts, unreadable)
    manifest = Manifest(place, plan)
    done = manifest.begin()
    missing = [part for part in parts if part.name not in done]
    records = dict(done)
    if done and missing:
        display.say(f"continues after {len(done)} finished parts of {len(parts)}")
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


def _try_first(work: Partition, parts: Sequence[Part], unreadable: Mapping[str, str]) -> None:
    """Answers a few rows of the first file that can be read, so that what is wrong with all files
    is an error before any work starts."""
    if not isinstance(work.answer, TableVerb) or not work.answer.rows_in:
        return
    assert isinstance(work.opened, TableModel)  # as its verbs are those of a table
    for part in parts:
        uri = part.sources[0]
        if uri in unreadable or suffix_of(uri) != ".parquet" or is_remote(uri):
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


def _digest(source: Path | Diffusion) -> str:
    """What tells a model from others: a digest of the files in its folder."""
    assert isinstance(source, Path)  # as a job takes a run
    found = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        if path.suffix in (".safetensors", ".json") and path.name != "speed.json":
            found.update(f"{path.relative_to(source)}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()
