r"""Objectives: the losses that training minimizes. Each returns one number for each example."""

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
    """A loss that training minimizes. Subclass it to train by a loss of your own."""

    @abc.abstractmethod
    def check(self, model: Model) -> None:
        """Checks that this objective can train a model. It is called once, before training.

        Args:
            model: the model.

        Raises:
            TypeError: if it cannot; the message names an objective or a head that fits.
        """

    @abc.abstractmethod
    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        """The loss of each example.

        Args:
            model: the model, in training mode.
            raw: checked raw data, with shape (B, *).
            rng: the generator of times and noise.

        Returns:
            A tensor of shape (B,), with a gradient; the unit is the objective's own.
        """

    @abc.abstractmethod
    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        """Converts a mean loss to the quantity that progress bars and metrics show.

        Args:
            model: the model.
            raw: some of the training data, with shape (B, *); terms that no weight changes are
                computed on them.
            loss: the mean of this objective's losses.

        Returns:
            The name of the quantity and its value: `("bits_per_dim", 2.04)`.
        """


@dataclass(frozen=True)
class Bound(Objective):
    r"""An unbiased estimate of the learned terms of -K (SD15 Eq. 14), in nats an example.

    One term is drawn for each example and multiplied by the number of terms. The times are spread
    evenly over the batch.
    """

    def check(self, model: Model) -> None:
        return

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        x_0 = model.space.encode(raw, rng)
        ends = term_times(model)
        index = stratified_terms(len(raw), len(ends) - 1, 0, 1, rng).to(raw.device)
        return (len(ends) - 1) * learned_term(model, x_0, ends, index, rng)

    @torch.no_grad()
    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        if not model.space.exact:  # a network encodes them: a few are enough
            raw = raw[: model.chunk_size]
        rng = torch.Generator(raw.device).manual_seed(0)
        encoded = model.space.encode_weighted(raw, rng)
        parts = fixed_terms(model, encoded.x_0, model.times())
        fixed = torch.stack(list(parts.values())).sum(0) + encoded.log_weight
        nats = loss - fixed.mean().item()
        return "bits_per_dim", nats / model.space.dims / math.log(2)


@dataclass(frozen=True)
class MinimumVariance(Objective):
    r"""Trains the network by the :class:`Bound`, and a learned schedule by the variance of that
    loss.

    The schedule minimizes the mean square of one drawn term (VDM App. I). With many time steps the
    mean of a term hardly depends on the schedule, so this minimizes the variance. The ends of the
    schedule stay fixed. One evaluation of the network gives both gradients, because they differ
    only by a weight on each example's term. The returned loss is the Bound's, in nats an example.
    """

    def check(self, model: Model) -> None:
        if not model.kernel.schedule.learns:
            raise TypeError(
                f"MinimumVariance moves the schedule, and {model.kernel.schedule.kind!r} is fixed: "
                "build the kernel with schedules.learned, or train with Bound"
            )

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        loss = Bound()(model, raw, rng)
        # The gradient of term^2 / (2 mean) is that of the term, times term / mean. The Bound's loss
        # has the weight 1. The rest, term / mean - 1, is added by a sum whose value is zero and
        # whose gradient is not.
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
    r"""The squared error of the network's output, with the same weight at all times (DDPM Eq. 14).

    For the Noise head it is |eps - eps_hat|^2, summed over an example. It needs a head with a
    regression target, so not Natural or Levels, and it does not train a learned variance.
    """

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

    L_vlb is an estimate of the learned terms of -K in bits, as in :class:`Bound`. Both parts are
    sums over an example, where IDDPM takes means over its values: their ratio is the same.

    Args:
        weight: lambda, the weight of a bit against a squared error. Default 0.001 (IDDPM Sec. 3.1).

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
    """TypeError if the schedule learns: it would minimize the error of the network, and not -K."""
    if model.kernel.schedule.learns:
        raise TypeError(
            f"{type(objective).__name__} is not a bound on log p, and a schedule that minimizes it "
            "avoids the times with large errors: train a learned schedule with Bound or "
            "MinimumVariance"
        )


def _learns_its_width(model: Model) -> bool:
    return isinstance(model.head, WithVariance) and model.head.variance.outputs > 0


def _at_any_time(
    model: Model, raw: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The network's output (B, *, outputs) at x_t ~ q(x_t | x_0), with x_0 and x_t (B, *), and
    t (B,) spread evenly over 1 .. T."""
    x_0 = model.space.encode(raw, rng)
    t = 1 + stratified_terms(len(raw), model.steps, 0, 1, rng).to(raw.device)
    x_t = model.kernel.marginal(x_0, t).sample(rng)
    return model.output(x_t, t), x_0, x_t, t
