"""The options of sandwich, grid, budget, check and report."""

__all__ = ["Budget", "Check", "Grid", "Report", "Sandwich"]

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..arguments import EVERY, Kinds, Range, option
from . import shared
from .shared import ONE_OR_MORE, ONLY_TABLES, RUNS


@dataclass
class Sandwich:
    """Estimate log p of the model's own draws from below and from above.

    The gap shows how far the bound can be from the truth."""

    kinds: ClassVar[Kinds] = RUNS

    run: Path = shared.folder()
    n: int | None = option("Number of examples to draw.", 64, "INT", within=Range(1, 10**9))
    paths: int | None = option("Weighted paths for each draw.", 1, "INT", within=ONE_OR_MORE)
    times: int | None = shared.times()
    seed: int | None = shared.seed()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Grid:
    """Find the time steps that short chains should visit.

    Measures the cost of a step between any two times on held-out data, and saves the best paths for
    --path of sample, score, complete and compress."""

    kinds: ClassVar[Kinds] = RUNS

    run: Path = shared.folder()
    steps: tuple[int, ...] | None = option(
        "Lengths of the paths to save, in time steps.", "10 25 50 100", "INT [INT ...]"
    )
    data: Path | None = shared.held_out()
    examples: int | None = option(
        "Number of held-out examples to measure on.", 128, "INT", within=ONE_OR_MORE
    )
    candidates: int | None = option(
        "Number of evenly spread time steps that a path may visit.", 128, "INT", within=Range(2)
    )
    seed: int | None = shared.seed()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Budget:
    """Draw the entropy budget: which time steps carry the bits.

    Compares SD15's bounds on the entropy of each reverse step (Eq. 24) with the model's own
    cross-entropy."""

    kinds: ClassVar[Kinds] = RUNS

    run: Path = shared.folder()
    data: Path | None = shared.held_out()
    examples: int | None = option(
        "Number of test examples to measure on.", 128, "INT", within=ONE_OR_MORE
    )
    times: int | None = shared.times()
    out: Path | None = shared.out("The figure to write (.png).", "entropy.png in the run")
    seed: int | None = shared.seed()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Check:
    """Test the identities that every model must satisfy."""

    kinds: ClassVar[Kinds] = RUNS

    run: Path = shared.folder()
    data: Path | None = shared.held_out()
    seed: int | None = shared.seed()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Report:
    """Write a page about one run or several, with scores and figures.

    The page of a fitted table shows its columns and draws beside the rows of --data."""

    kinds: ClassVar[Kinds] = EVERY

    runs: tuple[Path, ...] = option(
        "Run folders, or names of pretrained models.",
        "required",
        "RUN [RUN ...]",
        positional=True,
    )
    data: Path | None = option(
        "A table file whose rows are shown beside draws.",
        "the rows that were held back",
        "PATH",
        only=ONLY_TABLES,
    )
    evaluations: int | None = option(
        "Network evaluations for each test row.",
        "100; 25 for own images and signals",
        "INT",
        only=RUNS,
        within=ONE_OR_MORE,
    )
    out: Path | None = shared.out("The page to write.", "report.html in the run")
    seed: int | None = shared.seed()
    device: str | None = shared.device()
    json: bool = shared.json()
