"""What a table is fitted by, and what is asked of it: log-densities, draws, and what is missing."""

__all__ = ["Fitted", "OfNumbers", "Plan", "Story", "evidence", "generator"]

import abc
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch

from ..diffusion import Diffusion
from ..reporting.console import Display
from ..sampling import SMC
from ..spaces import Space
from ..training.loop import Fit, fit
from .columns import Columns, Layout

WALKED, PARTICLES = 100, 128
"""Times that a walk visits for what is there of a row, and how many walk in each of two sets."""


@dataclass(frozen=True)
class Plan:
    """How to fit.

    Args:
        steps: gradient steps at most; None means as many as the table is worth.
        minutes: that training may take; None means no limit.
        width: hidden units of the network; None means by the number of columns.
        validation: the share of rows that decide when to stop and what to keep.
        space: of the rows; None chooses one.
        seed: of everything that is random.
        verbose: whether progress is shown.

    Raises:
        ValueError: if a number is out of its range.
    """

    steps: int | None = None
    minutes: float | None = None
    width: int | None = None
    validation: float = 0.15
    space: Space | None = None
    seed: int = 0
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 0:
            raise ValueError(f"steps must be 0 or more, got {self.steps}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes must be positive, got {self.minutes}")
        if self.width is not None and self.width < 1:
            raise ValueError(f"width must be 1 or more, got {self.width}")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation is a share of the rows, got {self.validation}: 0.15, say")

    def split(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows to train on, and which to choose by."""
        order = np.random.default_rng(self.seed + 1).permutation(rows)
        count = min(max(1, round(self.validation * rows)), rows - 1)
        return order[count:], order[:count]

    def train(self, model: Diffusion, train: np.ndarray, valid: np.ndarray, how: Fit) -> int:
        """Trains a model in place, for as many steps as `how` says, or as were asked for, or as
        the minutes hold; how many there were."""
        steps = how.steps if self.steps is None else self.steps
        if self.minutes is not None:
            steps = min(steps, self._steps_in(self.minutes, model, train, how))
        how = replace(how, steps=steps, seed=self.seed, validations=min(how.validations, steps))
        with Display(quiet=not self.verbose).progress("fit") as show:
            return fit(model, train, valid, show=show, settings=how).step

    def _steps_in(self, minutes: float, model: Diffusion, train: np.ndarray, how: Fit) -> int:
        """How many steps that many minutes hold, by the pace of a few; the model stays as it is."""
        before = {name: value.clone() for name, value in model.state_dict().items()}
        few = replace(how, steps=8, validations=0)
        pace = fit(model, train, settings=few).speed["examples_per_second"]
        model.load_state_dict(before)
        return max(1, int(60 * minutes * pace / min(how.batch, len(train))))


@dataclass(frozen=True)
class Story:
    """What fitting came to.

    Args:
        start: what the model started as: shares of a mixture's parts, or nothing.
        gain: nats a row that training won over that start, on validation rows.
        kept: whether what was learned was kept.
        steps: gradient steps that were taken.
    """

    start: Mapping[str, float] = field(default_factory=dict)
    gain: float = 0.0
    kept: bool = False
    steps: int = 0

    def facts(self) -> dict:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.steps:
            return "a closed form, and no network"
        won = f"{self.steps} steps of training won {self.gain:.3f} nats a row"
        return won if self.kept else f"{won}, too little to be kept"


@dataclass(frozen=True, eq=False)
class Fitted(abc.ABC):
    """A model of rows (N, D) of finite numbers, and how it came to be."""

    model: Diffusion
    story: Story

    about: ClassVar[str]
    """What kind of number a log-density is, for a person."""

    @classmethod
    def layout(cls, model: Diffusion, stored: list) -> Layout:
        """The columns that the rows of a stored model have, by what :meth:`Layout.facts` gave."""
        return Columns(tuple(stored))

    @abc.abstractmethod
    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        """A lower bound on log p of what is there of each row (N, D), NaN a hole, with shape (N,),
        in nats of the rows' own units."""

    @abc.abstractmethod
    def sample(self, n: int, seed: int) -> np.ndarray:
        """n draws, with shape (n, D)."""

    @abc.abstractmethod
    def complete(self, x: np.ndarray, draws: int, particles: int, seed: int) -> np.ndarray:
        """Draws of what is NaN in each row given the rest, with shape (N, draws, D)."""


class OfNumbers(Fitted):
    """A model of rows without holes; what is there of the others has a way of its own."""

    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        holed, found = np.isnan(x).any(1), np.zeros(len(x))
        told = ~np.isnan(x).all(1)  # of a row of holes alone p is 1
        if not holed.all():
            found[~holed] = self.whole(x[~holed], evaluations, seed)
        if (holed & told).any():
            found[holed & told] = self.holed(x[holed & told], seed)
        return found

    @abc.abstractmethod
    def whole(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        """log p of rows (N, D) without holes, with shape (N,), N not 0."""

    @abc.abstractmethod
    def holed(self, x: np.ndarray, seed: int) -> np.ndarray:
        """log p of what is there of rows (N, D), NaN a hole, with shape (N,), N not 0."""


def evidence(model: Diffusion, x: np.ndarray, seed: int) -> np.ndarray:
    """log p of what is there of each row of x (N, D), with shape (N,), in nats, by particles: an
    estimate whose exponential is unbiased."""
    rows = torch.from_numpy(x)
    found = model.impute(rows, 1, WALKED, generator(seed), method=SMC(PARTICLES, repeats=2))
    return found.log_evidence.double().numpy()


def particle_sets(particles: int, draws: int) -> SMC:
    """Two sets of particles, or as many as make two particles for each draw."""
    return SMC(particles, max(2, math.ceil(2 * draws / particles)))


def generator(seed: int) -> torch.Generator:
    """A source of randomness."""
    return torch.Generator().manual_seed(seed)
