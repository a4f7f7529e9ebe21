"""What a recipe builds: a model, its data, how to train it, and what to show of it."""

__all__ = ["Experiment", "Picture", "Recipe"]

import abc
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from matplotlib.figure import Figure

from ..data import Split
from ..diffusion import Diffusion
from ..training.loop import Fit
from ..training.objectives import Bound, Objective

Picture = Callable[[Diffusion, np.ndarray, torch.Generator], Figure]


def _none(data: Split) -> dict[str, np.ndarray]:
    return {}


@dataclass(frozen=True)
class Experiment:
    """The parts of an experiment.

    Args:
        pictures: caption and maker, called with the trained model and the test data.
        baselines: for the data, bits per dimension of each test row under other models, by name.
        truth: log p of each test row under the distribution that made it, in nats, if known.
        objective: what training makes small.
    """

    model: Diffusion
    data: Split
    pictures: tuple[tuple[str, Picture], ...] = ()
    baselines: Callable[[Split], dict[str, np.ndarray]] = _none
    truth: np.ndarray | None = None
    objective: Objective = Bound()


@dataclass(frozen=True)
class Recipe(abc.ABC):
    """An experiment by name; its fields are what the command line can override."""

    fit: Fit = field(default_factory=Fit)

    @property
    @abc.abstractmethod
    def reaches(self) -> str:
        """What it should reach, and on which data."""

    @abc.abstractmethod
    def build(self) -> Experiment:
        """The parts, with new weights drawn from torch's global generator."""
