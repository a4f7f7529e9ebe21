"""A user's own folder of images as one array."""

__all__ = ["holed_folder", "image_files", "image_folder", "is_image_file", "read_image"]

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from . import formats

# Single pictures only: animations and documents are no examples of one distribution.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
    *(".pgm", ".ppm", ".pbm", ".pnm"),
)


PNG = b"\x89PNG\r\n\x1a\n"
"""The first bytes of a PNG file; byte 24 is the number of bits of a value."""

# What Pillow reads of more than 8 bits a value, which it would cut and not scale.
_WIDE = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}


@dataclass(frozen=True)
class _Mode:
    """How pictures of one of Pillow's modes are read: `working` is the mode that they are resized
    in, `axes` is the order of their axes in the result."""

    working: str
    axes: tuple[int, ...]


_MODES = {
    "1": _Mode("L", (0, 1)),
    "L": _Mode("L", (0, 1)),
    "RGB": _Mode("RGB", (2, 0, 1)),
}


def image_folder(
    path: str | Path, *, size: int | tuple[int, int] | None = None, mode: str | None = None
) -> np.ndarray:
    """The images of a folder in the order of their names, as uint8.

    Files that are no images by their suffix, and folders in it, are passed over. A picture that
    states how it was held is turned upright.

    Args:
        size: height and width in pixels, or one number for a square: each image is cut around its
            middle to that shape and then resized. By default all must have one size.
        mode: what each image is converted to, as Pillow names it: "L" for grey, "RGB" for colour,
            which drops transparency, or "1" for black and white, which cuts at the middle. By
            default all must have one of these.

    Returns:
        (N, H, W), from 0 to 255 for grey and 0 or 1 for black and white; (N, 3, H, W) for colour.

    Raises:
        FileNotFoundError: if there is no such folder, or no image in it.
        ValueError: if a file is damaged or truncated, or sizes or modes are mixed: which files, and
            what to do.
    """
    if mode is not None and mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    shape = (size, size) if isinstance(size, int) else size
    files = image_files(Path(path))
    first = _picture(files[0], shape, mode)
    images = np.empty((len(files), *first.array.shape), np.uint8)
    for number, file in enumerate(files):
        picture = _picture(file, shape, mode)
        picture.expect_like(first)
        images[number] = picture.array
    return images


def is_image_file(path: str | Path) -> bool:
    """Whether a path is a file of one image, by its suffix."""
    return Path(path).is_file() and Path(path).suffix.lower() in SUFFIXES


def image_files(path: str | Path) -> list[Path]:
    """The images of a folder by their suffix, in the order of their names; or the one image of a
    file.

    Raises:
        FileNotFoundError: if there is no such folder, or no image in it.
    """
    folder = Path(path)
    if is_image_file(folder):
        return [folder]
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    # Hidden files are no pictures: macOS leaves ._0.png beside 0.png on other systems' disks.
    files = sorted(
        each
        for each in folder.iterdir()
        if each.suffix.lower() in SUFFIXES and not each.name.startswith(".")
    )
    if not files:
        inner = sorted(each.name for each in folder.iterdir() if each.is_dir())
        hint = f"; it holds the folders {', '.join(inner[:5])}: give one of them" if inner else ""
        raise FileNotFoundError(f"{folder} holds no images ({', '.join(SUFFIXES)}){hint}")
    return files


def holed_folder(path: str | Path, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """The images of a folder, and which of their pixels are missing: those that are wholly
    transparent. What is not keeps its value, however much shines through.

    Args:
        mode: "1", "L" or "RGB", of all images; where the pixels that are seen have it already.

    Returns:
        Images as :func:`image_folder` gives them, and a mask of the same shape, True where
        something is missing.

    Raises:
        FileNotFoundError: if there is no such folder, or no image in it.
        ValueError: if a file is damaged, sizes are mixed, or pixels that are seen would change in
            that mode.
    """
    pictures = [_holed(file, mode) for file in image_files(path)]
    for picture, _ in pictures:
        picture.expect_like(pictures[0][0])
    return np.stack([p.array for p, _ in pictures]), np.stack([holes for _, holes in pictures])


def _holed(file: Path, mode: str) -> tuple["_Picture", np.ndarray]:
    """One file in that mode, and where it is wholly transparent, with the shape of its array."""
    image = _upright(file)
    hidden = np.asarray(image.convert("RGBA"))[..., 3] == 0
    colours = image.convert("RGB")
    picture = _converted(file, colours, mode)
    # Grey by Pillow's luma is exact where the three colours are one.
    again = Image.fromarray(picture.array * np.uint8(255)) if mode == "1" else colours.convert(mode)
    same = np.asarray(again.convert("RGB")) == np.asarray(colours)
    if not same[~hidden].all():
        raise ValueError(
            f"{file} has pixels that the mode {mode!r} of the other images does not have, and "
            "would not come back as they are: convert it first"
        )
    return picture, np.broadcast_to(hidden, picture.array.shape)


def read_image(path: str | Path) -> np.ndarray:
    """One image file, plain or gzipped, as uint8 (H, W) or (3, H, W), as it is stored.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, truncated, no image, or of another mode than "1", "L", "RGB".
    """
    return _picture(Path(path), None, None).array


@dataclass(frozen=True)
class _Picture:
    """An image that was read: where from, its mode, and its pixels (H, W) or (3, H, W)."""

    file: Path
    mode: str
    array: np.ndarray

    def expect_like(self, other: "_Picture") -> None:
        """Raises ValueError unless both have one mode and one size."""
        if self.mode != other.mode:
            raise ValueError(
                f"the images have different modes: {other.file} is {other.mode!r} and {self.file} "
                f"is {self.mode!r}; pass mode='L' to make all grey, or mode='RGB'"
            )
        ours, theirs = (picture.array.shape[-2:] for picture in (self, other))
        if ours != theirs:
            raise ValueError(
                f"the images have different sizes: {other.file} has {_size(theirs)} pixels and "
                f"{self.file} has {_size(ours)}; pass size=(height, width) to cut and resize "
                "all alike"
            )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _picture(file: Path, shape: tuple[int, int] | None, mode: str | None) -> _Picture:
    """One file, cut, resized and converted as asked for."""
    image = _upright(file)
    wanted = mode or image.mode
    if wanted not in _MODES:
        raise ValueError(
            f"{file} has the mode {image.mode!r}, which is none of {', '.join(map(repr, _MODES))}: "
            "pass mode='RGB' (or 'L' for grey) to convert all images"
        )
    image = image.convert(_MODES[wanted].working)
    if shape is not None:
        height, width = shape
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    return _converted(file, image, wanted)


def _converted(file: Path, image: Image.Image, mode: str) -> _Picture:
    """An image in one of the modes that there are."""
    image = image.convert(_MODES[mode].working)
    # Without dithering: a pixel becomes what it is nearer to.
    pixels = np.asarray(image.convert(mode, dither=Image.Dither.NONE), dtype=np.uint8)
    return _Picture(file, mode, pixels.transpose(_MODES[mode].axes))


def _upright(file: Path) -> Image.Image:
    """The image of a file as it was held, of 8 bits a value."""
    return ImageOps.exif_transpose(_opened(file))


def _opened(file: Path) -> Image.Image:
    """The decoded image of a file, checksums and all.

    Raises:
        ValueError: if it is damaged, truncated, or no image: how far it could be read; or if it has
            several pages, or more than 8 bits a value.
    """
    content = formats.read(file)
    stream = io.BytesIO(content.data)
    try:
        Image.open(stream).verify()  # it checks the sums of a PNG, and cannot be used afterwards
        stream.seek(0)
        image = Image.open(stream)
        pages = int(getattr(image, "n_frames", 1))
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{file} is damaged or no image: reading stopped at byte {stream.tell()} of "
            f"{len(content.data)} ({error}); replace it, or move it out of the folder"
        ) from None
    if pages > 1:
        raise ValueError(
            f"{file} has {pages} pages, and an image is one: save each page to a file of its own, "
            "or pass an array (pages, height, width)"
        )
    # Pillow keeps 8 of the 16 bits of a colour PNG without a word.
    if image.mode in _WIDE or (content.data[:8] == PNG and content.data[24] == 16):
        raise ValueError(
            f"{file} has the mode {image.mode!r}, more than 8 bits a value: read it into an array "
            "of floats, scale that, and pass the array"
        )
    return image
