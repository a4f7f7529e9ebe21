"""The work on one part of a job: read, answer, write, note."""

__all__ = ["Task"]

import contextlib
import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ..coding import Codec, compress_array
from ..data.numpy_files import read_numpy
from ..data.table_files import write_table
from ..opened.arrays_io import save_array
from ..opened.fitted_table import PIECE
from ..opened.images import ImageModel
from ..opened.table import TableModel
from ..opened.table_coding import ENDING, compress_table, decompress_table
from . import array_verbs
from .array_verbs import ArrayVerb
from .manifest import Part, Record, keep_record
from .partition import Partition
from .places import Place, local_copy
from .table_streams import Compress
from .table_verb import TableVerb

PAUSE = 0.2
"""Seconds before a part is tried again; twice as many before each further trial."""

EXAMPLES = 1024
"""Examples of an array that are in memory at once."""

Written = tuple[int, dict[str, float]]
"""The rows that were written, and the sums over the answers."""


@dataclass(frozen=True)
class Task:
    """Answers the parts of a job, one at a call.

    Args:
        partition: the verb of the model.
        out: the folder that is written.
        retries: how often a part is tried again.
    """

    partition: Partition
    out: str
    retries: int = 2

    def __call__(self, part: Part) -> Record:
        """Answers a part. An error does not stop the job: the record holds it."""
        error = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                record = self._done(part)
            except Exception as found:
                error = f"{type(found).__name__}: {found}"
                continue
            return dataclasses.replace(record, attempts=attempt + 1)
        return Record(part, attempts=self.retries + 1, error=error)

    def _done(self, part: Part) -> Record:
        place, begun = Place(self.out), time.process_time()
        with place.staging() as folder:
            path = folder / part.name
            with _sources(part) as source:
                rows, facts = self._written(part, source, path)
            data = path.read_bytes()
            for other in sorted(folder.iterdir()):
                if other != path:
                    place.keep(other)  # what lies beside a stream comes first
            place.keep(path)
        digest, seconds = hashlib.sha256(data).hexdigest(), time.process_time() - begun
        record = Record(part, rows, len(data), digest, seconds, facts)
        keep_record(place, record)
        return record

    def _written(self, part: Part, source: Path | None, path: Path) -> Written:
        opened, answer = self.partition.opened, self.partition.answer
        if isinstance(answer, TableVerb):
            assert isinstance(opened, TableModel)  # as its verbs are those of a table
            return _table_written(opened, answer, part, source, path)
        return _arrays_written(self.partition, answer, part, source, path)


@contextlib.contextmanager
def _sources(part: Part) -> Iterator[Path | None]:
    """The file of a part on this machine, or a folder of its files; None for draws."""
    if not part.sources:
        yield None
        return
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(local_copy(uri, (ENDING,))) for uri in part.sources]
        if len(files) == 1:
            yield files[0]
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quasistatic-")))
        for file in files:
            (folder / file.name).symlink_to(file.resolve())
        yield folder


def _table_written(
    opened: TableModel, answer: TableVerb, part: Part, source: Path | None, path: Path
) -> Written:
    table = opened.table
    if source is None:
        number = pl.Series("draw", np.arange(part.first, part.first + (part.count or 0)))
        pieces = ((0, pl.DataFrame([piece])) for piece in _split(number))
        return _answers_written(answer, pieces, path)
    if isinstance(answer, Compress):
        report = compress_table(table, answer.codec, source, path)
        return report.examples, {"stream_bytes": float(path.stat().st_size)}
    if answer.name == "decompress":
        header = decompress_table(table, Codec(table.model, workers=1), source, path, False)
        return header.count, {}
    if part.count is None:
        whole = table.file(source).pieces(PIECE)
    else:
        table.file(source)  # the same checks as of a whole file
        some = pl.scan_parquet(source).slice(part.first, part.count)
        whole = (some.slice(i, PIECE).collect() for i in range(0, part.count, PIECE))
    return _answers_written(answer, _numbered(whole, part.first), path)


def _split(numbers: pl.Series) -> Iterator[pl.Series]:
    return (numbers[i : i + PIECE] for i in range(0, len(numbers), PIECE))


def _numbered(pieces: Iterator[pl.DataFrame], first: int) -> Iterator[tuple[int, pl.DataFrame]]:
    for piece in pieces:
        yield first, piece
        first += len(piece)


def _answers_written(
    answer: TableVerb, pieces: Iterator[tuple[int, pl.DataFrame]], path: Path
) -> Written:
    rows, facts = 0, dict[str, float]()

    def answers() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for first, piece in pieces:
            found = answer(piece, first)
            rows += len(found)
            _add(facts, answer.facts(found))
            yield found

    write_table(path, answers())
    return rows, facts


def _arrays_written(
    partition: Partition, answer: ArrayVerb, part: Part, source: Path | None, path: Path
) -> Written:
    opened, model = partition.opened, partition.model
    if answer.name == "decompress":
        assert source is not None  # as it names a stream
        x = model.decompress(source.read_bytes())
        save_array(path, x)
        return len(x), {}
    names: tuple[str, ...]
    if source is None:
        x = np.arange(part.first, part.first + (part.count or 0))
        names = ()
    elif isinstance(opened, ImageModel) and answer.name in ("complete", "impute"):
        x, holes, names = opened.format.read_with_holes(source)
        x = np.where(holes, np.nan, x)
    else:
        x, names = opened.read(source) if hasattr(opened, "read") else (read_numpy(source), ())  # type: ignore[union-attr]
    if isinstance(answer, array_verbs.Compress):
        compress_array(answer.codec, np.asarray(x), path)
        return len(x), {"stream_bytes": float(path.stat().st_size)}
    parts, facts = [], dict[str, float]()
    for first in range(0, len(x), EXAMPLES):
        found = answer(np.asarray(x[first : first + EXAMPLES]))
        _add(facts, answer.facts(found))
        parts.append(found)
    whole = {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}
    if answer.arrays_out:
        save_array(path, whole[answer.arrays_out[0]])
    else:
        key = "file" if source is not None and source.is_dir() else "row"
        labels = list(names) if key == "file" else np.arange(1, len(x) + 1)
        write_table(path, [pl.DataFrame({key: labels, **whole})])
    return len(x), facts


def _add(facts: dict[str, float], more: dict[str, float]) -> None:
    for name, value in more.items():
        facts[name] = facts.get(name, 0.0) + value
