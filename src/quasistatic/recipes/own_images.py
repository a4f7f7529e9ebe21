"""A user's own images, from a folder or an array: the recipe of `quasistatic fit FOLDER`."""

__all__ = ["OwnImages"]

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from ..data import Some, Split
from ..data.pictures import Images, png, read_images
from ..diffusion import Diffusion
from ..reporting import figures
from ..sampling import SMC
from ..spaces import Quantized
from ..training.config import Fit
from ..training.evidence import Evidence
from .experiments.experiment import Experiment, Picture
from .image import SPREAD, pictorial
from .latent import LatentStage, chain_of_latents, latent_start
from .recipe import Recipe, require_calibration
from .spectral import NETWORKS, SpectralChoice, spectral_law, spectral_model

FEWEST = 10
"""The smallest number of images that a model can be fitted to."""

VALID, HELD_BACK = (0.1, 32, 256), (20, 400)
"""Validation images: their share, the fewest and the most. Images that are held back: the fewest
and the most. Neither is more than a fifth of all images."""

FOR_LAW = 20_000
"""Training images to which a spectral law is fitted, at most."""

CODER = Fit(steps=1000, lr=1e-3, weight_decay=0.01, validations=4, evaluations=1)
"""How the autoencoder of large images is trained, by default."""

DOWN = 8
"""By how much the sides of latents are shorter than those of the images."""

LATENTS = 16
"""Channels of the latents of grey images; colours have twice as many."""

FOR_START, FOR_LATENTS = 64, 1024
"""Training images whose patches give the first autoencoder, and to whose latents a law is fitted,
at most."""

SHOWN, TIMES = 16, 50
"""Images in the figures of a page, and the time steps of the chains that draw them. A page takes
about 2500 evaluations of the network, whatever the number of images."""

FOR_SHARE = 1 << 14
"""Training images from which the share of white of each pixel is computed."""


@dataclass(frozen=True)
class OwnImages(Recipe):
    """A user's own images by the Levels head; images that are held back measure the result.

    Args:
        path: the folder, or the .npy or .npz file.
        size: height and width in pixels that files are cropped and resized to.
        mode: the Pillow mode that files are converted to.
        held_back: share of the images that is held back for testing and calibration.
        sha256: digest of the images that the run was trained on.
        fit: how to train.
        law: whether grey levels and colours start as a spectral law, which the network corrects.
        network: the kind of network that corrects it.
        latent: whether the images are latents of an autoencoder, which is trained first.
        coder: how to train the autoencoder.
    """

    path: str = ""
    size: int | tuple[int, int] | None = None
    mode: str | None = None
    held_back: float = 0.1
    sha256: str = ""
    fit: Fit = field(default_factory=Fit)
    law: bool = field(default=False, metadata={"added": True})
    network: Literal["unet", "dit"] = field(default="unet", metadata={"added": True})
    latent: bool = field(default=False, metadata={"added": True})
    coder: Fit = field(default=CODER, metadata={"added": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        require_calibration(self.held_back, "images")

    @property
    def reaches(self) -> str:
        return "fewer bits than the same images as PNG files"

    @property
    def evaluations(self) -> int:
        return 25

    @property
    def reading(self) -> tuple[int | tuple[int, int] | None, str | None]:
        return self.size, self.mode

    def read(self) -> Images:
        """Reads the images.

        Raises:
            FileNotFoundError: if there is no such folder or file.
            ValueError: if a file is damaged, the images are too few, or they are not those that the
                run was trained on.
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
        """The experiment on images that were read before."""
        data = self._split(images)
        shape, parts = images.array.shape[1:], (data, _pictures(images), _baselines(images))
        if self.latent:
            return self._latent(images, *parts)
        if self.law and images.levels > 2:
            space = Quantized(shape, images.levels, SPREAD)
            rows = data.train.rows[:: -(-len(data.train.rows) // FOR_LAW)]
            law = spectral_law(space, images.array[rows], seed=self.fit.seed)
            model = spectral_model(space, law.law, network=NETWORKS[self.network])
            return Experiment(model, *parts, law=law)
        share = images.white_share(data.train.rows[:FOR_SHARE])
        start = None if share is None else torch.from_numpy(share)
        return Experiment(pictorial(shape, images.levels, share=start), *parts)

    def _latent(
        self,
        images: Images,
        data: Split[Any],
        pictures: tuple[tuple[str, Picture], ...],
        baselines: Callable[[Split[Any]], dict[str, np.ndarray]],
    ) -> Experiment:
        """The experiment in two stages, an autoencoder and a chain of its latents."""
        shape = images.array.shape[1:]
        if images.levels == 2:
            raise ValueError(
                "--latent is for grey images and colours, and these are black and white: leave it "
                "out, or give --mode L"
            )
        raw = Quantized(shape, images.levels, SPREAD)
        rows, seed = data.train.rows, self.fit.seed

        def some(count: int) -> torch.Tensor:
            return torch.from_numpy(images.array[rows[:: -(-len(rows) // count)]])

        channels = LATENTS * (1 + (len(shape) > 2))
        model = latent_start(raw, some(FOR_START), channels=channels, down=DOWN)

        def second(trained: Diffusion) -> tuple[Diffusion, SpectralChoice]:
            kind = NETWORKS[self.network]
            return chain_of_latents(trained, some(FOR_LATENTS), network=kind, seed=seed)

        stage = LatentStage(model, Evidence(), self.coder, second)
        return Experiment(model, data, pictures, baselines, first=stage)

    def _split(self, images: Images) -> Split[Some]:
        """Splits the images at random into training, validation and held-back images."""
        count = len(images)
        order = np.random.default_rng(self.fit.seed).permutation(count)
        portion, fewest, most = VALID
        valid = min(max(round(portion * count), fewest), most, count // 5)
        fewest, most = HELD_BACK
        held = min(max(round(self.held_back * count), fewest), most, count // 5)
        held = held if self.held_back else 0
        test, chosen, train = np.split(order, [held, held + valid])
        array = images.array
        # In the order of the files, so that the disk is read in order.
        return Split(Some(array, np.sort(train)), array[np.sort(chosen)], array[np.sort(test)])


def _baselines(images: Images) -> Callable[[Split[Any]], dict[str, np.ndarray]]:
    def found(data: Split[Any]) -> dict[str, np.ndarray]:
        """The size of each image as a PNG file, with its header and checksums."""
        whole = data.test * np.uint8(255 // (images.levels - 1))
        bits = [8 * len(png(image, images.levels)) / image.size for image in whole]
        return {"PNG files": np.array(bits)}

    return found


def _pictures(images: Images) -> tuple[tuple[str, Picture], ...]:
    shape, limits = images.array.shape[1:], (0, images.levels - 1)
    return (
        (
            f"Images sampled from the model in {TIMES} steps",
            lambda m, x, rng: figures.image_grid(
                m.sample(SHOWN, times=TIMES, rng=rng), shape, limits=limits, beside=x[:SHOWN]
            ),
        ),
        (
            "Held-out images completed from their left half",
            lambda m, x, rng: figures.completion_panel(
                m, x[:3], rng, shape=shape, method=SMC(8, repeats=1), draws=8, times=TIMES // 3
            ),
        ),
        (
            "Bits of the bound by time step",
            lambda m, x, rng: figures.bits_by_time(m, x, rng, examples=SHOWN, points=50),
        ),
    )
