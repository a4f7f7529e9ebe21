"""The report of a run: its score beside baselines, and the sections of its page."""

__all__ = ["UNITS", "Assessment", "Row", "assess", "sections"]

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .._utils import serialization
from ..likelihood import Score
from ..recipes.recipe import Recipe
from ..recipes.runs import TrainedRun
from ..reporting import figures
from ..reporting.answer import TextTable
from ..reporting.html import Section, Table
from ..reporting.numbers import with_error

_HISTOGRAM = "Held-out examples. Those left of a line need fewer bits than that model's mean."
UNITS = "Bits per dimension are a code length: lower is better. K and log p are in bits an example."


@dataclass(frozen=True)
class Row:
    """A mean over examples and its standard error."""

    name: str
    bits_per_dim: float
    stderr: float

    def cells(self) -> tuple[str, str, str]:
        """The cells of a table, to four decimals."""
        return self.name, f"{self.bits_per_dim:.4f}", f"{self.stderr:.4f}"

    def __str__(self) -> str:
        return with_error(self.bits_per_dim, self.stderr)


@dataclass(frozen=True)
class Assessment:
    """The score of a run's test rows beside baselines, in the same units.

    Args:
        score: of the test rows.
        rows: bits per dimension of the model first, then of the truth and of the baselines.
        gap: mean and standard error, over rows, of log p - K in bits an example, if p is known.
    """

    score: Score
    rows: tuple[Row, ...]
    gap: tuple[float, float] | None

    def facts(self) -> dict[str, Any]:
        """The figures as JSON values."""
        score = self.score
        terms = {name: value.mean().item() / math.log(2) for name, value in score.terms.items()}
        known = {} if self.gap is None else {"gap_to_truth_bits": self.gap[0]}
        return known | {
            "examples": len(score.nats),
            "evaluations": score.evaluations,
            "bits": score.bits.mean().item(),
            "bits_stderr": score.stderr(score.bits),
            "nats": score.nats.mean().item(),
            "bits_per_dim": self.rows[0].bits_per_dim,
            "bits_per_dim_stderr": self.rows[0].stderr,
            "above_null_bits": score.above_null.mean().item() / math.log(2),
            "terms_bits": terms,
            "others": {row.name: [row.bits_per_dim, row.stderr] for row in self.rows[1:]},
        }

    def with_errors(self) -> list[tuple[str, str]]:
        """Name and `value ± standard error` of the bound and its terms, for a page."""
        return [
            (name, with_error(float(value), float(error))) for name, value, error in self.lines()
        ]

    def verdict(self, name: str) -> str:
        """The result of a run in one sentence, beside the best baseline.

        Args:
            name: of the run.
        """
        own, *others = self.rows
        found = f"{name}: {own} bits per dimension on {len(self.score.nats)} held-out examples"
        if not others:
            return found
        best = min(others, key=lambda row: row.bits_per_dim)
        return f"{found}; {best.name}: {best}"

    def tables(self) -> list[TextTable]:
        """The same figures as tables for the console."""
        title = "bits per dimension (lower is better)"
        cells = [row.cells() for row in self.rows]
        return [
            TextTable(title, ("model", "mean", "s.e."), cells),
            TextTable("the bound", ("", "mean", "s.e."), self.lines()),
        ]

    def __repr__(self) -> str:
        found = [
            f"{r.name}: {r.bits_per_dim:.4f} ± {r.stderr:.4f} bits per dimension" for r in self.rows
        ]
        return "\n".join(found[:5])

    def lines(self) -> list[tuple[str, str, str]]:
        """Name, value and standard error of the bound and its terms, for a table."""
        score = self.score
        bits, error = score.bits.mean().item(), score.stderr(score.bits)
        above = score.above_null / math.log(2)
        lines = [
            ("K, bits an example (higher is better)", f"{bits:.4f}", f"{error:.4f}"),
            ("K, nats an example", f"{score.nats.mean().item():.4f}", f"{score.stderr():.4f}"),
            ("K - L_null, bits", f"{above.mean().item():.4f}", f"{score.stderr(above):.4f}"),
        ]
        if self.gap is not None:
            gap, spread = (f"{value:.4f}" for value in self.gap)
            lines.append(("log p - K, bits (0 is perfect)", gap, spread))
        for name, value in score.terms.items():
            part = value / math.log(2)
            lines.append(
                (f"  of K: {name}", f"{part.mean().item():.4f}", f"{score.stderr(part):.4f}")
            )
        return lines


def assess(run: TrainedRun, score: Score) -> Assessment:
    """Puts a score of the run's test rows beside its baselines and the truth.

    Args:
        run: the run, whose recipe knows the baselines.
        score: of all test rows, in their order.
    """
    experiment, model = run.experiment, run.model
    rows = [_row("this model", score.bits_per_dim.double().cpu().numpy())]
    gap = None
    if experiment.truth is not None:
        per_dim = math.log(2) * model.space.dims
        rows.append(_row("truth", -experiment.truth / per_dim))
        gaps = (experiment.truth - score.nats.double().cpu().numpy()) / math.log(2)
        gap = (gaps.mean().item(), (gaps.std(ddof=1) / len(gaps) ** 0.5).item())
    others = experiment.baselines(experiment.data)
    rows += [_row(name, bits) for name, bits in others.items()]
    return Assessment(score, tuple(rows), gap)


def sections(run: TrainedRun, result: Assessment, rng: torch.Generator) -> list[Section]:
    """The sections of one run's page.

    Args:
        run: the run.
        result: its score beside the baselines.
        rng: a generator for the draws in figures.
    """
    recipe, experiment = run.recipe, run.experiment
    name = "Model" if recipe is None else type(recipe).__name__
    about = [] if recipe is None else [_summary(recipe)]
    if recipe is not None:
        about.append(f"Should reach: {recipe.reaches}.")
    data = experiment.data
    sizes = f"{len(data.train)} training rows, {len(data.valid)} validation rows, "
    about.append(sizes + f"{len(data.test)} test rows, scored once.")
    baselines = {row.name: row.bits_per_dim for row in result.rows[1:]}
    found = [
        Section(
            f"{name}: likelihood of held-out data",
            [*about, UNITS],
            Table(("model", "bits per dimension"), [(r.name, str(r)) for r in result.rows]),
            [(_HISTOGRAM, figures.score_histogram(result.score, baselines))],
            settings=None if run.recipe is None else _settings(run),
            result=result.verdict(name),
        ),
        Section(f"{name}: the bound", (), Table(("", "mean"), result.with_errors())),
        Section(
            f"{name}: figures",
            figures=[
                (caption, make(run.model, data.test, rng)) for caption, make in experiment.pictures
            ],
        ),
    ]
    if run.metrics:
        curve = [("Loss and held-out bound", figures.training_curve(run.metrics))]
        found.append(Section(f"{name}: training", figures=curve))
    return found


def _summary(recipe: Recipe) -> str:
    """The recipe's docstring without its arguments."""
    return " ".join((type(recipe).__doc__ or "").partition("Args:")[0].split())


def _row(name: str, bits: np.ndarray) -> Row:
    return Row(name, float(bits.mean()), float(bits.std(ddof=1) / len(bits) ** 0.5))


def _settings(run: TrainedRun) -> Table:
    described = serialization.describe(run.recipe)
    flat = {k: v for k, v in described.items() if k not in ("is", "fit")}
    flat |= {f"fit.{k}": v for k, v in described["fit"].items() if k != "is"}
    return Table(("setting", "value"), [(name, str(value)) for name, value in flat.items()])
