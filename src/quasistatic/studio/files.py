"""Files that a reader drops, as examples of a model: checked, and converted where that is safe."""

__all__ = ["FOLDER", "Read", "read_examples", "stored"]

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..data.numpy_files import read_numpy
from .asked import Upload
from .looks import Images, Look

FOLDER = "quasistatic-studio-"
"""What the names of temporary folders begin with."""

MOST_PIXELS = 40_000_000
"""Pixels of a picture that is dropped."""

MOST_EXAMPLES = 256
"""Examples of an array that is dropped."""


@dataclass(frozen=True)
class Read:
    """Examples that were read from files.

    Args:
        x: with shape (n, *shape), in float64.
        names: of the files, or numbers in a file.
        note: what was converted, as a sentence; empty if nothing was.
    """

    x: np.ndarray
    names: tuple[str, ...]
    note: str


@contextlib.contextmanager
def stored(uploads: Sequence[Upload]) -> Iterator[list[Path]]:
    """Files on disk, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix=FOLDER) as folder:
        paths = []
        for number, upload in enumerate(uploads):
            path = Path(folder) / str(number) / upload.name
            path.parent.mkdir()
            path.write_bytes(upload.data)
            paths.append(path)
        yield paths


def read_examples(look: Look, uploads: Sequence[Upload], invert: bool = False) -> Read:
    """The examples in files: pictures for a model of images, and arrays for any model.

    Args:
        look: how the model's examples are shown.
        uploads: the files.
        invert: whether black and white of pictures are exchanged.

    Raises:
        ValueError: if a file does not fit the model: what would.
    """
    parts, names, notes = [], [], set[str]()
    for upload in uploads:
        if upload.name.lower().endswith((".npy", ".npz")):
            found = _array(look, upload)
            names += [
                f"{upload.name} {k + 1}" if len(found) > 1 else upload.name
                for k in range(len(found))
            ]
        else:
            found, note = _picture(look, upload, invert)
            names.append(upload.name)
            notes |= {note} - {""}
        parts.append(found)
    x = np.concatenate(parts)
    if len(x) > MOST_EXAMPLES:
        raise ValueError(
            f"at most {MOST_EXAMPLES} examples at once, got {len(x)}: use the command line"
        )
    return Read(x, tuple(names), " ".join(sorted(notes)))


def _array(look: Look, upload: Upload) -> np.ndarray:
    with stored([upload]) as [path]:
        x = np.array(read_numpy(path))
    if x.shape == look.shape:
        x = x[None]
    if x.ndim == len(look.shape) + 1 and isinstance(look, Images) and x.shape[1:] != look.shape:
        last = (*look.shape[1:], look.shape[0])
        x = np.moveaxis(x, -1, 1) if len(look.shape) == 3 and x.shape[1:] == last else x
    if x.shape[1:] != look.shape or not 1 <= len(x) <= MOST_EXAMPLES:
        raise ValueError(
            f"{upload.name} holds an array of shape {x.shape}. The model takes one of shape "
            f"{look.shape}, or up to {MOST_EXAMPLES} of them, {('N', *look.shape)}"
        )
    return x.astype(np.float64)


def _picture(look: Look, upload: Upload, invert: bool) -> tuple[np.ndarray, str]:
    if not isinstance(look, Images):
        raise ValueError(
            f"{upload.name} is no .npy file. The model takes arrays of shape {('N', *look.shape)}, "
            "saved by numpy.save"
        )
    image = _opened(upload)
    note = ""
    mode, size = ("L" if look.colours == 1 else "RGB"), (look.width, look.height)
    if image.mode != mode:
        image = image.convert("RGBA").convert("RGB").convert(mode)
    if image.size != size:
        before = f"{image.width} × {image.height}"
        note = f"Cut around the middle and resized from {before} to {size[0]} × {size[1]} pixels."
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    share = np.asarray(image, dtype=np.float64) / 255
    share = 1 - share if invert else share
    values = look.low + share * (look.high - look.low)
    values = values.round() if look.levels is not None else values
    if look.levels is not None and look.levels < 256 and np.unique(share).size > look.levels:
        note += f" Rounded to {look.levels} levels."
    planes = values.reshape(look.height, look.width, look.colours).transpose(2, 0, 1)
    return planes.reshape(1, *look.shape), note.strip()


def _opened(upload: Upload) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(upload.data))
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(
                    f"{upload.name} has {image.width} × {image.height} pixels, and "
                    f"{MOST_PIXELS:,} are read at most: make it smaller"
                )
            found: Image.Image = ImageOps.exif_transpose(image)
            found.load()
            return found
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError, Image.DecompressionBombError):
        raise ValueError(
            f"{upload.name} is no picture that can be read. The model takes PNG, JPEG and other "
            "pictures, and .npy arrays"
        ) from None
