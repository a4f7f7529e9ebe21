"""Options that several commands have."""

__all__ = [
    "AT_SCALE",
    "ONE_OR_MORE",
    "ONLY_IMAGES",
    "ONLY_TABLES",
    "On",
    "POSITIVE",
    "RUNS",
    "SEEDS",
    "SHARE",
    "WORKERS",
    "Given",
    "device",
    "folder",
    "address",
    "given",
    "gpus",
    "held_out",
    "json",
    "on",
    "out",
    "saved_path",
    "seed",
    "times",
    "table_or_images",
    "workers",
]

from typing import Annotated, Any, Literal

import tyro

from ...opened import ARRAYS, IMAGES, TABLE
from ..arguments import EVERY, Kinds, Range, option

RUNS: Kinds = (ARRAYS, IMAGES)
ONLY_IMAGES: Kinds = (IMAGES,)
ONLY_TABLES: Kinds = (TABLE,)

ONE_OR_MORE = Range(1)
POSITIVE = Range(0, open=True, about="must be positive")
SHARE = Range(0, 1, open=True, about="must be a share between 0 and 1")
SEEDS = Range(0, 2**63 - 1)
WORKERS = Range(1, 1024)


def folder() -> Any:
    """The run that a command opens."""
    return option(
        "A run folder, or the name of a pretrained model.", "required", "RUN", positional=True
    )


def table_or_images() -> Any:
    """The data of a command that reads a table or images."""
    return option(
        "A table file, a folder of images, or a .npy file.", "required", "DATA", positional=True
    )


def held_out() -> Any:
    """The data of a command that measures on held-out rows."""
    return option(
        "A .npy file or a folder of images to measure on.", "the run's own held-out rows", "PATH"
    )


def out(help: str = "Where to write.", default: str = "in the run's folder") -> Any:
    """The file or folder that a command writes."""
    return option(help, default, "PATH", "-o")


def times() -> Any:
    """The number of time steps of a shorter chain."""
    return option(
        "Number of time steps, evenly spread.", "all T", "INT", only=RUNS, within=ONE_OR_MORE
    )


def saved_path() -> Any:
    """The time steps that `grid` saved."""
    return option(
        "Use the best path of this length, which `quasistatic grid` saved, in place of --times.",
        None,
        "INT",
        only=RUNS,
        within=ONE_OR_MORE,
    )


Given = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
"""The type of `--given`, which may be used several times."""


def given(help: str, only: Kinds = RUNS) -> Any:
    """The condition of a command."""
    return option(help, None, "VALUE", value=(), only=only)


def seed(only: Kinds = EVERY) -> Any:
    """The seed of a command that draws."""
    return option("Seed of the random draws.", 0, "INT", only=only, within=SEEDS)


def device(help: str = "Device that computes", only: Kinds = EVERY) -> Any:
    """Where a command computes."""
    return option(
        f"{help}: `auto` (a GPU if there is one), cpu, cuda, cuda:1 or xpu.",
        "auto",
        "NAME",
        only=only,
    )


def json() -> Any:
    """Whether a script reads the answer."""
    return option("Print one JSON object to standard output.", False)


On = Literal["local", "ray"] | None
"""The type of `--on`."""

AT_SCALE = ("on", "address", "workers", "gpus")
"""The options by which a verb answers a directory of files, and not one file."""


def on() -> Any:
    """What runs a job over many files."""
    return option(
        'Answer a directory of files, or a pattern as "dir/*.parquet", into a directory: `local` '
        "by processes of this machine, `ray` by Ray Data. The same command continues after a stop.",
        "answer one file",
        "local|ray",
    )


def address() -> Any:
    """The cluster of a job."""
    return option("With --on ray: the address of a running cluster.", "one of its own", "HOST:PORT")


def gpus() -> Any:
    """The GPUs of a worker of a job."""
    return option(
        "With --on ray: GPUs of a worker, a share of one where several take it.",
        "none",
        "FLOAT",
        within=POSITIVE,
    )


def workers() -> Any:
    """The workers of a job."""
    return option(
        "With --on: number of workers.",
        "1 for local; for ray one for each CPU but one",
        "INT",
        within=WORKERS,
    )
