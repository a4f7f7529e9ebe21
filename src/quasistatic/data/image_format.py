"""How the images of one model are read from files and written to files."""

__all__ = ["ImageFormat"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .folders import holed_folder, image_files, is_image_file
from .numpy_files import read_numpy
from .pictures import Images, channels_first, read_images, write_images


@dataclass(frozen=True)
class ImageFormat:
    """The format of a model's images.

    Args:
        shape: of an image, (H, W) or (3, H, W).
        levels: how many values a pixel can have, from 0.
        size: height and width that files are cropped and resized to; None leaves them as they are.
        mode: the Pillow mode that files are converted to; None leaves them as they are.
    """

    shape: tuple[int, ...]
    levels: int
    size: int | tuple[int, int] | None = None
    mode: str | None = None

    @property
    def pillow_mode(self) -> str:
        """The mode of the images as Pillow names it: "1", "L" or "RGB"."""
        if self.levels == 2:
            return "1"
        return "RGB" if len(self.shape) == 3 else "L"

    def read(self, path: str | Path, exact: bool = False) -> Images:
        """The images of a folder, of one image file or of a .npy file.

        Args:
            path: a folder of image files, one of them, or an array file.
            exact: whether files must have the right size and mode already, so that nothing is lost.

        Raises:
            FileNotFoundError: if there is no such folder or file.
            ValueError: if the images do not have the model's shape: what they have.
        """
        path = Path(path)
        if path.is_dir() or is_image_file(path):
            bits = self.pillow_mode == "1"
            size, mode = (None, None) if exact else (self.size, "1" if bits else self.mode)
            images = read_images(path, size, mode)
            images = (images.bits() or images) if bits else images
        else:
            array, turned = channels_first(read_numpy(path))
            names = tuple(map(str, range(len(array))))
            images = Images(path, array, names, self.pillow_mode, turned)
        if images.array.shape[1:] != self.shape:
            raise ValueError(
                f"{path} holds {images}, an array of shape {images.array.shape}, and the run is of "
                f"examples of shape {self.shape}: give images of that size and mode"
            )
        return images

    def read_with_holes(self, path: str | Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Images with missing pixels: transparent pixels of PNG files, or NaN of an array.

        Returns:
            The images as bytes (N, *shape), a mask of the same shape that is True where a value is
            missing, and the names of the files, which are empty for an array.

        Raises:
            FileNotFoundError: if there is no such folder or file.
            ValueError: if a known value is not from 0 to 255, or the shape is another.
        """
        path = Path(path)
        names: tuple[str, ...] = ()
        if path.is_dir() or is_image_file(path):
            x, holes = holed_folder(path, self.pillow_mode)
            names = tuple(file.name for file in image_files(path))
        else:
            found = read_numpy(path)
            holes = np.isnan(found)
            x = np.where(holes, 0, found)
            if ((x != x.round()) | (x < 0) | (x > 255)).any():
                raise ValueError(
                    f"{path} holds other values than whole numbers from 0 to 255 and NaN"
                )
            x = x.astype(np.uint8)
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"{path} holds images of shape {x.shape[1:]}, and the run is of examples of shape "
                f"{self.shape}: give images of that size"
            )
        return x, holes, names

    def write(self, path: str | Path, images: np.ndarray, names: tuple[str, ...] = ()) -> Path:
        """Writes images: an array (.npy), one sheet (.png), or a folder of PNG files (no ending).

        Args:
            path: the file or the folder.
            images: (N, *shape), whole numbers from 0 to `levels` - 1.
            names: of the files in a folder; by default numbers.

        Raises:
            ValueError: if the path has another ending.
        """
        return write_images(path, images, self.levels, names)
