"""Random views of images for a training step: reflections, and crops of larger images."""

__all__ = ["Crops", "Flips"]

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .sources import Rows, Source


class Flips(Source):
    """An array (N, *, W) whose rows come mirrored left to right half of the time."""

    def __init__(self, array: np.ndarray | Tensor) -> None:
        self.rows = Rows(array)
        if len(self.rows.shape) < 2:
            raise ValueError(
                f"an image has a height and a width to be mirrored, got rows of shape "
                f"{self.rows.shape}: reshape them to (N, height, width), or train on Rows"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        x = self.rows.batch(rows, rng)
        mirrored = _coins(len(rows), rng).to(x.device)
        return torch.where(mirrored.reshape(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)

    def fingerprint(self) -> dict[str, Any]:
        return {"flips": True, **self.rows.fingerprint()}


class Crops(Source):
    """Rectangles of images (N, H, W) or (N, C, H, W), at a place drawn uniformly each time.

    Args:
        size: height and width of a crop, in pixels; one number for a square.
        flips: whether a crop comes mirrored left to right half of the time.
        views: how many crops of each image an epoch has.

    Raises:
        ValueError: if the crops do not fit the images.
    """

    def __init__(
        self,
        images: np.ndarray | Tensor,
        size: int | tuple[int, int],
        flips: bool = True,
        views: int = 1,
    ) -> None:
        self.images = Rows(images)
        self.size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.flips, self.views = flips, views
        if len(self.images.shape) not in (2, 3):
            raise ValueError(
                "images have shape (N, height, width) or (N, channels, height, width), got "
                f"{(len(self.images), *self.images.shape)}: reshape them"
            )
        have = self.images.shape[-2:]
        if not all(1 <= want <= there for want, there in zip(self.size, have, strict=True)):
            raise ValueError(
                f"a crop of {self.size[0]} x {self.size[1]} pixels does not fit images of "
                f"{have[0]} x {have[1]}: choose a size from 1 x 1 to theirs"
            )
        if views < 1:
            raise ValueError(f"views of each image in an epoch must be 1 or more, got {views}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.images.shape[:-2], *self.size)

    def __len__(self) -> int:
        return self.views * len(self.images)

    def batch(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        array = self.images.array
        *channels, height, width = self.images.shape
        count = len(rows)
        top = torch.randint(height - self.size[0] + 1, (count, 1), generator=rng)
        left = torch.randint(width - self.size[1] + 1, (count, 1), generator=rng)
        y = top + torch.arange(self.size[0])
        x = left + torch.arange(self.size[1])
        if self.flips:
            x = torch.where(_coins(count, rng)[:, None], x.flip(1), x)
        # The place of each pixel in its plane, then of each plane in memory: one gather in all.
        place = y[:, :, None] * width + x[:, None, :]
        per_image = channels[0] if channels else 1
        plane = (rows.cpu() % len(self.images))[:, None] * per_image + torch.arange(per_image)
        index = plane[..., None, None] * (height * width) + place[:, None]
        return array.take(index.to(array.device)).reshape(count, *self.shape)

    def fingerprint(self) -> dict[str, Any]:
        about = {"crops": list(self.size), "flips": self.flips, "views": self.views}
        return {**about, **self.images.fingerprint()}


def _coins(count: int, rng: torch.Generator) -> Tensor:
    """Fair coins (count,)."""
    return torch.rand(count, generator=rng) < 0.5
