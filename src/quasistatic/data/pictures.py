"""A user's own images: read from a folder of files or one array, and written as either."""

__all__ = [
    "Images",
    "channels_first",
    "png",
    "read_images",
    "write_images",
]

import hashlib
import io
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from .._utils import files
from .folders import image_files, image_folder, is_image_file
from .numpy_files import read_numpy

AT_ONCE = 1024
"""Images of an array on disk that are read together."""

_ABOUT = {"1": "black and white", "L": "grey", "RGB": "in colours"}


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one size and mode.

    Args:
        path: the folder or the file that they were read from.
        array: uint8, (N, H, W) or (N, 3, H, W); it may be a memory map.
        names: of the files, or numbers.
        mode: "1" (black and white, 0 or 1), "L" or "RGB" (0 to 255), as Pillow names it.
        turned: whether the file has the colours last; `array` has them first.
    """

    path: Path
    array: np.ndarray
    names: tuple[str, ...]
    mode: str
    turned: bool = False

    def __len__(self) -> int:
        return len(self.array)

    @property
    def levels(self) -> int:
        """How many values a pixel can have."""
        return 2 if self.mode == "1" else 256

    def __str__(self) -> str:
        height, width = self.array.shape[-2:]
        last = ", colours last in the file" if self.turned else ""
        return f"{len(self)} images of {height} x {width} pixels, {_ABOUT[self.mode]}{last}"

    def __repr__(self) -> str:
        return f"{self.path}: {self}"

    def bits(self) -> "Images | None":
        """The same images as black and white, 0 and 1; None if a pixel is grey or coloured."""
        whole = self.mode == "1" or (self.mode == "L" and bool(np.isin(self.array, (0, 255)).all()))
        array = self.array if self.mode == "1" else self.array // np.uint8(255)
        return replace(self, array=array, mode="1") if whole else None

    def white_share(self, rows: np.ndarray) -> np.ndarray | None:
        """The share of white of each pixel over some rows, smoothed by half an image of either
        colour, with shape (H, W); None unless the images are black and white."""
        if self.mode != "1":
            return None
        share = (self.array[rows].mean(0) * len(rows) + 0.5) / (len(rows) + 1)
        return np.asarray(share)

    def sha256(self) -> str:
        """A digest of the values, the shape and the mode, read piece by piece."""
        digest = hashlib.sha256(repr((self.array.shape, self.mode)).encode())
        for start in range(0, len(self), AT_ONCE):
            digest.update(np.ascontiguousarray(self.array[start : start + AT_ONCE]).data)
        return digest.hexdigest()


def read_images(
    path: str | Path, size: int | tuple[int, int] | None = None, mode: str | None = None
) -> Images:
    """The images of a folder, or of a .npy or .npz file of bytes: (N, H, W), (N, 3, H, W) or
    (N, H, W, 3). An array that is not compressed stays on disk until its values are needed.

    Args:
        size, mode: of :func:`image_folder`; an array is as it is.

    Raises:
        FileNotFoundError: if there is no such folder or file, or no image in it.
        ValueError: if a file is damaged, sizes or modes are mixed, or an array holds no images.
    """
    path = Path(path)
    if path.is_dir() or not path.suffix or is_image_file(path):
        return _folder(path, size, mode)
    if size is not None or mode is not None:
        raise ValueError(
            f"size and mode are for folders of image files, and {path} is an array: resize or "
            "convert it before it is saved"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return _array(path)


def write_images(
    path: str | Path, images: np.ndarray, levels: int = 256, names: tuple[str, ...] = ()
) -> Path:
    """Writes images (N, H, W) or (N, 3, H, W) of whole numbers from 0 to `levels` - 1: to a .npy
    file as they are; to a .png file as one sheet; without an ending as a folder of PNG files.

    Args:
        names: of the files in a folder; by default numbers.

    Raises:
        ValueError: if the path has another ending, or these are no images.
    """
    path = Path(path)
    if path.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, images)
        files.write_bytes(path, buffer.getvalue())
        return path
    if path.suffix not in ("", ".png"):
        raise ValueError(
            f"{path} has no ending that images are written by: use .npy for an array, .png for one "
            "sheet, none for a folder of PNG files"
        )
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[1] == 3)):
        raise ValueError(
            f"an array of shape {images.shape} is no images, (N, H, W) or (N, 3, H, W): write it "
            "as .npy"
        )
    if path.suffix == ".png":
        files.write_bytes(path, png(_sheet(_bytes(images, levels))))
        return path
    for name, image in zip(_as_png(names, len(images)), images, strict=True):
        files.write_bytes(path / name, png(_bytes(image, levels), levels))
    return path


def _as_png(names: tuple[str, ...], count: int) -> list[str]:
    """Names of PNG files, all different and none in another folder."""
    if not names:
        digits = len(str(count - 1))
        return [f"{number:0{digits}}.png" for number in range(count)]
    stems = [Path(name).stem for name in names]
    if len(set(stems)) < len(stems):
        stems = [Path(name).name for name in names]
    return [f"{stem}.png" for stem in stems]


def _bytes(images: np.ndarray, levels: int) -> np.ndarray:
    """Whole numbers from 0 to `levels` - 1 spread over 0 to 255."""
    return (np.asarray(images, np.float32) * (255 / (levels - 1))).round().astype(np.uint8)


def png(image: np.ndarray, levels: int = 256) -> bytes:
    """One image (H, W) or (3, H, W) from 0 to 255 as a PNG file, of one bit a pixel where there
    are two levels."""
    buffer = io.BytesIO()
    drawn = Image.fromarray(image if image.ndim == 2 else image.transpose(1, 2, 0))
    if levels == 2:
        drawn = drawn.convert("1", dither=Image.Dither.NONE)
    drawn.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _folder(path: Path, size: int | tuple[int, int] | None, mode: str | None) -> Images:
    names = tuple(file.name for file in image_files(path))
    array = image_folder(path, size=size, mode=mode)
    kind = "RGB" if array.ndim == 4 else "1" if mode == "1" or array.max() <= 1 else "L"
    return Images(path, array, names, kind)


def channels_first(array: np.ndarray) -> tuple[np.ndarray, bool]:
    """Images (N, H, W) or (N, 3, H, W) of an array that may have the colours last or one channel,
    and whether the colours were last."""
    turned = array.ndim == 4 and array.shape[-1] in (1, 3) and array.shape[1] not in (1, 3)
    if turned:
        array = np.moveaxis(array, -1, 1)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    return array, turned


def _array(path: Path) -> Images:
    found = read_numpy(path)
    array = found.view(np.uint8) if found.dtype == bool else found
    if array.dtype != np.uint8:
        raise ValueError(
            f"{path} holds {array.dtype}, and images are bytes from 0 to 255: scale and round the "
            "values, and save array.astype(numpy.uint8); a table has two axes"
        )
    array, turned = channels_first(array)
    if not (array.ndim == 3 or (array.ndim == 4 and array.shape[1] == 3)) or 0 in array.shape:
        raise ValueError(
            f"{path} holds an array of shape {array.shape}, and images are (N, height, width), "
            "(N, 3, height, width) or (N, height, width, 3)"
        )
    pieces = (array[start : start + AT_ONCE] for start in range(0, len(array), AT_ONCE))
    kind = "RGB" if array.ndim == 4 else "1" if all(p.max() <= 1 for p in pieces) else "L"
    return Images(path, array, tuple(map(str, range(len(array)))), kind, turned)


def _sheet(pixels: np.ndarray) -> np.ndarray:
    """Images side by side, about as many rows as columns, with a grey line between two."""
    height, width = pixels.shape[-2:]
    columns = min(len(pixels), math.ceil(math.sqrt(len(pixels) * height / width)))
    rows = math.ceil(len(pixels) / columns)
    sheet = np.full((*pixels.shape[1:-2], rows * (height + 1) - 1, columns * (width + 1) - 1), 128)
    for number, image in enumerate(pixels):
        y, x = number // columns * (height + 1), number % columns * (width + 1)
        sheet[..., y : y + height, x : x + width] = image
    return sheet.astype(np.uint8)
