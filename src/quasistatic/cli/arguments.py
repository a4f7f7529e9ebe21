"""What the verbs share: how their words are read, and how arrays come and go."""

__all__ = ["Along", "Folder", "Out", "Seed", "Times", "along", "load_array", "parse", "save_array"]

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from torch import Tensor

from .._utils import files
from ..recipes.runs import Opened

Folder = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(help="A run folder, or a pretrained model's name.")
]
Times = Annotated[int | None, tyro.conf.arg(help="Even steps of the chain; default: all T.")]
Along = Annotated[
    int | None, tyro.conf.arg(help="That many steps along the best path: see `quasistatic grid`.")
]
Out = Annotated[Path | None, tyro.conf.arg(aliases=("-o",), help="Where to write.")]
Seed = Annotated[int, tyro.conf.arg(help="Seed of everything that is drawn.")]


def parse(kind: type, verb: str, words: Sequence[str]) -> Any:
    return tyro.cli(kind, prog=f"quasistatic {verb}", args=list(words))


def along(times: int | None, path: int | None, opened: Opened) -> int | Tensor | None:
    """The times that were asked for, evenly or along a path that the run keeps."""
    if times is not None and path is not None:
        raise ValueError("--times goes in even steps and --path along the best: give one of them")
    return times if path is None else opened.path(path)


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """The array of a .npy file; `mapped` leaves it on disk until its values are needed."""
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no NumPy array (.npy): {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds no single array of real numbers: save it with numpy.save")
    return array


def save_array(path: Path, array: np.ndarray) -> Path:
    buffer = io.BytesIO()
    np.save(buffer, array)
    files.write_bytes(path, buffer.getvalue())
    return path
