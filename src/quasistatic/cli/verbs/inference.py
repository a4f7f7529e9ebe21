"""The options of sample, score, complete, impute and outliers."""

__all__ = ["Complete", "Impute", "Outliers", "Sample", "Score"]

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ...opened import IMAGES, TABLE
from ..arguments import EVERY, Kinds, Range, option
from . import shared
from .shared import ONE_OR_MORE, ONLY_IMAGES, ONLY_TABLES, POSITIVE, RUNS, SHARE


@dataclass
class Sample:
    """Draw from a model and write the draws.

    The ending of --out chooses the format: .npy for arrays; images also as one sheet (.png) or as a
    folder of PNG files (no ending); tables as .csv, .tsv, .parquet, .npy or .npz."""

    kinds: ClassVar[Kinds] = EVERY

    run: Path = shared.folder()
    n: int | None = option(
        "Number of examples or rows to draw.", 16, "INT", "-n", within=Range(1, 10**9)
    )
    stepper: Literal["ancestral", "ddim", "dpm", "unipc", "heun", "flow-map"] | None = option(
        "Algorithm of the steps: `ancestral` draws exactly from the chain; the others solve the "
        "probability flow in few steps, `flow-map` by those of a distilled model.",
        "ancestral",
        "ancestral|ddim|dpm|unipc|heun|flow-map",
        only=RUNS,
    )
    steps: int | None = option(
        "Number of time steps, spread as the stepper needs them.",
        "all T",
        "INT",
        only=RUNS,
        within=ONE_OR_MORE,
    )
    times: int | None = shared.times()
    path: int | None = shared.saved_path()
    given: shared.Given = shared.given(
        "Condition of the draws. Runs: a class (`3`), or several that are taken in turn (`0,1,2`). "
        "Tables, several times: `COLUMN=VALUE`, `COLUMN=ONE,OTHER` or `COLUMN=18..30`.",
        EVERY,
    )
    guidance: float | None = option(
        "Weight of classifier-free guidance towards --given: 0 is none, 1 to 4 are usual.",
        None,
        "FLOAT",
        only=RUNS,
        within=Range(-1, 1000),
    )
    out: Path | None = shared.out()
    seed: int | None = shared.seed()
    on: shared.On = shared.on()
    address: str | None = shared.address()
    workers: int | None = shared.workers()
    gpus: float | None = shared.gpus()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Score:
    """Estimate the log-likelihood of data, in nats and bits.

    Without --data, a run scores its own test rows and compares them with simple baselines."""

    kinds: ClassVar[Kinds] = EVERY

    run: Path = shared.folder()
    data: str | None = option(
        "Data to score: a .npy file, a folder of images, or a table file.",
        "the run's test rows",
        "PATH",
    )
    by_column: bool = option(
        "Also write what each column costs given the others, in nats.", False, only=ONLY_TABLES
    )
    evaluations: int | Literal["all"] | None = option(
        "Network evaluations for each example; `all` evaluates every time step. With --stderr, the "
        "largest number that may be spent.",
        64,
        "INT|all",
        only=RUNS,
        within=ONE_OR_MORE,
    )
    stderr: float | None = option(
        "Standard error of the mean to reach, in bits per dimension.",
        None,
        "FLOAT",
        only=RUNS,
        within=POSITIVE,
    )
    method: Literal["bound", "importance", "flow", "flow-map", "classes"] | None = option(
        "Estimator: `bound` is a lower bound, `importance` a tighter one by weighted paths, `flow` "
        "the density of the probability flow, `flow-map` an estimate by a distilled model, "
        "`classes` a lower bound by the mixture of p(x | y) over the classes of a run with labels.",
        "bound",
        "bound|importance|flow|flow-map|classes",
        only=RUNS,
    )
    paths: int | None = option(
        "Paths for each example, with --method importance.",
        16,
        "INT",
        only=RUNS,
        within=ONE_OR_MORE,
    )
    times: int | None = shared.times()
    path: int | None = shared.saved_path()
    given: shared.Given = shared.given(
        "Condition of the examples: `label` for the labels of the run's test rows, a class, or a "
        ".npy file with one for each example."
    )
    out: Path | None = shared.out(
        "File for the score of each example, in nats: .npy or .csv.", "none"
    )
    seed: int | None = shared.seed(RUNS)
    on: shared.On = shared.on()
    address: str | None = shared.address()
    workers: int | None = shared.workers()
    gpus: float | None = shared.gpus()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Complete:
    """Draw missing values of arrays or images from their posterior given the known values.

    Without --data, the second half of the last axis of some test rows is hidden."""

    kinds: ClassVar[Kinds] = RUNS

    run: Path = shared.folder()
    data: str | None = option(
        "A .npy file with NaN where a value is missing.", "some of the test rows", "PATH"
    )
    mask: Path | None = option(
        "A .npy file that is True where a value is missing.", "where data are NaN", "PATH"
    )
    rows: int | None = option(
        "Number of test rows to complete, without --data.", 8, "INT", within=ONE_OR_MORE
    )
    draws: int | None = option("Completed copies of each example.", 16, "INT", within=ONE_OR_MORE)
    particles: int | None = option(
        "Particles of the sequential Monte Carlo for each example.",
        "128, and 8 for a model of latents",
        "INT",
        within=ONE_OR_MORE,
    )
    repeats: int | None = option(
        "Independent sets of particles.",
        "4, or as many as the draws need",
        "INT",
        within=ONE_OR_MORE,
    )
    times: int | None = shared.times("all T, and 50 for a model of latents")
    path: int | None = shared.saved_path()
    given: shared.Given = shared.given(
        "Condition of the examples: a class, or a .npy file with one for each example."
    )
    out: Path | None = shared.out()
    seed: int | None = shared.seed()
    on: shared.On = shared.on()
    address: str | None = shared.address()
    workers: int | None = shared.workers()
    gpus: float | None = shared.gpus()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Impute:
    """Fill missing values of images or of a table. Known values keep their value.

    In a table, a number is filled by the mean of several draws, a whole number by their median, and
    a class by the most frequent one. In images, transparent pixels of PNG files or NaN of an array
    are missing."""

    kinds: ClassVar[Kinds] = (IMAGES, TABLE)

    run: Path = shared.folder()
    data: str = shared.table_or_images()
    by: Literal["draw", "mean", "median"] | None = option(
        "Fill by one draw, or by the mean or the median of --draws draws.",
        "draw",
        "draw|mean|median",
        only=ONLY_IMAGES,
    )
    one: bool = option("Fill by a single draw.", False, only=ONLY_TABLES)
    intervals: float | None = option(
        "Add the ends of intervals, as columns x_low and x_high for each column of numbers with "
        "missing values. The number is the probability that an interval holds, as 0.9.",
        "none",
        "FLOAT",
        only=ONLY_TABLES,
        within=SHARE,
    )
    method: Literal["auto", "fast", "network"] | None = option(
        "How values are drawn where a network corrects the closed-form law: `fast` by the closed "
        "form, `network` by the network, `auto` by the better one.",
        "auto",
        "auto|fast|network",
        only=ONLY_TABLES,
    )
    draws: int | None = option(
        "Number of completed copies of a table to write beside, each filled by a single draw; or "
        "number of draws that a filled value of images summarises.",
        "none for a table, 16 for images",
        "INT",
        within=ONE_OR_MORE,
    )
    particles: int | None = option(
        "Particles of the sequential Monte Carlo.",
        8,
        "INT",
        only=ONLY_IMAGES,
        within=ONE_OR_MORE,
    )
    times: int | None = option(
        "Number of time steps, evenly spread.", 50, "INT", only=ONLY_IMAGES, within=ONE_OR_MORE
    )
    out: Path | None = shared.out()
    seed: int | None = shared.seed()
    on: shared.On = shared.on()
    address: str | None = shared.address()
    workers: int | None = shared.workers()
    gpus: float | None = shared.gpus()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Outliers:
    """Find rows of a table, or images, that are unlike those that the model was fitted to.

    Writes the score, the p-value and the verdict of each. Of ordinary data, at most a share of
    --level is called an outlier on average."""

    kinds: ClassVar[Kinds] = (IMAGES, TABLE)

    run: Path = shared.folder()
    data: str = shared.table_or_images()
    level: float | None = option(
        "Share of ordinary data that may be called outliers.", 0.05, "FLOAT", within=SHARE
    )
    why: bool = option(
        "Do not name the columns of each outlier that cost most given the others, and what was "
        "expected. This is faster.",
        True,
        only=ONLY_TABLES,
    )
    out: Path | None = shared.out()
    on: shared.On = shared.on()
    address: str | None = shared.address()
    workers: int | None = shared.workers()
    gpus: float | None = shared.gpus()
    device: str | None = shared.device()
    json: bool = shared.json()
