"""The options of compress and decompress."""

__all__ = ["Compress", "Decompress"]

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..arguments import EVERY, Kinds, option
from . import shared
from .shared import ONE_OR_MORE, RUNS, WORKERS


@dataclass
class Compress:
    """Compress arrays, images or a table without loss, to about as many bits as the bound says.

    The names of a folder's files are kept in a second file beside the stream."""

    kinds: ClassVar[Kinds] = EVERY

    run: Path = shared.folder()
    file: str | None = option(
        "A .npy file, a folder of images, one image file, or a table file.",
        "the run's test rows",
        "[DATA]",
        positional=True,
    )
    out: Path | None = shared.out(default="the file's name with .qs")
    times: int | None = option(
        "Number of time steps of the chain, evenly spread.", 50, "INT", within=ONE_OR_MORE
    )
    path: int | None = shared.saved_path()
    given: shared.Given = shared.given(
        "Condition of the examples, which is not in the file: `label` for the labels of the run's "
        "test rows, a class, or a .npy file with one for each example."
    )
    layers: int | None = option(
        "Write progressively in this many layers: a prefix of the file decodes to an "
        "approximation.",
        None,
        "INT",
        only=RUNS,
        within=ONE_OR_MORE,
    )
    block: int | None = option(
        "Number of examples in a block. Each block is decoded by itself.",
        2048,
        "INT",
        within=ONE_OR_MORE,
    )
    together: int | None = option(
        "Number of examples that the network processes at once.", 64, "INT", within=ONE_OR_MORE
    )
    workers: int | None = option(
        "Number of blocks that are coded in parallel; with --on, of workers.",
        "the number of cores",
        "INT",
        within=WORKERS,
    )
    verify: bool = option("Write blocks without decoding them first as a test.", True)
    portable: bool = option(
        "Write a file that only a machine with the same floating-point arithmetic can read. This "
        "is faster.",
        True,
    )
    on: shared.On = shared.on()
    address: str | None = shared.address()
    gpus: float | None = shared.gpus()
    device: str | None = shared.device()
    json: bool = shared.json()


@dataclass
class Decompress:
    """Read what `compress` wrote, exactly as it was.

    The ending of --out chooses the format: .npy for arrays, a folder of PNG files (no ending) or
    .npy for images, .csv, .tsv or .parquet for a table."""

    kinds: ClassVar[Kinds] = EVERY

    run: Path = shared.folder()
    file: str = option("The file that `compress` wrote.", "required", "FILE", positional=True)
    out: Path | None = shared.out(default="the file's name without .qs")
    given: shared.Given = shared.given("Condition of the examples, as `compress` was given it.")
    anyway: bool = option(
        "Read the file even if its writer's floating-point arithmetic may differ from this "
        "machine's.",
        False,
    )
    workers: int | None = option(
        "Number of blocks that are decoded in parallel; with --on, of workers.",
        "the number of cores",
        "INT",
        within=WORKERS,
    )
    on: shared.On = shared.on()
    address: str | None = shared.address()
    gpus: float | None = shared.gpus()
    device: str | None = shared.device()
    json: bool = shared.json()
