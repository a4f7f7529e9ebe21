"""The verbs on tables in files: fit, impute, outliers; and what score and sample do of them."""

__all__ = ["fit_", "impute_", "is_table", "outliers_", "sample_table", "score_table"]

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from .. import files
from ..display import Display
from ..estimators import DiffusionDensity, DiffusionImputer, DiffusionOutliers
from ..estimators.columns import Columns
from ..frames import Frame, read_frame, write_frame
from .image_fit import fit_images
from .images import impute_images, is_images, is_images_run, outliers_images
from .words import Seed, parse

Data = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(help="A table: CSV, NPY, NPZ or Parquet.")
]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="What `quasistatic fit` wrote.")]
Out = Annotated[Path | None, tyro.conf.arg(aliases=("-o",), help="Where to write.")]
HEADER = ("column", "taken for", "least", "most", "missing")


def is_table(folder: Path) -> bool:
    """Whether that is what :func:`fit_` wrote."""
    return (folder / "table.json").is_file()


@dataclasses.dataclass
class _Fit:
    """A model of a table in a file. Some rows are held back from it, and tell what an ordinary row
    is: see `quasistatic outliers`."""

    data: Data
    out: Out = None
    steps: Annotated[int | None, tyro.conf.arg(help="Of training; 0 for none.")] = None
    minutes: Annotated[float | None, tyro.conf.arg(help="That training may take.")] = None
    calibration: Annotated[float, tyro.conf.arg(help="Share of rows held back.")] = 0.1
    seed: Seed = 0
    dry_run: Annotated[bool, tyro.conf.arg(help="Say what would be fitted.")] = False
    json: bool = False


def fit_(words: Sequence[str]) -> None:
    """Fit a model to a table in a file (CSV, NPY, NPZ, Parquet), or to images in a folder."""
    if is_images(words):
        return fit_images(words)
    asked: _Fit = parse(_Fit, "fit", words)
    if not 0 <= asked.calibration < 1:
        raise ValueError(f"--calibration is a share of the rows, got {asked.calibration}")
    display, frame = Display(asked.json), read_frame(asked.data)
    folder = asked.out or Path("runs") / asked.data.stem
    display.table(f"{asked.data}: {len(frame.values)} rows", HEADER, frame.described())
    density = DiffusionDensity(
        steps=asked.steps, minutes=asked.minutes, random_state=asked.seed, verbose=True
    )
    order = np.random.default_rng(asked.seed).permutation(len(frame.values))
    held_back, rows = np.split(frame.values[order], [round(asked.calibration * len(order))])
    if asked.dry_run:
        plan = density.planned(rows)
        display.say(f"would fit {len(rows)} rows, and write {folder}: {plan}")
        display.result(run=str(folder), columns=frame.described(), plan=plan)
        return
    whole = Columns.of(rows).completed(rows, asked.seed)
    density.fit(whole)
    ordinary = held_back[~np.isnan(held_back).any(1)]
    log_prob = density.score_samples(ordinary) if len(ordinary) else np.empty(0)
    density.save(folder)
    files.write_bytes(folder / "calibration.npy", _npy(np.sort(log_prob)))
    about = {"columns": list(frame.names), "whole": list(frame.whole)}
    files.write_text(folder / "table.json", json.dumps(about, indent=2) + "\n")
    story = density.story_
    display.say(
        f"wrote {folder}: {type(density.model_.space).__name__} space, {story.steps} steps of "
        f"training, {'kept' if story.kept else 'not kept'}; {story.gain:.3f} nats a row won"
    )
    display.result(run=str(folder), rows=len(rows), calibration=len(log_prob), **story.facts())


@dataclasses.dataclass
class _Impute:
    """Fill what is missing in a table: by the mean of draws given the rest of each row, or by a
    single draw. Columns of whole numbers stay so, and known values come back as they are."""

    run: Folder
    data: Data
    draws: Annotated[int, tyro.conf.arg(help="That the mean is of.")] = 64
    one: Annotated[bool, tyro.conf.arg(help="A single draw instead of the mean.")] = False
    out: Out = None
    seed: Seed = 0
    json: bool = False


def impute_(words: Sequence[str]) -> None:
    """Fill missing values of a table in a file, or of images."""
    if is_images_run(words):
        return impute_images(words)
    asked: _Impute = parse(_Impute, "impute", words)
    display, density, frame = _opened(asked.run, asked.data, asked.json)
    imputer = DiffusionImputer.of(
        density, draws=1 if asked.one else asked.draws, random_state=asked.seed
    )
    filled = frame.like(imputer.transform(frame.values))
    path = write_frame(asked.out or asked.run / f"imputed{asked.data.suffix}", filled)
    count = int(np.isnan(frame.values).sum())
    display.say(f"wrote {path}: {count} missing values of {len(frame.values)} rows filled")
    display.result(imputed=str(path), filled=count, rows=len(frame.values))


@dataclasses.dataclass
class _Outliers:
    """Which rows of a table are unlike those that a model was fitted to: log-density, p-value and
    verdict of each. Of ordinary rows at most a share of --level are called outliers, on average."""

    run: Folder
    data: Data
    level: float = 0.05
    out: Out = None
    json: bool = False


def outliers_(words: Sequence[str]) -> None:
    """Find the strange rows of a table in a file, or the strange ones among images."""
    if is_images_run(words):
        return outliers_images(words)
    asked: _Outliers = parse(_Outliers, "outliers", words)
    display, density, frame = _opened(asked.run, asked.data, asked.json)
    ordinary = np.load(asked.run / "calibration.npy", allow_pickle=False)
    if not len(ordinary):
        raise ValueError(
            f"{asked.run} holds no calibration rows: fit again with a larger --calibration"
        )
    detector = DiffusionOutliers.of(density, level=asked.level).calibrate(ordinary)
    known = ~np.isnan(frame.values).any(1)
    told = np.full((len(known), 3), np.nan)
    rows = frame.values[known]
    told[known, 0], told[known, 1] = detector.score_samples(rows), detector.p_values(rows)
    told[known, 2] = detector.predict(rows) == -1
    found = Frame.of(["log_prob", "p_value", "outlier"], told)
    path = write_frame(asked.out or asked.run / "outliers.csv", found)
    count = int(np.nansum(told[:, 2]))
    display.say(
        f"wrote {path}: {count} of {int(known.sum())} rows without holes are outliers at level "
        f"{asked.level:g}, by {len(ordinary)} calibration rows"
    )
    display.result(outliers=str(path), found=count, rows=int(known.sum()))


def score_table(folder: Path, data: Path | None, out: Path | None, display: Display) -> None:
    """Scores the rows of a table, and says their mean."""
    if data is None:
        raise ValueError("a fitted table holds no test rows: give some by --data")
    _, density, frame = _opened(folder, data, display.script)
    known = ~np.isnan(frame.values).any(1)
    told = np.full(len(known), np.nan)
    told[known] = density.score_samples(frame.values[known])
    if out is not None:
        path = write_frame(out, Frame.of(["log_prob"], told[:, None]))
        display.say(f"wrote {path}: the score of each row, in nats")
    mean, count = float(np.mean(told[known])), int(known.sum())
    error = float(np.std(told[known], ddof=1) / count**0.5) if count > 1 else float("nan")
    per_dim = np.log(2) * frame.values.shape[1]
    display.say(density.fitted_.about)
    display.table(
        f"{count} rows without holes",
        ("unit", "mean", "s.e."),
        [
            ("nats", f"{mean:.4f}", f"{error:.4f}"),
            ("bits per dimension", f"{-mean / per_dim:.4f}", f"{error / per_dim:.4f}"),
        ],
    )
    display.result(nats=mean, stderr=error, bits_per_dim=float(-mean / per_dim), rows=count)


def sample_table(folder: Path, n: int, out: Path | None, seed: int, display: Display) -> None:
    """Draws rows, and writes them with the names of the columns."""
    about, density = _about(folder), DiffusionDensity.load(folder)
    drawn = Frame(tuple(about["columns"]), density.sample(n, seed), tuple(about["whole"]))
    path = write_frame(out or folder / "samples.csv", drawn.like(drawn.values))
    display.say(f"wrote {path}: {n} rows of {len(drawn.names)} columns")
    display.result(samples=str(path), shape=list(drawn.values.shape))


def _opened(folder: Path, data: Path, script: bool) -> tuple[Display, DiffusionDensity, Frame]:
    """The model in a folder, and a table with the columns that it knows, in its order."""
    about, density, frame = _about(folder), DiffusionDensity.load(folder), read_frame(data)
    frame = frame.ordered(tuple(about["columns"]))
    return Display(script), density, Frame(frame.names, frame.values, tuple(about["whole"]))


def _about(folder: Path) -> dict:
    path = folder / "table.json"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: `quasistatic fit` writes such folders")
    try:
        about = json.loads(path.read_text())
        about["columns"], about["whole"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): fit again") from None
    return about


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
