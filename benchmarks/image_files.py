"""The sizes of lossless image files, which benchmarks of pictures compare themselves with."""

import io
from collections.abc import Callable

import imagecodecs
import numpy as np
from PIL import Image


def _saved(image: np.ndarray, **how: object) -> int:
    """The size in bytes of an image in a file."""
    file = io.BytesIO()
    Image.fromarray(_channels_last(image)).save(file, **how)
    return len(file.getvalue())


def _channels_last(image: np.ndarray) -> np.ndarray:
    """An image (H, W) or (C, H, W) as files have it: (H, W) or (H, W, C)."""
    return image if image.ndim == 2 else np.ascontiguousarray(np.moveaxis(image, 0, -1))


def _jpeg_xl(image: np.ndarray) -> int:
    return len(imagecodecs.jpegxl_encode(_channels_last(image), lossless=True, effort=9))


FILES: dict[str, Callable[[np.ndarray], int]] = {
    "PNG": lambda x: _saved(x, format="PNG", optimize=True),
    "WebP lossless": lambda x: _saved(x, format="WEBP", lossless=True, quality=100, method=6),
    "JPEG XL": _jpeg_xl,
}
"""The size in bytes of one image, uint8 (H, W) or (C, H, W), by format."""


def bits_per_value(images: np.ndarray) -> dict[str, np.ndarray]:
    """Bits per value of each image in each format."""
    return {
        name: np.array([8 * size(image) / image.size for image in images])
        for name, size in FILES.items()
    }
