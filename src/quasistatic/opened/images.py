"""An opened model of images."""

__all__ = ["ImageModel"]

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from .._utils import files
from .._utils.randomness import Rng
from ..data.image_format import ImageFormat
from ..diagnostics.anomalies import Anomalies, AnomalyDetector
from ..distributions import FiniteSupport
from ..reporting.answer import Answer
from ..sampling import SMC
from .arrays_io import load_array, save_array, write_csv
from .coding import CodingVerbs
from .diagnostics import DiagnosticVerbs
from .distilling import DistillVerb
from .example_stream import ExampleStream, stamp
from .inference import InferenceVerbs
from .trained import Data, as_path

TOGETHER = 8
"""The number of images that are completed at once."""

JUDGED = 256
"""Images that `outliers` judges at once: a stopped run repeats so many at most."""

PER_IMAGE = ("scores", "p_values", "bands", "band_p_values", "costs")
"""What is known of each image that was judged."""

DRAWS = 4
"""Network evaluations in each log-SNR band for the score of an anomaly. All images see the same
noise, so few are enough."""


class ImageModel(InferenceVerbs, CodingVerbs, DiagnosticVerbs, DistillVerb):
    """An opened model of images, which reads folders and arrays of them, and writes both."""

    kind: ClassVar[str] = "images"

    @cached_property
    def format(self) -> ImageFormat:
        """How its images look, and how files are converted to them."""
        space, recipe = self.model.space, self.run.recipe
        try:
            support = space.support
        except TypeError:  # dequantised
            support = None
        if not isinstance(support, FiniteSupport):
            raise ValueError(f"{self.folder} is no run of images: its data have no levels")
        size, mode = (None, None) if recipe is None else recipe.reading
        return ImageFormat(tuple(space.shape), len(support.values), size, mode)

    def read(self, data: Data, exact: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
        source = as_path(data)
        if source is None:
            x = load_array(data)
            return x, tuple(map(str, range(len(x) if x.ndim else 0)))
        images = self.format.read(source, exact)
        return images.array, images.names

    def write(self, path: Path, x: np.ndarray, names: tuple[str, ...] = ()) -> Path:
        path = Path(path)
        return save_array(path, x) if path.suffix == ".npy" else self.format.write(path, x, names)

    def impute(
        self,
        data: str | Path,
        *,
        by: Literal["draw", "mean", "median"] = "draw",
        draws: int = 16,
        particles: int = 8,
        times: int = 50,
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Fills missing pixels from their posterior given the known ones. Known pixels keep their
        values.

        Args:
            data: a folder of PNG files whose transparent pixels are missing, or a .npy file with
                NaN.
            by: fill each image with one draw, or with the mean or the median of `draws` draws.
            draws: draws for the mean and the median.
            particles: particles of the sequential Monte Carlo for each image.
            times: evenly spread time steps of the chain.
            out: where to write; by default `imputed` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        x, holes, names = self.format.read_with_holes(data)
        fill = _FILLS[by]
        path = Path(out or self.result("imputed"))
        with self.run.threads():
            source = self._generator(rng)
            count = fill.draws or draws
            options = [by, count, particles, times, source.initial_seed(), stamp(holes)]
            stream = self._stream("impute", path, TOGETHER, x[_holed(holes)], options)
            method = SMC(particles, fill.draws)
            filled = self._filled(
                stream, fill, fill.draws or draws, x, holes, times, source, method
            )
        path = self.format.write(path, filled, names)
        stream.finish()
        rows, missing = len(_holed(holes)), int(holes.sum())
        about = fill.about.format(draws)
        line = f"wrote {path}: {missing} values of {rows} of {len(x)} images filled, by {about}"
        return Answer({"imputed": str(path), "filled": missing, "rows": rows}, [line], filled)

    def outliers(self, data: Data, *, level: float = 0.05, out: Path | None = None) -> Answer:
        """Finds images that are unlike the training images. On average at most a share of `level`
        of ordinary images is called an outlier.

        The score is the cost in nats of an image's coarse structure, less the cost that is expected
        of an image with the same pixel values (:class:`quasistatic.AnomalyDetector`).
        Log-probability alone would rank every simple image as ordinary, even a strange one.

        Args:
            data: a folder of images, a .npy file, or an array.
            level: the share of ordinary images that may be called outliers.
            out: the CSV file to write; by default `outliers.csv` in the run's folder.
        """
        if not 0 < level < 1:
            raise ValueError(f"--level is a share between 0 and 1, got {level}")
        x, names = self.read(data)
        path = Path(out or self.result("outliers.csv"))
        with self.run.threads():
            detector = self.detector()
            stream = self._stream("outliers", path, JUDGED, x, [detector.seed, detector.draws])
            found = _judged(stream, detector, x)
        few = level < found.least_level
        strange = found.p_values <= (0.0 if few else level)
        columns = (found.scores.tolist(), found.p_values.tolist(), strange.tolist())
        columns_of = zip(names, *columns, strict=True)
        rows = [(name, repr(score), repr(p), str(int(odd))) for name, score, p, odd in columns_of]
        write_csv(path, ("file", "excess", "p_value", "outlier"), rows)
        stream.finish()
        line = (
            f"wrote {path}: {int(strange.sum())} of {len(x)} images are outliers at level "
            f"{level:g}, calibrated on {found.calibrated_on} held-back images; `excess`, in nats, "
            "is how much more than expected the coarse shapes of an image cost (-log p itself "
            "would rank simple images as ordinary)"
        )
        lines = [line]
        if few:
            enough = math.ceil(100 * found.least_level) / 100
            lines.append(
                f"{found.calibrated_on} held-back images call nothing an outlier at level "
                f"{level:g}: rank by `p_value`, use --level {enough:g} or more, or fit to more "
                "images"
            )
        facts = {"outliers": str(path), "found": int(strange.sum()), "rows": len(x)}
        return Answer(facts, lines, found)

    def _filled(
        self,
        stream: ExampleStream,
        fill: "_Fill",
        draws: int,
        x: np.ndarray,
        holes: np.ndarray,
        times: int,
        rng: torch.Generator,
        method: SMC,
    ) -> np.ndarray:
        """Images (N, *) with their missing pixels filled, a few images at a time."""
        rows = _holed(holes)

        def completed(piece: slice) -> dict[str, np.ndarray]:
            some = rows[piece]
            made = self.model.complete(x[some], holes[some], draws, times, rng, method=method)
            found = fill.merged(made.draws.cpu().double().numpy()).round()
            return {"filled": np.where(holes[some], found, x[some]).astype(np.uint8)}

        filled = x.copy()
        if len(rows):
            filled[rows] = stream.run(completed, rng)["filled"]
        return filled

    def detector(self) -> AnomalyDetector:
        """Measures ordinary images once, and keeps the result: the validation images give the
        expected costs, and the held-back images the p-values."""
        path = self.result("detector.safetensors")
        if path.is_file():
            tensors, facts = files.load_tensors(path)
            try:
                parts = (tensors["expected"], tensors["calibration"])
                return AnomalyDetector(self.model, *parts, **facts)
            except (KeyError, TypeError) as error:
                raise ValueError(
                    f"{path} is damaged ({error!r}): delete it, and it is measured again"
                ) from None
        data = self.run.experiment.data
        if not len(data.test):
            raise ValueError(
                f"{self.folder} held no images back: fit again with a larger --calibration"
            )
        self.display.say(f"measuring {len(data.valid)} + {len(data.test)} ordinary images, once")
        found = AnomalyDetector.fit(self.model, data.valid, data.test, draws=DRAWS)
        facts = {"below": found.below, "draws": found.draws, "seed": found.seed}
        tensors = {"expected": found.expected, "calibration": found.calibration}
        files.save_tensors(path, tensors, facts)
        return found

    def _mask(self, mask: Data) -> tuple[np.ndarray, tuple[str, ...]]:
        x = load_array(mask)
        return x, ()


def _holed(holes: np.ndarray) -> np.ndarray:
    """The images with missing pixels."""
    return np.flatnonzero(holes.reshape(len(holes), -1).any(1))


def _judged(stream: ExampleStream, detector: AnomalyDetector, x: np.ndarray) -> Anomalies:
    """The scores of images, some at a time; each depends on its image alone."""
    last: Anomalies | None = None

    def judged(piece: slice) -> dict[str, np.ndarray]:
        nonlocal last
        last = detector.score(np.asarray(x[piece]))
        return {name: getattr(last, name).cpu().numpy() for name in PER_IMAGE}

    found = stream.run(judged)
    assert last is not None  # the last piece is never one that was kept
    joined: dict[str, Any] = {name: torch.from_numpy(found[name]) for name in PER_IMAGE}
    return replace(last, **joined)


@dataclass(frozen=True)
class _Fill:
    """How draws (n, draws, *) become one image: the function, its name, and how many draws it takes
    (None for as many as the user asks for)."""

    merged: Callable[[np.ndarray], np.ndarray]
    about: str
    draws: int | None = None


_FILLS = {
    "draw": _Fill(lambda draws: draws[:, 0], "one draw", 1),
    "mean": _Fill(lambda draws: draws.mean(1), "the mean of {} draws"),
    "median": _Fill(lambda draws: np.median(draws, 1), "the median of {} draws"),
}
