"""Files of rows for a fitted table: how likely and how strange each row is, and compressed."""

__all__ = ["score", "shrink"]

import lzma
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...coding import Codec
from ...opened.table_coding import compress_table
from ..asked import Asked, Upload
from ..files import FOLDER, stored
from ..jobs import Event, Job
from ..snippets import Snippet, command
from ..subjects import Table
from ..watching import watched

STEPS = 50
"""Steps of the chain by which rows are coded."""

PIECE, MOST_ROWS, LISTED, LEVEL = 500, 20_000, 20, 0.05
"""Rows between two checks whether to stop, rows that are scored, rows that are listed, and the
level of the verdict."""


def score(subject: Table, asked: Asked, job: Job) -> Event:
    """Scores the rows of a file, and lists the strangest with reasons."""
    upload, table = _one(asked), subject.table
    evaluation = _Rows(subject)
    with stored([upload]) as [path]:
        total = min(table.file(path).rows, MOST_ROWS)
        for piece in table.pieces(path, PIECE):
            evaluation.add(piece)
            job.progress(evaluation.count, total, "rows")
            if evaluation.count >= MOST_ROWS:
                break
    facts = evaluation.facts()
    python = [
        "import numpy as np",
        "import quasistatic as qs",
        "",
        f"model = qs.open({subject.word!r})",
        f"pieces = list(model.read({upload.name!r}))",
        "log_prob = np.concatenate([model.table.score(piece) for piece in pieces])",
    ]
    if evaluation.detector is not None:
        python += [
            f"detector = model.table.detector({LEVEL})",
            "p_value = np.concatenate([detector.judged(piece).p_value for piece in pieces])",
        ]
    line = command(
        "score", subject.word, options=[("--data", upload.name), ("--out", "scores.csv")]
    )
    if evaluation.detector is not None:
        line += "\n" + command(
            "outliers", subject.word, upload.name, options=[("--out", "outliers.csv")]
        )
    return facts | {"of": total, "snippet": Snippet("\n".join(python), line).facts()}


class _Rows:
    """Scores of rows that come in pieces.

    Args:
        subject: the table.
    """

    def __init__(self, subject: Table) -> None:
        self.table = subject.table
        held_back = len(self.table.held_back())
        self.detector = self.table.detector(LEVEL) if held_back else None
        self.explains = self.table.density.fitted_.closed_form is not None
        self.pieces: list[pl.DataFrame] = []
        self.log_prob: list[np.ndarray] = []
        self.p_value: list[np.ndarray] = []
        self.costs: list[np.ndarray] = []
        self.count = 0

    def add(self, piece: pl.DataFrame) -> None:
        """Scores a piece."""
        self.pieces.append(piece)
        self.count += len(piece)
        self.log_prob.append(self.table.score(piece))
        if self.detector is not None:
            self.p_value.append(self.detector.judged(piece).p_value)
        if self.explains:
            self.costs.append(self.table.density.column_costs(piece))

    def facts(self) -> dict[str, Any]:
        """The means, the costs of the columns, and the strangest rows."""
        if not self.count:
            raise ValueError("the file holds no rows")
        log_prob = np.concatenate(self.log_prob)
        names, finite = list(self.table.types), log_prob[np.isfinite(log_prob)]
        per_dim = math.log(2) * len(names)
        rank = log_prob
        p_value = np.concatenate(self.p_value) if self.p_value else None
        order = np.lexsort((rank, p_value)) if p_value is not None else np.argsort(rank)
        order = order[:LISTED]
        rows = pl.concat(self.pieces)[order]
        reasons = [""] * len(order)
        if self.detector is not None and self.explains:
            reasons = [str(each) for each in self.detector.explain(rows)]
        listed = []
        for k, row in enumerate(order.tolist()):
            p = None if p_value is None else float(p_value[row])
            listed.append(
                {"row": row + 1, "log_prob": float(log_prob[row]), "p_value": p, "why": reasons[k]}
            )
        columns = {}
        if self.costs:
            costs = np.concatenate(self.costs)
            means = np.where(np.isfinite(costs), costs, np.nan)
            columns = dict(zip(names, (np.nanmean(means, 0) / math.log(2)).tolist(), strict=True))
        error = float(finite.std(ddof=1) / len(finite) ** 0.5) if len(finite) > 1 else None
        mean = float(finite.mean()) if len(finite) else None
        return {
            "rows": self.count,
            "nats": mean,
            "stderr": error,
            "bits_per_dim": None if mean is None else -mean / per_dim,
            "impossible": self.count - len(finite),
            "values": finite.tolist(),
            "columns": columns,
            "strange": None if p_value is None else int((p_value <= LEVEL).sum()),
            "level": LEVEL,
            "calibrated_on": len(self.table.held_back()),
            "listed": listed,
            "about": self.table.about,
        }


def shrink(subject: Table, asked: Asked, job: Job) -> Event:
    """Compresses a file of rows, and compares it with general compressors."""
    upload, table = _one(asked), subject.table
    with (
        tempfile.TemporaryDirectory(prefix=FOLDER) as folder,
        stored([upload]) as [path],
    ):
        rows = table.file(path).rows
        model, _ = watched(table.model, job, 0)
        times = asked.whole("times", min(STEPS, model.steps), 2, model.steps)
        codec = Codec(model, times, verify=False)
        target = Path(folder) / "rows.qs"
        job.progress(0, 1)
        report = compress_table(table, codec, path, target)
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
        beside = sum(each.stat().st_size for each in Path(folder).iterdir() if each != target)
        parquet = Path(folder) / "rows.parquet"
        pl.concat(table.pieces(path)).write_parquet(
            parquet, compression="zstd", compression_level=22
        )
        sizes = [
            ("the file", len(upload.data)),
            ("xz", len(lzma.compress(upload.data, preset=9 | lzma.PRESET_EXTREME))),
            ("Parquet, zstd", parquet.stat().st_size),
            ("this model", size),
        ]
    python = [
        "import quasistatic as qs",
        "",
        f"model = qs.open({subject.word!r})",
        f'answer = model.compress({upload.name!r}, out="rows.qs", times={times})',
    ]
    options = [("--times", times), ("--out", "rows.qs")]
    line = command("compress", subject.word, upload.name, options=options)
    return {
        "sizes": sizes,
        "count": rows,
        "bits_per_dim": report.bits_per_dim,
        "net_bits_per_dim": report.net_bits_per_dim,
        "pays_off": report.pays_off,
        "beside": beside,
        "snippet": Snippet("\n".join(python), line).facts(),
    }


def _one(asked: Asked) -> Upload:
    uploads = asked.uploads()
    if len(uploads) > 1:
        raise ValueError(f"give one file of rows at a time, got {len(uploads)}")
    return uploads[0]
