"""An opened model of images."""

__all__ = ["ImageModel"]

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from .._utils import files
from .._utils.randomness import Rng
from ..data.image_format import ImageFormat
from ..diagnostics.anomalies import AnomalyDetector
from ..distributions import FiniteSupport
from ..reporting.answer import Answer
from ..sampling import SMC
from ..training.train_state import Progress
from .arrays_io import load_array, save_array, write_csv
from .coding import CodingVerbs
from .diagnostics import DiagnosticVerbs
from .distilling import DistillVerb
from .inference import InferenceVerbs
from .trained import Data, as_path

TOGETHER = 8
"""The number of images that are completed at once."""

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
        with self.run.threads():
            method = SMC(particles, fill.draws)
            filled = self._filled(fill, fill.draws or draws, x, holes, times, rng, method)
        path = self.format.write(Path(out or self.result("imputed")), filled, names)
        rows, count = int(holes.reshape(len(x), -1).any(1).sum()), int(holes.sum())
        about = fill.about.format(draws)
        line = f"wrote {path}: {count} values of {rows} of {len(x)} images filled, by {about}"
        return Answer({"imputed": str(path), "filled": count, "rows": rows}, [line], filled)

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
        with self.run.threads():
            found = self.detector().score(np.asarray(x))
        few = level < found.least_level
        strange = found.p_values <= (0.0 if few else level)
        columns = (found.scores.tolist(), found.p_values.tolist(), strange.tolist())
        columns_of = zip(names, *columns, strict=True)
        rows = [(name, repr(score), repr(p), str(int(odd))) for name, score, p, odd in columns_of]
        path = Path(out or self.result("outliers.csv"))
        write_csv(path, ("file", "excess", "p_value", "outlier"), rows)
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
        fill: "_Fill",
        draws: int,
        x: np.ndarray,
        holes: np.ndarray,
        times: int,
        rng: Rng,
        method: SMC,
    ) -> np.ndarray:
        """Images (N, *) with their missing pixels filled, a few images at a time."""
        generator = self._generator(rng)
        rows = np.flatnonzero(holes.reshape(len(x), -1).any(1))
        filled, began = x.copy(), time.monotonic()
        with self.display.progress("impute") as show:
            for start in range(0, len(rows), TOGETHER):
                some = rows[start : start + TOGETHER]
                made = self.model.complete(
                    x[some], holes[some], draws, times, generator, method=method
                )
                found = fill.merged(made.draws.cpu().double().numpy()).round()
                filled[some] = np.where(holes[some], found, x[some]).astype(np.uint8)
                done = start + len(some)
                left = (time.monotonic() - began) / done * (len(rows) - done)
                show(Progress(done, len(rows), {}, left))
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
