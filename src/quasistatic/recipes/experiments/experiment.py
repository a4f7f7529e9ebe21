"""What a recipe builds: a model, its data, how to train it, and which figures to draw."""

__all__ = ["Experiment", "Picture"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ...data import Split
from ...diffusion import Diffusion
from ...distributions.mixtures.fitting import LawPerClassChoice, SpectralChoice
from ...training.objectives import Bound, Objective
from ..latent import LatentStage

Picture = Callable[[Diffusion, np.ndarray, torch.Generator], Figure]
"""Draws a figure of a trained model beside its test data."""


def _none(data: Split[Any]) -> dict[str, np.ndarray]:
    return {}


@dataclass(frozen=True)
class Experiment:
    """The parts of an experiment.

    Args:
        model: the model to train.
        data: its training, validation and test rows.
        pictures: captions and functions that draw figures of the trained model.
        baselines: a function of the data that gives, for each baseline by name, the bits per
            dimension of each test row, with shape (N,).
        truth: log p of each test row under the distribution that made it, in nats, with shape
            (N,); None if it is not known.
        objective: the loss that training minimises.
        given: the label of each row of the data, for a model with a condition.
        law: the closed-form law that the model starts at; None if it starts at none.
        first: a stage of training that comes first, and builds the model of the second; None for
            training in one stage. `model` is then that of the first stage.
    """

    model: Diffusion
    data: Split[Any]
    pictures: tuple[tuple[str, Picture], ...] = ()
    baselines: Callable[[Split[Any]], dict[str, np.ndarray]] = _none
    truth: np.ndarray | None = None
    objective: Objective = Bound()
    given: Split[np.ndarray] | None = None
    law: SpectralChoice | LawPerClassChoice | None = None
    first: LatentStage | None = None

    def __repr__(self) -> str:
        sizes = [len(part) for part in (self.data.train, self.data.valid, self.data.test)]
        parts = [type(each).__name__ for each in (self.model.space, self.model.kernel)]
        parts += [type(each).__name__ for each in (self.model.head, self.model.network)]
        return (
            f"Experiment: {', '.join(parts)}\n"
            f"rows: {sizes[0]} to train on, {sizes[1]} for validation, {sizes[2]} for testing"
        )
