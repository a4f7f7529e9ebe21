r"""Objectives: what training makes small. Each returns one number for each example, (B,)."""

__all__ = ["Bound", "Objective", "Simple"]

import abc
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .families import total
from .heads import Regression
from .model import Model
from .terms import fixed_part, learned_term, stratified_terms


class Objective(abc.ABC):
    """A loss of checked raw data (B, *)."""

    @abc.abstractmethod
    def check(self, model: Model) -> None:
        """TypeError if the model cannot be trained by this objective."""

    @abc.abstractmethod
    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        """The loss of each example, with shape (B,)."""

    @abc.abstractmethod
    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        """A mean loss as a person reads it: the name of a quantity and its value; `raw` are some
        of the training data."""


@dataclass(frozen=True)
class Bound(Objective):
    r"""The learned terms of -K (SD15 Eq. 14), one of them drawn for each example and weighted by
    their number; times are spread evenly over the batch. In nats an example."""

    def check(self, model: Model) -> None:
        return

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        x_0 = model.space.encode(raw, rng)
        times, first = model.times(), model.space.first_term
        index = stratified_terms(len(raw), first, len(times), 0, 1, rng).to(raw.device)
        return (len(times) - first) * learned_term(model, x_0, times, index, rng)

    @torch.no_grad()
    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        x_0 = model.space.encode(raw, torch.Generator(raw.device).manual_seed(0))
        fixed = torch.stack(list(fixed_part(model, x_0, model.times()).values())).sum(0)
        nats = loss - fixed.mean().item()
        return "bits_per_dim", nats / model.space.dims / math.log(2)


@dataclass(frozen=True)
class Simple(Objective):
    r"""The error of the network's output, all times weighted alike (DDPM Eq. 14): for the Noise
    head |eps - eps_hat|^2. A head whose output has no target (Natural, Levels) has none."""

    def check(self, model: Model) -> None:
        if not isinstance(model.head, Regression):
            raise TypeError(
                f"{type(model.head).__name__} states no regression target for Simple: train it "
                "with Bound, or use Clean, Noise, Velocity or Mean"
            )

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        x_0 = model.space.encode(raw, rng)
        t = 1 + stratified_terms(len(raw), 0, model.steps, 0, 1, rng).to(raw.device)
        x_t = model.kernel.marginal(x_0, t).sample(rng)
        assert isinstance(model.head, Regression)  # as `check` has made sure
        return total(model.head.error(model.kernel, model.output(x_t, t), x_t, x_0, t))

    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        return "squared_error", loss / model.space.dims
