"""Opens run folders: :func:`open` gives a model of arrays, of images or of a table, with its verbs
as methods.

This module imports nothing heavy, so that the command line can refuse a verb or an option before it
loads PyTorch.
"""

__all__ = ["ARRAYS", "IMAGES", "TABLE", "Kind", "fit", "kind_of", "kind_of_data", "open"]

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.json_files import read_json
from ..checkpoints.folders import is_diffusers
from ..data.file_kinds import are_images, may_be_signals
from ..recipes.locations import locate

if TYPE_CHECKING:
    import torch

    from ..reporting.answer import Answer
    from ..reporting.console import Display
    from .model import OpenedModel

TABLE_FILE = "table.json"
"""The file that only the folder of a fitted table holds."""

IMAGE_SPACES = {"Quantized", "Binary"}
"""Spaces whose values can be the pixels of an image, where there are two axes or more."""


@dataclass(frozen=True)
class Kind:
    """A kind of opened model.

    Args:
        name: for messages, "a table".
        home: the module and the class that open it, "table:TableModel".
        fitter: the module and the function that fit one to data, "table_fit:fit_table"; empty where
            there is none.
    """

    name: str
    home: str
    fitter: str = ""

    def load(
        self, folder: Path, device: "torch.device | str | None", display: "Display | None"
    ) -> "OpenedModel":
        """Opens the model in a folder of this kind."""
        model: OpenedModel = _named(self.home).load(folder, device, display)
        return model

    def fit(self, data: str | Path, **options: Any) -> "Answer":
        """Fits a model of this kind to data."""
        answer: Answer = _named(self.fitter)(data, **options)
        return answer


def _named(home: str) -> Any:
    """What a "module:name" of this package names; the module is imported now."""
    module, name = home.split(":")
    return getattr(import_module(f".{module}", __name__), name)


ARRAYS = Kind("arrays", "arrays:ArrayModel", "signal_fit:fit_signals")
IMAGES = Kind("images", "images:ImageModel", "image_fit:fit_images")
TABLE = Kind("a table", "table:TableModel", "table_fit:fit_table")


def kind_of(folder: Path) -> Kind:
    """The kind of model that a folder holds. Reads the JSON files of the folder, and no weights.

    Args:
        folder: a run's folder.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if its config.json is damaged.
    """
    if (folder / TABLE_FILE).is_file():
        return TABLE
    if is_diffusers(folder):
        return IMAGES
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no config.json: it is not a run, or was cut short; `quasistatic fit` "
            "writes such folders, and `quasistatic train`"
        )
    model = read_json(path, "restore a copy, or train again").get("model")
    space = model.get("space") if isinstance(model, dict) else None
    if not isinstance(space, dict):
        return ARRAYS  # loading it gives the error
    if isinstance(space.get("raw"), dict):  # of an autoencoder
        space = space["raw"]
    shape = space.get("shape")
    several = isinstance(shape, list) and len(shape) >= 2
    return IMAGES if several and space.get("is") in IMAGE_SPACES else ARRAYS


def kind_of_data(path: str | Path, wanted: str | None = None) -> Kind:
    """The kind of model that data in a file or a folder need: images for a folder or a NumPy array
    of three or four axes, a table for any other file.

    Args:
        path: the file or the folder.
        wanted: "table", "images" or "signals", if the user said it.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if the rows of an array may be signals or those of a table, and `wanted` is
            None.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if wanted is not None:
        return {"images": IMAGES, "signals": ARRAYS}.get(wanted, TABLE)
    if may_be_signals(path):
        raise ValueError(
            f"{path} holds rows of many numbers, and neighbours in a row are alike: signals, or "
            "the columns of a table? Say --as signals or --as table"
        )
    return IMAGES if are_images(path) else TABLE


def fit(data: str | Path, as_: str | None = None, **options: Any) -> "Answer":
    """Fits a model to a table in a file, to images in a folder or an array, or to signals in an
    array.

    Args:
        data: a CSV, TSV, NPY, NPZ or Parquet file, or a folder of images.
        as_: "table", "images" or "signals", where a NumPy array could be several of them. Signals
            are the rows of an array (N, L); their model is one of arrays of shape (L,).
        options: those of :func:`~quasistatic.opened.table_fit.fit_table`,
            :func:`~quasistatic.opened.image_fit.fit_images` or
            :func:`~quasistatic.opened.signal_fit.fit_signals`.

    Returns:
        An answer whose facts name the run folder, to be opened by :func:`open`.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if the data are damaged or an option is out of range.
    """
    return kind_of_data(data, as_).fit(data, **options)


def open(
    run: str | Path,
    device: "torch.device | str | None" = None,
    display: "Display | None" = None,
) -> "OpenedModel":
    """Opens a run as a model with its verbs as methods.

    Args:
        run: the folder that `quasistatic fit`, `quasistatic train` or :func:`quasistatic.fit`
            wrote, one that diffusers saved, or the name of a pretrained model.
        device: where the model computes: "auto" for a GPU if there is one, or the name of a device,
            "cuda:1" for example; None leaves it on the CPU.
        display: where progress is shown; None shows nothing.

    Returns:
        A model of arrays, of images or of a table: an `ArrayModel`, an `ImageModel` or a
        `TableModel`. Each has the verbs `sample`, `score`, `compress`, `decompress` and `report`;
        arrays and images also `complete`, `sandwich`, `grid`, `budget` and `check`; images and
        tables also `impute` and `outliers`. Each verb returns an :class:`Answer`.

    Raises:
        FileNotFoundError: if there is no such folder or pretrained model, or a file is missing.
        ValueError: if a file is damaged; the message names it and says what to do.
    """
    folder = locate(run)
    return kind_of(folder).load(folder, device, display)
