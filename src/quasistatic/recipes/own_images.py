"""A user's own images, from a folder or an array: what `quasistatic fit` trains on."""

__all__ = ["OwnImages"]

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from ..data import Some, Split
from ..data.pictures import Images, png, read_images
from ..reporting import figures
from ..sampling import SMC
from ..training.loop import Fit
from .experiment import Experiment, Picture, Recipe
from .image import pictorial

FEWEST = 10
"""Images that can be learned from at all."""

VALID, HELD_BACK = (0.1, 32, 256), (20, 400)
"""Images to choose by: their share, the fewest and the most; and the fewest and the most that are
held back. A fifth of all is the most of either."""

SHARED = 1 << 14
"""Images that tell how often each pixel is white."""


@dataclass(frozen=True)
class OwnImages(Recipe):
    """Images of one's own by the Levels head; those held back say how good it is."""

    path: str = ""
    size: int | tuple[int, int] | None = None
    mode: str | None = None
    held_back: float = 0.1
    sha256: str = ""
    fit: Fit = field(default_factory=Fit)

    def __post_init__(self) -> None:
        if not 0 <= self.held_back < 1:
            raise ValueError(f"the share that is held back is from 0 to 1, got {self.held_back}")

    @property
    def reaches(self) -> str:
        return "fewer bits than the same images as PNG files"

    def read(self) -> Images:
        """The images.

        Raises:
            FileNotFoundError, ValueError: what :func:`read_images` raises; or if they are too few,
                or not those that the run was trained on.
        """
        images = read_images(self.path, self.size, self.mode)
        if len(images) < FEWEST:
            raise ValueError(
                f"{self.path} holds {len(images)} images, and a model takes {FEWEST} at the very "
                "least, and hundreds to be of use: give more"
            )
        if self.sha256 and images.sha256() != self.sha256:
            raise ValueError(
                f"{self.path} holds other images than those that the run was trained on "
                f"({images} now): put those back, or give data to the command, or fit again"
            )
        return images

    def build(self) -> Experiment:
        return self.experiment(self.read())

    def experiment(self, images: Images) -> Experiment:
        """What is made of images that have been read."""
        data = self._split(images)
        share = None
        if images.levels == 2:
            some = data.train.rows[: 2**14]
            share = torch.from_numpy(
                (images.array[some].mean(0) * len(some) + 0.5) / (len(some) + 1)
            )
        model = pictorial(images.array.shape[1:], images.levels, share=share)
        return Experiment(model, data, _pictures(images), _baselines(images))

    def _split(self, images: Images) -> Split[Some]:
        """In a random order: those held back, those to choose by, and those to train on."""
        count = len(images)
        order = np.random.default_rng(self.fit.seed).permutation(count)
        portion, fewest, most = VALID
        valid = min(max(round(portion * count), fewest), most, count // 5)
        fewest, most = HELD_BACK
        held = min(max(round(self.held_back * count), fewest), most, count // 5)
        held = held if self.held_back else 0
        test, chosen, train = np.split(order, [held, held + valid])
        array = images.array
        # In the order of the files, as a disk likes it.
        return Split(Some(array, np.sort(train)), array[np.sort(chosen)], array[np.sort(test)])


def _baselines(images: Images) -> Callable[[Split], dict[str, np.ndarray]]:
    def found(data: Split) -> dict[str, np.ndarray]:
        """Each image as a PNG file, its header and checksums with it."""
        whole = data.test * np.uint8(255 // (images.levels - 1))
        bits = [8 * len(png(image, images.levels)) / image.size for image in whole]
        return {"PNG files": np.array(bits)}

    return found


def _pictures(images: Images) -> tuple[tuple[str, Picture], ...]:
    shape, limits = images.array.shape[1:], (0, images.levels - 1)
    return (
        (
            "Images that the model drew",
            lambda m, x, rng: figures.image_grid(
                m.sample(36, times=100, rng=rng), shape, limits=limits
            ),
        ),
        (
            "Images held back, completed from their left half",
            lambda m, x, rng: figures.completion_panel(
                m, x[:4], rng, shape=shape, method=SMC(16), times=50
            ),
        ),
        (
            "Where the bits are",
            lambda m, x, rng: figures.bits_by_time(m, x, rng, examples=min(64, len(x))),
        ),
    )
