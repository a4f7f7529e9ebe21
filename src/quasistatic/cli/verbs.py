"""The commands on a run and their options. Nothing heavy is imported: a command loads PyTorch when
its options are known to be good.

An option of None was not given; the verb of the opened model holds the default. The tests compare
both, and the options of each kind of model.
"""

__all__ = [
    "Budget",
    "Check",
    "Complete",
    "Compress",
    "Decompress",
    "Fit",
    "Grid",
    "Impute",
    "Outliers",
    "Report",
    "Sample",
    "Sandwich",
    "Score",
]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import Positional

from ..opened import ARRAYS, IMAGES, TABLE
from .arguments import EVERY, Kinds, OnlyFor, Range, option

RUNS: Kinds = (ARRAYS, IMAGES)

OfRuns, OfTables, OfImages = OnlyFor(RUNS), OnlyFor((TABLE,)), OnlyFor((IMAGES,))
ONE_OR_MORE = Range(1)

Folder = Annotated[
    Path, option("A run folder, or the name of a pretrained model.", "required", "RUN")
]
Out = Annotated[Path | None, option("Where to write.", "in the run's folder", "PATH", ("-o",))]
Seed = Annotated[int | None, option("Seed of the random draws.", 0, "INT"), Range(0, 2**63 - 1)]
Times = Annotated[
    int | None,
    option("Evenly spread time steps to visit (runs only).", "all T", "INT"),
    OfRuns,
    ONE_OR_MORE,
]
SavedPath = Annotated[
    int | None,
    option(
        "Instead of --times: length of the best path, which `quasistatic grid` saved (runs only).",
        None,
        "INT",
    ),
    OfRuns,
    ONE_OR_MORE,
]
Device = Annotated[
    str | None,
    option(
        "Where the model computes: `auto` for a GPU if there is one, or cpu, cuda, cuda:1, xpu.",
        "auto",
        "NAME",
    ),
]
Json = Annotated[bool, option("Print one JSON object to standard output.", "no")]
OfRun = Annotated[
    Path | None,
    option("A .npy file or a folder of images.", "the run's own held-out rows", "PATH"),
]


@dataclass
class Sample:
    """Draw from a model and write the draws.

    The ending of --out chooses the format: .npy for arrays; images also as one sheet (.png) or as a
    folder of PNG files (no ending); tables as .csv, .tsv, .parquet, .npy or .npz."""

    kinds: ClassVar[Kinds] = EVERY
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Positional[Folder]
    n: Annotated[
        int | None,
        option("How many examples or rows to draw.", 16, "INT", ("-n",)),
        Range(1, 10**9),
    ] = None
    stepper: Annotated[
        Literal["ancestral", "ddim", "dpm", "unipc", "heun"] | None,
        option(
            "How steps are taken: exact draws, or few steps by a solver of the probability flow "
            "(runs only).",
            "ancestral",
        ),
        OfRuns,
    ] = None
    steps: Annotated[
        int | None,
        option("Time steps that the stepper spreads in its own way (runs only).", "all T", "INT"),
        OfRuns,
        ONE_OR_MORE,
    ] = None
    times: Times = None
    path: SavedPath = None
    out: Out = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Score:
    """Estimate the log-likelihood of data, in nats and bits.

    Without --data, a run scores its own test rows beside its baselines."""

    kinds: ClassVar[Kinds] = EVERY
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Positional[Folder]
    data: Annotated[
        Path | None,
        option(
            "What to score: a .npy file, a folder of images, or a table.",
            "the run's test rows",
            "PATH",
        ),
    ] = None
    evaluations: Annotated[
        int | Literal["all"] | None,
        option(
            "Network evaluations for each example; `all` for every time step; with --stderr, the "
            "most that may be spent (runs only).",
            64,
            "INT|all",
        ),
        OfRuns,
        ONE_OR_MORE,
    ] = None
    stderr: Annotated[
        float | None,
        option(
            "Standard error of the mean to reach, in bits per dimension (runs only).",
            None,
            "FLOAT",
        ),
        OfRuns,
        Range(0, open=True, about="must be positive"),
    ] = None
    method: Annotated[
        Literal["bound", "importance", "flow"] | None,
        option(
            "`bound` from below, `importance` for a tighter bound by weighted paths, `flow` for "
            "the probability flow (runs only).",
            "bound",
            "bound|importance|flow",
        ),
        OfRuns,
    ] = None
    paths: Annotated[
        int | None,
        option("Paths for each example, of --method importance (runs only).", 16, "INT"),
        OfRuns,
        ONE_OR_MORE,
    ] = None
    times: Times = None
    path: SavedPath = None
    out: Annotated[
        Path | None,
        option(
            "File for the score of each example, in nats: .npy or .csv.", "none", "PATH", ("-o",)
        ),
    ] = None
    seed: Annotated[
        int | None,
        option("Seed of the random draws (runs only).", 0, "INT"),
        OfRuns,
        Range(0, 2**63 - 1),
    ] = None
    device: Device = None
    json: Json = False


@dataclass
class Complete:
    """Draw missing values of arrays or images from their posterior given the known values.

    Without --data, the second half of the last axis of some test rows is hidden."""

    kinds: ClassVar[Kinds] = RUNS
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Positional[Folder]
    data: Annotated[
        Path | None,
        option("A .npy file with NaN where a value is missing.", "some of the test rows", "PATH"),
    ] = None
    mask: Annotated[
        Path | None,
        option("A .npy file that is True where a value is missing.", "where data are NaN", "PATH"),
    ] = None
    rows: Annotated[
        int | None, option("Test rows to complete without --data.", 8, "INT"), ONE_OR_MORE
    ] = None
    draws: Annotated[
        int | None, option("Completed copies of each example.", 16, "INT"), ONE_OR_MORE
    ] = None
    particles: Annotated[
        int | None,
        option("Particles of the sequential Monte Carlo for each example.", 64, "INT"),
        ONE_OR_MORE,
    ] = None
    repeats: Annotated[
        int | None,
        option("Independent sets of particles.", "8, or as many as the draws need", "INT"),
        ONE_OR_MORE,
    ] = None
    times: Times = None
    path: SavedPath = None
    out: Out = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Impute:
    """Fill missing values of images or of a table. Known values keep their value.

    A table is filled by the mean of numbers, the median of whole numbers and the most frequent
    class of some draws. In images, transparent pixels of PNG files or NaN of an array are
    missing."""

    kinds: ClassVar[Kinds] = (IMAGES, TABLE)
    positional: ClassVar[tuple[str, ...]] = ("run", "data")

    run: Positional[Folder]
    data: Positional[
        Annotated[Path, option("A table; a folder of images; or a .npy file.", "required", "DATA")]
    ]
    by: Annotated[
        Literal["draw", "mean", "median"] | None,
        option(
            "Fill by one draw, or by the mean or the median of --draws draws (images only).",
            "draw",
            "draw|mean|median",
        ),
        OfImages,
    ] = None
    one: Annotated[bool, option("Fill by a single draw (tables only).", "no"), OfTables] = False
    draws: Annotated[
        int | None,
        option("Draws that a filled value summarises.", "64 for a table, 16 for images", "INT"),
        ONE_OR_MORE,
    ] = None
    particles: Annotated[
        int | None,
        option("Particles of the sequential Monte Carlo (images only).", 8, "INT"),
        OfImages,
        ONE_OR_MORE,
    ] = None
    times: Annotated[
        int | None,
        option("Evenly spread time steps to visit (images only).", 50, "INT"),
        OfImages,
        ONE_OR_MORE,
    ] = None
    out: Out = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Outliers:
    """Find rows of a table, or images, that are unlike those that the model was fitted to.

    Writes the score, the p-value and the verdict of each. Of ordinary data, at most a share of
    --level is called an outlier on average."""

    kinds: ClassVar[Kinds] = (IMAGES, TABLE)
    positional: ClassVar[tuple[str, ...]] = ("run", "data")

    run: Positional[Folder]
    data: Positional[
        Annotated[Path, option("A table; a folder of images; or a .npy file.", "required", "DATA")]
    ]
    level: Annotated[
        float | None,
        option("Share of ordinary data that may be called outliers.", 0.05, "FLOAT"),
        Range(0, 1, open=True, about="must be a share between 0 and 1"),
    ] = None
    out: Out = None
    device: Device = None
    json: Json = False


@dataclass
class Compress:
    """Compress arrays, images or a table without loss, to about as many bits as the bound says.

    The names of a folder's files are kept in a second file beside the stream."""

    kinds: ClassVar[Kinds] = EVERY
    positional: ClassVar[tuple[str, ...]] = ("run", "file")

    run: Positional[Folder]
    file: Positional[
        Annotated[
            Path | None,
            option("A .npy file, a folder of images, or a table.", "the run's test rows", "DATA"),
        ]
    ] = None
    out: Annotated[
        Path | None, option("Where to write.", "the file's name with .qs", "PATH", ("-o",))
    ] = None
    times: Annotated[
        int | None, option("Evenly spread time steps of the chain.", 50, "INT"), ONE_OR_MORE
    ] = None
    path: SavedPath = None
    layers: Annotated[
        int | None,
        option(
            "Write progressively in this many layers: a prefix of the file decodes to an "
            "approximation (runs only).",
            None,
            "INT",
        ),
        OfRuns,
        ONE_OR_MORE,
    ] = None
    block: Annotated[
        int | None, option("Examples that can be decoded by themselves.", 2048, "INT"), ONE_OR_MORE
    ] = None
    together: Annotated[
        int | None,
        option("Examples that the network processes at once.", 64, "INT"),
        ONE_OR_MORE,
    ] = None
    workers: Annotated[
        int | None,
        option("Blocks that are coded in parallel.", "the number of cores", "INT"),
        Range(1, 1024),
    ] = None
    verify: Annotated[bool, option("Decode each block before it is written.", "yes")] = True
    portable: Annotated[
        bool,
        option(
            "Any machine reads the file. Without it, compressing is faster, and only a machine "
            "with the same arithmetic reads the file.",
            "yes",
        ),
    ] = True
    device: Device = None
    json: Json = False


@dataclass
class Decompress:
    """Read what `compress` wrote, exactly as it was.

    The ending of --out chooses the format: .npy for arrays, a folder of PNG files (no ending) or
    .npy for images, .csv, .tsv or .parquet for a table."""

    kinds: ClassVar[Kinds] = EVERY
    positional: ClassVar[tuple[str, ...]] = ("run", "file")

    run: Positional[Folder]
    file: Positional[Annotated[Path, option("The file that `compress` wrote.", "required", "FILE")]]
    out: Annotated[
        Path | None, option("Where to write.", "the file's name without .qs", "PATH", ("-o",))
    ] = None
    anyway: Annotated[
        bool,
        option("Read it even if a machine wrote it whose arithmetic may differ.", "no"),
    ] = False
    workers: Annotated[
        int | None,
        option("Blocks that are decoded in parallel.", "the number of cores", "INT"),
        Range(1, 1024),
    ] = None
    device: Device = None
    json: Json = False


@dataclass
class Sandwich:
    """Estimate log p of the model's own draws from below and from above.

    The gap shows how far the bound can be from the truth."""

    kinds: ClassVar[Kinds] = RUNS
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Positional[Folder]
    n: Annotated[int | None, option("Examples to draw.", 64, "INT"), Range(1, 10**9)] = None
    paths: Annotated[int | None, option("Weighted paths for each draw.", 1, "INT"), ONE_OR_MORE] = (
        None
    )
    times: Times = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Grid:
    """Find the time steps that short chains should visit.

    Measures the cost of a step between any two times on held-out data, and saves the best paths for
    --path of sample, score, complete and compress."""

    kinds: ClassVar[Kinds] = RUNS
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Positional[Folder]
    steps: Annotated[
        tuple[int, ...] | None,
        option("Lengths of the paths to save.", "10 25 50 100", "INT [INT ...]"),
    ] = None
    data: OfRun = None
    examples: Annotated[
        int | None, option("Held-out examples to measure on.", 128, "INT"), ONE_OR_MORE
    ] = None
    candidates: Annotated[
        int | None,
        option("Evenly spread time steps that a path may visit.", 128, "INT"),
        Range(2),
    ] = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Budget:
    """Draw the entropy budget: which time steps carry the bits.

    Compares SD15's bounds on the entropy of each reverse step (Eq. 24) with the model's own
    cross-entropy."""

    kinds: ClassVar[Kinds] = RUNS
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Positional[Folder]
    data: OfRun = None
    examples: Annotated[
        int | None, option("Test examples to measure on.", 128, "INT"), ONE_OR_MORE
    ] = None
    times: Times = None
    out: Annotated[
        Path | None,
        option("The figure to write (.png).", "entropy.png in the run", "PATH", ("-o",)),
    ] = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Check:
    """Test the identities that every model must satisfy."""

    kinds: ClassVar[Kinds] = RUNS
    positional: ClassVar[tuple[str, ...]] = ("run",)

    run: Positional[Folder]
    data: OfRun = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Report:
    """Write a page about one run or several, with scores and figures.

    The page of a fitted table shows its columns and draws beside the rows of --data."""

    kinds: ClassVar[Kinds] = EVERY
    positional: ClassVar[tuple[str, ...]] = ("runs",)

    runs: Positional[
        Annotated[
            tuple[Path, ...],
            option("Run folders, or names of pretrained models.", "required", "RUN [RUN ...]"),
        ]
    ]
    data: Annotated[
        Path | None,
        option("A table whose rows to show beside draws (tables only).", "required there", "PATH"),
        OfTables,
    ] = None
    evaluations: Annotated[
        int | None,
        option("Network evaluations for each test row (runs only).", 100, "INT"),
        OfRuns,
        ONE_OR_MORE,
    ] = None
    out: Annotated[
        Path | None, option("The page to write.", "report.html in the run", "PATH", ("-o",))
    ] = None
    seed: Seed = None
    device: Device = None
    json: Json = False


@dataclass
class Fit:
    """Fit a model to a table in a file, or to images in a folder or an array.

    Tables are CSV, TSV, NPY, NPZ or Parquet files; images are a folder of image files, or a .npy or
    .npz file of bytes with three or four axes. Some of the data are held back to calibrate
    `quasistatic outliers`. For images, the same command resumes a fit that was stopped."""

    kinds: ClassVar[Kinds] = (IMAGES, TABLE)
    positional: ClassVar[tuple[str, ...]] = ("data",)

    data: Positional[
        Annotated[
            Path, option("A table file, a folder of images, or an array.", "required", "DATA")
        ]
    ]
    out: Annotated[
        Path | None,
        option("The run folder to write.", "runs/ and the name of the data", "FOLDER", ("-o",)),
    ] = None
    types: Annotated[
        tuple[str, ...] | None,
        option(
            "Types of columns whose values do not show it, as sex=binary year=categorical: binary, "
            "categorical, numeric, standardized, quantiles or integer (tables only).",
            "by the values",
            "COLUMN=TYPE",
        ),
        OfTables,
    ] = None
    id: Annotated[
        tuple[str, ...] | None,
        option(
            "Columns that identify rows, which the model leaves out and the outputs keep "
            "(tables only).",
            "by the values",
            "COLUMN",
        ),
        OfTables,
    ] = None
    leave_out: Annotated[
        tuple[str, ...] | None,
        option(
            "Other columns that the model leaves out and the outputs keep (tables only).",
            "none",
            "COLUMN",
        ),
        OfTables,
    ] = None
    header: Annotated[
        Literal["yes", "no"] | None,
        option(
            "Whether the first row of a text file holds names (tables only).",
            "by the rows",
            "yes|no",
        ),
        OfTables,
    ] = None
    missing: Annotated[
        tuple[str, ...] | None,
        option("More words for a missing value in a text file (tables only).", "none", "WORD"),
        OfTables,
    ] = None
    rows: Annotated[
        int | None,
        option("Maximum number of rows to use, a random sample (tables only).", 1_000_000, "INT"),
        OfTables,
        ONE_OR_MORE,
    ] = None
    size: Annotated[
        int | tuple[int, int] | None,
        option(
            "Height and width in pixels that image files are cropped and resized to; one number "
            "for a square (images only).",
            "as they are",
            "INT [INT]",
        ),
        OfImages,
    ] = None
    mode: Annotated[
        Literal["1", "L", "RGB"] | None,
        option(
            "What image files are converted to: `1` black and white, `L` grey, `RGB` colour "
            "(images only).",
            "as they are",
            "1|L|RGB",
        ),
        OfImages,
    ] = None
    minutes: Annotated[
        float | None,
        option(
            "Maximum training time, in minutes.", "10 for images; no limit for a table", "FLOAT"
        ),
        Range(0, open=True, about="must be positive"),
    ] = None
    steps: Annotated[
        int | None,
        option(
            "Gradient steps; 0 trains no network (tables only).",
            "3000 at most for a table; as many as fit into the minutes for images",
            "INT",
        ),
        Range(0),
    ] = None
    calibration: Annotated[
        float | None,
        option("Share of the data that is held back to calibrate outliers.", 0.1, "FLOAT"),
        Range(0, 1 - 1e-12, about="is a share of the rows, from 0 to less than 1"),
    ] = None
    seed: Seed = None
    dry_run: Annotated[bool, option("Only describe what would be fitted.", "no")] = False
    device: Annotated[
        str | None,
        option(
            "Where to train (images only): `auto` for a GPU if there is one, or cpu, cuda, cuda:1, "
            "xpu.",
            "auto",
            "NAME",
        ),
        OfImages,
    ] = None
    json: Json = False
