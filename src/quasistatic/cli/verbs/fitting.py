"""The options of fit."""

__all__ = ["Fit"]

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ...opened import ARRAYS, IMAGES, TABLE
from ..arguments import Kinds, Range, option
from . import shared
from .shared import ONE_OR_MORE, ONLY_IMAGES, ONLY_TABLES, POSITIVE


@dataclass
class Fit:
    """Fit a model to a table in a file, to images in a folder or an array, or to signals.

    Tables are CSV, TSV, NPY, NPZ or Parquet files; images are a folder of image files, or a .npy or
    .npz file of bytes with three or four axes; signals are the rows of a .npy or .npz file. Some of
    the data are held back to calibrate `quasistatic outliers`. For images and signals, the same
    command resumes a fit that was stopped."""

    kinds: ClassVar[Kinds] = (ARRAYS, IMAGES, TABLE)

    data: Path = option(
        "A table file, a folder of images, or an array.", "required", "DATA", positional=True
    )
    out: Path | None = option(
        "The run folder to write.", "runs/ and the name of the data", "FOLDER", "-o"
    )
    as_: Literal["signals", "table", "images"] | None = option(
        "What a NumPy array holds, where it could be several things.",
        "by its shape and values",
        "signals|table|images",
        name="as",
    )
    types: tuple[str, ...] | None = option(
        "Types of columns that the values do not show, as sex=binary year=categorical. The types "
        "are binary, categorical, numeric, standardized, quantiles and integer, and a format of "
        "dates or times, as %d/%m/%Y.",
        "by the values",
        "COLUMN=TYPE",
        only=ONLY_TABLES,
    )
    id: tuple[str, ...] | None = option(
        "Columns that identify rows, which the model leaves out and the outputs keep.",
        "by the values",
        "COLUMN",
        only=ONLY_TABLES,
    )
    leave_out: tuple[str, ...] | None = option(
        "Other columns that the model leaves out and the outputs keep.",
        "none",
        "COLUMN",
        only=ONLY_TABLES,
    )
    header: Literal["yes", "no"] | None = option(
        "Whether the first row of a text file holds names.",
        "by the rows",
        "yes|no",
        only=ONLY_TABLES,
    )
    missing: tuple[str, ...] | None = option(
        "More words for a missing value in a text file.", "none", "WORD", only=ONLY_TABLES
    )
    encoding: str | None = option(
        "Encoding of the characters of a text file, as cp1252 or latin-1.",
        "utf-8",
        "NAME",
        only=ONLY_TABLES,
    )
    separator: str | None = option(
        "What separates the columns of a text file: `,`, `;`, `|`, tab or space.",
        "by the lines",
        "MARK",
        only=ONLY_TABLES,
    )
    decimal: Literal[".", ","] | None = option(
        "Decimal mark of a text file.", "by the cells", ".|,", only=ONLY_TABLES
    )
    skip: int | None = option(
        "How many lines at the start of a text file are no rows, as a title and notes.",
        "by the lines",
        "INT",
        only=ONLY_TABLES,
        within=Range(0),
    )
    skip_end: int | None = option(
        "How many of the last lines of a text file are no rows, as totals and notes.",
        0,
        "INT",
        only=ONLY_TABLES,
        within=Range(0),
    )
    rows: int | None = option(
        "Maximum number of rows to use, a random sample.",
        1_000_000,
        "INT",
        only=ONLY_TABLES,
        within=ONE_OR_MORE,
    )
    size: int | tuple[int, int] | None = option(
        "Height and width in pixels that image files are cropped and resized to; one number for a "
        "square.",
        "as they are",
        "INT [INT]",
        only=ONLY_IMAGES,
    )
    mode: Literal["1", "L", "RGB"] | None = option(
        "What image files are converted to: `1` black and white, `L` grey, `RGB` colour.",
        "as they are",
        "1|L|RGB",
        only=ONLY_IMAGES,
    )
    minutes: float | None = option(
        "Maximum training time, in minutes.",
        "10 for images and signals; no limit for a table",
        "FLOAT",
        within=POSITIVE,
    )
    steps: int | None = option(
        "Number of gradient steps. For a table, 0 trains no network.",
        "3000 at most for a table; as many as fit into the minutes for images and signals",
        "INT",
        within=Range(0),
    )
    calibration: float | None = option(
        "Share of the data that is held back to calibrate outliers.",
        0.1,
        "FLOAT",
        within=Range(0, 1 - 1e-12, about="is a share of the rows, from 0 to less than 1"),
    )
    network: Literal["unet", "dit"] | None = option(
        "Network that corrects the law of grey or colour images: a U-Net, or a transformer over "
        "patches.",
        "unet",
        "unet|dit",
        only=ONLY_IMAGES,
    )
    latent: bool = option(
        "Train an autoencoder and a chain of its latents, which is the default for grey or colour "
        "images above 96 pixels whose sides are multiples of 8.",
        False,
        only=ONLY_IMAGES,
    )
    pixels: bool = option(
        "Model the pixels themselves, also of large images.", False, only=ONLY_IMAGES
    )
    seed: int | None = shared.seed()
    dry_run: bool = option("Only describe what would be fitted.", False)
    device: str | None = shared.device("Device that trains a network")
    json: bool = shared.json()
