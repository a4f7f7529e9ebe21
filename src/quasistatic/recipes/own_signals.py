"""A user's own signals, from an array: the recipe of `quasistatic fit ARRAY --as signals`."""

__all__ = ["OwnSignals"]

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from ..data import Some, Split
from ..data.numpy_files import read_numpy
from ..diffusion import Diffusion
from ..heads import Velocity
from ..heads.variances import Interpolated
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..networks import Padded, UNet
from ..reporting import figures
from ..spaces import Continuous
from ..training.config import Fit
from .experiments.experiment import Experiment
from .recipe import Recipe, require_calibration
from .spectral import LAST, PLACES, WIDTH, spectral_law, spectral_model

FEWEST = 20
"""The smallest number of signals that a model can be fitted to."""

VALID, HELD_BACK = (0.1, 32, 1024), (20, 1024)
"""Validation signals: their share, the fewest and the most. Signals that are held back: the fewest
and the most. Neither is more than a fifth of all."""

FOR_LAW = 20_000
"""Training signals to which a spectral law is fitted, at most."""

FIRST, COARSEST = 9.0, 16
"""Of a model without a law: the log-SNR of the first time, and the length at which resolutions are
halved no more."""


@dataclass(frozen=True)
class OwnSignals(Recipe):
    """A user's own signals, the rows of an array (N, L): a law in closed form, which a network
    corrects, or a network alone.

    Args:
        path: the .npy or .npz file.
        held_back: share of the signals that is held back for testing.
        sha256: digest of the signals that the run was trained on.
        start: what training starts at: the law of the signals, or a network alone.
        fit: how to train.
    """

    path: str = ""
    held_back: float = 0.1
    sha256: str = ""
    start: Literal["law", "network"] = "law"
    fit: Fit = field(default_factory=Fit)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_calibration(self.held_back, "signals")

    @property
    def reaches(self) -> str:
        return "a higher likelihood than independent normal samples"

    @property
    def evaluations(self) -> int:
        return 25

    def read(self) -> np.ndarray:
        """Reads the signals, float32 (N, L).

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it holds no signals, or other ones than the run was trained on.
        """
        signals = read_signals(self.path)
        if self.sha256 and digest(signals) != self.sha256:
            raise ValueError(
                f"{self.path} holds other signals than those that the run was trained on: put "
                "those back, or give data to the command, or fit again"
            )
        return signals

    def build(self) -> Experiment:
        return self.experiment(self.read())

    def experiment(self, signals: np.ndarray) -> Experiment:
        """The experiment on signals that were read before."""
        data = self._split(signals)
        train = signals[data.train.rows[:: -(-len(data.train.rows) // FOR_LAW)]]
        space = Continuous.standardize(train, each=False)
        if self.start == "network":
            return Experiment(_network_alone(space), data, _PICTURES, _baselines)
        law = spectral_law(space, train, seed=self.fit.seed)
        model = spectral_model(space, law.law)
        return Experiment(model, data, _PICTURES, _baselines, law=law)

    def _split(self, signals: np.ndarray) -> Split[Some]:
        """Splits the signals at random into training, validation and held-back ones."""
        count = len(signals)
        order = np.random.default_rng(self.fit.seed).permutation(count)
        portion, fewest, most = VALID
        valid = min(max(round(portion * count), fewest), most, count // 5)
        fewest, most = HELD_BACK
        held = min(max(round(self.held_back * count), fewest), most, count // 5)
        held = held if self.held_back else 0
        test, chosen, train = np.split(order, [held, held + valid])
        return Split(Some(signals, np.sort(train)), signals[chosen], signals[test])


def _network_alone(space: Continuous) -> Diffusion:
    """A model of signals without a law: a U-Net of one axis."""
    (length,) = space.shape
    depth = 1 + min(3, max(0, math.ceil(math.log2(length / COARSEST))))
    edge = 2 ** (depth - 1)
    whole = -(-length // edge) * edge
    attention = (depth - 1,) if whole // edge <= PLACES else ()
    network: nn.Module = UNet(
        (whole,), WIDTH, (1,) + (2,) * (depth - 1), 1, attention=attention, outputs=2
    )
    if whole != length:
        network = Padded((length,), network)
    kernel = GaussianKernel(linear_log_snr(1000, FIRST, LAST))
    return Diffusion(space, kernel, Velocity(Interpolated()), network)


def read_signals(path: str | Path) -> np.ndarray:
    """The signals in a .npy or .npz file, float32 (N, L).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is another file, its array has not two axes, there are too few signals, or
            a sample is missing or not finite.
    """
    path = Path(path)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise ValueError(
            f"signals are the rows of an array (N, L) in a .npy or .npz file, got {path}: use "
            "--as table"
        )
    array = read_numpy(path)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(
            f"signals are the rows of an array (N, L), and {path} holds one of shape "
            f"{array.shape}: reshape it, or use --as images"
        )
    if len(array) < FEWEST:
        raise ValueError(
            f"{path} holds {len(array)} signals, and a model takes {FEWEST} at the very least, and "
            "hundreds to be of use: give more"
        )
    signals = np.asarray(array, dtype=np.float32)
    wrong = np.argwhere(~np.isfinite(signals))
    if len(wrong):
        rows = len(np.unique(wrong[:, 0]))
        row, sample = wrong[0]
        raise ValueError(
            f"{path}: {rows:,} signals have samples that are missing or not finite, first row "
            f"{row + 1:,}, sample {sample + 1:,}: leave these rows out, or use --as table, which "
            "fits a model to tables with missing values"
        )
    return signals


def digest(signals: np.ndarray) -> str:
    """The SHA-256 digest of signals."""
    return hashlib.sha256(np.ascontiguousarray(signals).tobytes()).hexdigest()


def _baselines(data: Split[Some]) -> dict[str, np.ndarray]:
    """Bits per sample of each test signal by one normal distribution for each sample."""
    train = data.train.array[data.train.rows].astype(np.float64)
    mean, scale = train.mean(0), np.maximum(train.std(0), 1e-12)
    nats = 0.5 * ((data.test - mean) / scale) ** 2 + np.log(scale) + 0.5 * np.log(2 * np.pi)
    return {"independent normal samples": nats.mean(1) / np.log(2)}


_PICTURES = (
    (
        "Signals that were held back, and signals drawn from the model",
        lambda m, x, rng: figures.signal_draws(m.sample(6, times=50, rng=rng), x[:6]),
    ),
    (
        "The second half of held-back signals, completed from the first half",
        lambda m, x, rng: figures.signal_completions(m, x[:3], rng),
    ),
    (
        "Bits of the bound by time step",
        lambda m, x, rng: figures.bits_by_time(m, x, rng, examples=32, points=50),
    ),
)
