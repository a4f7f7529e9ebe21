r"""Objectives: what training makes small. Each returns one number for each example, (B,)."""

__all__ = ["Bound", "Hybrid", "MinimumVariance", "Objective", "Simple"]

import abc
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import total
from ..heads import Regression, WithVariance
from ..likelihood.terms import (
    fixed_terms,
    learned_term,
    stratified_terms,
    term_of,
    term_times,
)
from ..model import Model


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
        ends = term_times(model)
        index = stratified_terms(len(raw), len(ends) - 1, 0, 1, rng).to(raw.device)
        return (len(ends) - 1) * learned_term(model, x_0, ends, index, rng)

    @torch.no_grad()
    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        x_0 = model.space.encode(raw, torch.Generator(raw.device).manual_seed(0))
        fixed = torch.stack(list(fixed_terms(model, x_0, model.times()).values())).sum(0)
        nats = loss - fixed.mean().item()
        return "bits_per_dim", nats / model.space.dims / math.log(2)


@dataclass(frozen=True)
class MinimumVariance(Objective):
    r"""The Bound for the network; for the schedule, between its ends, the mean square of one term
    drawn (VDM App. I). The mean of a term hardly depends on where the times lie if they are many,
    and then what is made small is the variance of the loss.

    The two differ by a weight on what each example's term says to the schedule: one evaluation of
    the network serves both. The loss that is returned is the Bound's, in nats an example.
    """

    def check(self, model: Model) -> None:
        if not model.kernel.schedule.learns:
            raise TypeError(
                f"MinimumVariance moves the schedule, and {model.kernel.schedule.kind!r} is fixed: "
                "build the kernel with schedules.learned, or train with Bound"
            )

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        loss = Bound()(model, raw, rng)
        # The gradient of term^2 / (2 mean) is the term's own, times term / mean: what that is more
        # than 1 is added, by a sum that is zero and whose gradient is not.
        moved = [weight for weight in model.course.parameters() if weight.requires_grad]
        excess = loss.detach() / loss.detach().mean() - 1
        more = torch.autograd.grad(loss, moved, excess, retain_graph=True)
        nothing = sum(
            (extra * (weight - weight.detach())).sum()
            for extra, weight in zip(more, moved, strict=True)
        )
        return loss + nothing / len(loss)

    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        return Bound().reading(model, raw, loss)


@dataclass(frozen=True)
class Simple(Objective):
    r"""The error of the network's output, all times weighted alike (DDPM Eq. 14): for the Noise
    head |eps - eps_hat|^2. A head whose output has no target (Natural, Levels) has none, and a
    width that is learned is not in it."""

    def check(self, model: Model) -> None:
        _regression(model, self)
        _hold_still(model, self)
        if _learns_its_width(model):
            raise TypeError(
                f"Simple trains the mean only, and {type(model.head).__name__} learns its width "
                "too: train it with Hybrid or Bound, or give it FixedSmall or FixedLarge"
            )

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        output, x_0, x_t, t = _at_any_time(model, raw, rng)
        return total(_regression(model, self).error(model.kernel, output, x_t, x_0, t))

    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        return "squared_error", loss / model.space.dims


@dataclass(frozen=True)
class Hybrid(Objective):
    r"""L_simple + weight L_vlb, where L_vlb trains the width only: the mean has no gradient from
    it (IDDPM Eq. 16). One evaluation of the network serves both.

    L_vlb is the learned terms of -K, the one drawn times their number, in bits; error and bits
    are both summed over an example, and stand in the proportion of IDDPM's means over values.

    Args:
        weight: of a bit against a squared error; lambda = 0.001 in IDDPM Sec. 3.1.

    Raises:
        ValueError: if the weight is not positive and finite.
    """

    weight: float = 0.001

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(
                f"the weight of the bound must be positive and finite, got {self.weight}: without "
                "the bound a learned width is not trained, and Simple is the objective"
            )

    def check(self, model: Model) -> None:
        _regression(model, self)
        _hold_still(model, self)
        if not _learns_its_width(model):
            raise TypeError(
                f"Hybrid trains a width that is learned, and {type(model.head).__name__} learns "
                "none: give it an Interpolated or Sigmoid variance, or train it with Simple"
            )

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        output, x_0, x_t, t = _at_any_time(model, raw, rng)
        head = model.head
        error = total(_regression(model, self).error(model.kernel, output, x_t, x_0, t))
        assert isinstance(head, WithVariance)  # as `check` has made sure
        term = term_of(model, head.variance_only(output), x_0, x_t, t - 1, t)
        return error + self.weight * model.steps * term / math.log(2)

    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        return "hybrid_loss", loss / model.space.dims


def _regression(model: Model, objective: Objective) -> Regression:
    """The model's head, which has a target.

    Raises:
        TypeError: if it has none: what to use.
    """
    if not isinstance(model.head, Regression):
        raise TypeError(
            f"{type(model.head).__name__} states no regression target for "
            f"{type(objective).__name__}: train it with Bound, or use Clean, Noise, Velocity or "
            "Mean"
        )
    return model.head


def _hold_still(model: Model, objective: Objective) -> None:
    """TypeError if the schedule moves: it would go where errors are small, and not where K is."""
    if model.kernel.schedule.learns:
        raise TypeError(
            f"{type(objective).__name__} is no part of K, and a schedule that it moved would flee "
            "from the times that are hard: train a learned schedule with Bound or MinimumVariance"
        )


def _learns_its_width(model: Model) -> bool:
    return isinstance(model.head, WithVariance) and model.head.variance.outputs > 0


def _at_any_time(
    model: Model, raw: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the network says of x_t ~ q(x_t | x_0), t spread evenly over 1 .. T: output (B, *,
    outputs), x_0 and x_t (B, *), and t (B,)."""
    x_0 = model.space.encode(raw, rng)
    t = 1 + stratified_terms(len(raw), model.steps, 0, 1, rng).to(raw.device)
    x_t = model.kernel.marginal(x_0, t).sample(rng)
    return model.output(x_t, t), x_0, x_t, t
