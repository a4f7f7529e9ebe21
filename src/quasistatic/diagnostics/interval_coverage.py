r"""How often the confidence interval of a score contains the true value.

A score estimates K with random draws, and its interval shows the uncertainty. Over many repeats,
95 % of the intervals of level 0.95 should contain K.
"""

__all__ = ["IntervalCoverage", "interval_coverage"]

from dataclasses import dataclass, replace

import torch

from .._utils.randomness import Rng, as_generator
from ..likelihood import BoundScore, bound
from ..likelihood.neyman_allocation import Allocation
from ..model import Model

FULL_SUMS = 200
"""The default number of full sums of each example."""


@dataclass(frozen=True)
class IntervalCoverage:
    """Coverage of the intervals of a score, and its standard errors beside the true ones.

    Args:
        level: the nominal coverage.
        each: the share of intervals of single examples that contain the example's own K.
        mean: the share of intervals of the mean over the examples that contain the mean K.
        mean_above: the share of intervals of the mean that lie above the mean K. Half of the misses
            if the errors are symmetric; more where an estimate without the rare large terms is both
            too high and reported as too certain.
        each_ratio: the reported standard error of an example's value over the true one, each as
            root mean square over the examples.
        mean_ratio: the same for the mean over the examples.
        evaluations: network evaluations for each example.
        examples: the number of examples.
        repeats: the number of repeats.
    """

    level: float
    each: float
    mean: float
    mean_above: float
    each_ratio: float
    mean_ratio: float
    evaluations: int
    examples: int
    repeats: int

    def __repr__(self) -> str:
        return (
            f"intervals of {self.level:.0%} hold the value of an example in {self.each:.1%}, the "
            f"mean of {self.examples} in {self.mean:.1%} of {self.repeats} repeats "
            f"({self.mean_above:.1%} lie above it), {self.evaluations} evaluations each\n"
            f"  reported over true standard error: {self.each_ratio:.2f} of an example, "
            f"{self.mean_ratio:.2f} of the mean"
        )


def interval_coverage(
    model: Model,
    raw: object,
    evaluations: int,
    repeats: int = 200,
    level: float = 0.95,
    rng: Rng = None,
    allocation: Allocation | None = None,
    full_sums: int = FULL_SUMS,
) -> IntervalCoverage:
    """The coverage of the intervals of :func:`quasistatic.likelihood.bound`, by repeats.

    Args:
        model: the model to score.
        raw: raw data, with shape (N, *); a few rows serve, as each is scored `repeats` times.
        evaluations: network evaluations for each example and repeat.
        repeats: the number of repeats.
        level: the coverage that is asked for.
        rng: a seed, a generator or None; the same seed repeats the draws.
        allocation: how evaluations are spread over the terms; by default as
            :func:`quasistatic.likelihood.bound` spreads them.
        full_sums: the number of full sums of each example. Their mean is the value that its
            intervals should contain.

    Raises:
        ValueError: if there are fewer than 2 evaluations or repeats, or the level is not between 0
            and 1.
    """
    if evaluations < 2 or repeats < 2:
        raise ValueError(
            f"an interval takes 2 evaluations and its coverage 2 repeats or more, got "
            f"{evaluations} and {repeats}"
        )
    rng = as_generator(rng)
    checked = model.space.check(raw)
    n = len(checked)
    ones = [1] * (checked.ndim - 1)
    again = checked.repeat(repeats, *ones)
    score = bound(model, again, evaluations, rng=rng, allocation=allocation)
    full = bound(model, checked.repeat(full_sums, *ones), rng=rng).nats.double()
    exact = full.reshape(full_sums, n).mean(0)
    apart = [_rows(score, slice(k * n, (k + 1) * n)) for k in range(repeats)]
    low, high = (
        torch.stack(ends) for ends in zip(*(each.interval(level) for each in apart), strict=True)
    )
    held = (low <= exact) & (exact <= high)
    ends = [each.mean_interval(level) for each in apart]
    whole = exact.mean().item()
    nats, noise = score.nats.double().reshape(repeats, n), score.noise.reshape(repeats, n)
    true_mean = nats.mean(1).std()
    told_mean = torch.tensor([each.mean_noise for each in apart]).square().mean().sqrt()
    return IntervalCoverage(
        level,
        held.double().mean().item(),
        sum(low <= whole <= high for low, high in ends) / repeats,
        sum(low > whole for low, _ in ends) / repeats,
        (noise.square().mean() / nats.var(0).mean()).sqrt().item(),
        (told_mean / true_mean).item(),
        evaluations,
        n,
        repeats,
    )


def _rows(score: BoundScore, rows: slice) -> BoundScore:
    """The score of some of the examples."""
    return replace(
        score,
        terms={name: each[rows] for name, each in score.terms.items()},
        entropies={name: each[rows] for name, each in score.entropies.items()},
        null=score.null[rows],
        noise=score.noise[rows],
        freedom=score.freedom[rows],
    )
