"""The verbs on images in folders and arrays: impute and outliers; and which words mean them."""

__all__ = ["impute_images", "is_images", "is_images_run", "outliers_images"]

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro

from .._utils import files
from ..data.folders import holed_folder, image_files
from ..data.pictures import are_images, write_images
from ..diagnostics.anomalies import AnomalyDetector
from ..recipes.pretrained import locate
from ..recipes.runs import Opened, open_run
from ..reporting.console import Display
from ..sampling import SMC
from ..training.train_state import Progress
from .arguments import Folder, Out, Seed, load_array, parse
from .image_files import given, levels_of, write_csv

Given = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(help="A folder of images, or a .npy or .npz file.")
]
FLAGS = ("--dry-run", "--json", "--one")
"""Options of these verbs that take no value."""

TOGETHER = 8
"""Images that are completed at once."""

DRAWS = 4
"""Evaluations of the network in each band of noise that tell how strange an image is: all images
are shown the same noise, so that few will do."""


def is_images(words: Sequence[str]) -> bool:
    """Whether the words of `fit` name images and no table."""
    return any(are_images(word) for word in _named(words))


def is_images_run(words: Sequence[str]) -> bool:
    """Whether words name a run whose examples have a height and a width."""
    return any(_of_images(word) for word in _named(words))


def _named(words: Sequence[str]) -> list[str]:
    """The words that may be what a verb is about: no option, and no value of one."""
    pairs = zip(["", *words], words, strict=False)
    return [word for last, word in pairs if word[:1] != "-" and (last[:1] != "-" or last in FLAGS)]


def _of_images(run: str) -> bool:
    try:
        stored = json.loads((locate(run) / "config.json").read_text())
        return len(stored["model"]["space"]["shape"]) >= 2
    except (OSError, ValueError, KeyError, TypeError):
        return False  # whoever opens it says what is wrong with it


@dataclasses.dataclass
class _Impute:
    """Fill the transparent pixels of PNG files, or the NaN of an array, by draws given the others.
    Known pixels come back as they are."""

    run: Folder
    data: Given
    by: Annotated[
        Literal["draw", "mean", "median"],
        tyro.conf.arg(help="One draw, or the mean or the median of --draws in each pixel."),
    ] = "draw"
    draws: int = 16
    particles: Annotated[int, tyro.conf.arg(help="That walk together.")] = 8
    times: Annotated[int, tyro.conf.arg(help="Even steps of the chain.")] = 50
    out: Out = None
    seed: Seed = 0
    json: bool = False


def impute_images(words: Sequence[str]) -> None:
    """Fill what is missing in images."""
    asked: _Impute = parse(_Impute, "impute", words)
    display, opened = Display(asked.json), open_run(asked.run)
    levels = levels_of(opened)
    x, holes, names = _holed(asked.data, opened, levels)
    with opened.threads():
        filled = _filled(asked, opened, x, holes, display)
    path = write_images(asked.out or opened.result("imputed"), filled, levels, names)
    rows, count = int(holes.reshape(len(x), -1).any(1).sum()), int(holes.sum())
    how = _WAYS[asked.by].about.format(asked.draws)
    display.say(f"wrote {path}: {count} values of {rows} of {len(x)} images filled, by {how}")
    display.result(imputed=str(path), filled=count, rows=rows)


def _filled(
    asked: _Impute, opened: Opened, x: np.ndarray, holes: np.ndarray, display: Display
) -> np.ndarray:
    """Images (N, *) with something for what is missing, a few at a time."""
    rng = torch.Generator().manual_seed(asked.seed)
    way = _WAYS[asked.by]
    draws, method = way.draws or asked.draws, SMC(asked.particles, way.draws)
    rows = np.flatnonzero(holes.reshape(len(x), -1).any(1))
    filled, began = x.copy(), time.monotonic()
    with display.progress("impute") as show:
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            made = opened.model.complete(
                x[some], holes[some], draws, asked.times, rng, method=method
            )
            found = way.merged(made.draws.double().cpu().numpy()).round()
            filled[some] = np.where(holes[some], found, x[some]).astype(np.uint8)
            done = start + len(some)
            left = (time.monotonic() - began) / done * (len(rows) - done)
            show(Progress(done, len(rows), {}, left))
    return filled


@dataclasses.dataclass(frozen=True)
class _Way:
    """How draws (n, draws, *) become one value: how many there are, or None for what is asked, and
    what that is called."""

    merged: Callable[[np.ndarray], np.ndarray]
    about: str
    draws: int | None = None


_WAYS = {
    "draw": _Way(lambda draws: draws[:, 0], "one draw", 1),
    "mean": _Way(lambda draws: draws.mean(1), "the mean of {} draws"),
    "median": _Way(lambda draws: np.median(draws, 1), "the median of {} draws"),
}


def _holed(
    path: Path, opened: Opened, levels: int
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images as bytes, which of their values are missing, and the files' names."""
    shape = tuple(opened.model.space.shape)
    names: tuple[str, ...] = ()
    if path.is_dir():
        mode = "RGB" if len(shape) == 3 else "1" if levels == 2 else "L"
        x, holes = holed_folder(path, mode)
        names = tuple(file.name for file in image_files(path))
    else:
        found = load_array(path)
        holes = np.isnan(found)
        x = np.where(holes, 0, found)
        if (x != x.astype(np.uint8)).any():
            raise ValueError(f"{path} holds other values than whole numbers from 0 to 255 and NaN")
        x = x.astype(np.uint8)
    if x.shape[1:] != shape:
        raise ValueError(
            f"{path} holds images of shape {x.shape[1:]}, and the run is of examples of shape "
            f"{shape}: give images of that size"
        )
    return x, holes, names


@dataclasses.dataclass
class _Outliers:
    """Which images are unlike those that a model was fitted to, by what their outline costs in
    excess of what such values would cost anywhere (see the library's `AnomalyDetector`): the
    log-probability alone calls simple images ordinary, strange or not. Of ordinary images at most a
    share of --level are called outliers, on average."""

    run: Folder
    data: Given
    level: float = 0.05
    out: Out = None
    json: bool = False


def outliers_images(words: Sequence[str]) -> None:
    """Find the strange ones among images."""
    asked: _Outliers = parse(_Outliers, "outliers", words)
    display, opened = Display(asked.json), open_run(asked.run)
    images = given(asked.data, opened)
    with opened.threads():
        detector = _detector(opened, display)
        found = detector.score(np.asarray(images.array))
    strange = found.strange(asked.level)
    told = zip(
        images.names, found.scores.tolist(), found.p_values.tolist(), strange.tolist(), strict=True
    )
    rows = [(name, repr(score), repr(p), str(int(odd))) for name, score, p, odd in told]
    path = asked.out or opened.result("outliers.csv")
    write_csv(path, ("file", "excess", "p_value", "outlier"), rows)
    display.say(
        f"wrote {path}: {int(strange.sum())} of {len(images)} images are outliers at level "
        f"{asked.level:g}, by {found.calibrated_on} that were held back; `excess` is in nats, what "
        "the outline costs more than expected (not -log p, by which simple images are ordinary)"
    )
    display.result(outliers=str(path), found=int(strange.sum()), rows=len(images))


def _detector(opened: Opened, display: Display) -> AnomalyDetector:
    """What the run knows of ordinary images: those that it chose by say which costs are to be
    expected, and those held back are what p-values stand on. Measured once, and kept."""
    path = opened.result("detector.safetensors")
    if path.is_file():
        tensors, facts = files.load_tensors(path)
        parts = (tensors["expected"], tensors["calibration"])
        return AnomalyDetector(opened.model, *parts, **facts)
    data = opened.experiment.data
    if not len(data.test):
        raise ValueError(
            f"{opened.folder} held no images back: fit again with a larger --calibration"
        )
    display.say(f"measuring {len(data.valid)} + {len(data.test)} ordinary images, once")
    found = AnomalyDetector.fit(opened.model, data.valid, data.test, draws=DRAWS)
    facts = {"below": found.below, "draws": found.draws, "seed": found.seed}
    tensors = {"expected": found.expected, "calibration": found.calibration}
    files.save_tensors(path, tensors, facts)
    return found
