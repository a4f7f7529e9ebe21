r"""The class of an example by Bayes' rule from the bounds of p(x | y), with error bars.

All classes are scored at the same times and the same noise, so that most of the noise cancels in
their differences. Evaluations go to the classes that are still in the race: a class that is far
behind the best one, by its error bars, gets no more.
"""

__all__ = ["Classification", "classify", "log_prior"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator, permutation, uniform
from .._utils.validation import numbers_of, whole_number
from ..conditions import ClassLabel
from ..model import Model
from .terms import term_of, term_times

BINS = 16
"""Parts of the chain over which evaluations are spread; the first round takes one of each."""

FLOOR = 0.2
"""The share of evaluations that is spread evenly over the terms."""

BEHIND, SURE = 7.0, 3.0
"""A class is out of the race if it is so many nats, and as many standard errors more, behind."""


@dataclass(frozen=True, repr=False)
class Classification:
    """p(y | x) of N examples by Bayes' rule from bounds.

    Args:
        log_prob: log p(y | x), with shape (N, classes), in nats.
        stderr: its standard error by the spread of the rounds, with shape (N, classes), in nats. It
            does not hold how far the bounds are below log p(x | y).
        evaluations: of the network for each example, over all classes, with shape (N,).
        condition: the classes.
    """

    log_prob: Tensor
    stderr: Tensor
    evaluations: Tensor
    condition: ClassLabel

    @property
    def label(self) -> Tensor:
        """The likeliest class, with shape (N,)."""
        return self.log_prob.argmax(1)

    @property
    def prob(self) -> Tensor:
        """p(y | x), with shape (N, classes)."""
        return self.log_prob.exp()

    @property
    def names(self) -> list[str]:
        """The name of the likeliest class of each example, its number if it has none."""
        return [self.condition.name(k) for k in self.label.tolist()]

    def __repr__(self) -> str:
        best, spent = self.log_prob.amax(1), self.evaluations.double().mean().item()
        error = self.stderr.gather(1, self.label[:, None]).mean().item()
        return (
            f"Classification of {len(best)} examples into {self.condition.classes} classes, "
            f"{spent:.0f} evaluations each\n"
            f"  mean probability of the likeliest class {best.exp().mean().item():.3f}, its "
            f"logarithm ± {error:.2g}"
        )


@torch.no_grad()
def classify(
    model: Model,
    raw: object,
    rounds: int = 8,
    each: int = 8,
    prior: Sequence[float] | None = None,
    rng: Rng = None,
) -> Classification:
    """p(y | x) of each example by Bayes' rule from K(x | y).

    Args:
        model: whose condition is a ClassLabel.
        raw: raw data, with shape (N, *).
        rounds: of evaluations at most; classes that are behind leave the race after a round.
        each: evaluations of a class in a round; the first takes :data:`BINS` or more.
        prior: p(y) of each class; by default the same for all.
        rng: a seed, a generator or None.

    Raises:
        TypeError: if the model has no condition, or one without a finite list of classes.
        ValueError: if a number is below 2, or the prior is none of the classes.
    """
    condition = model.require_condition()
    values = condition.values()
    assert isinstance(condition, ClassLabel)  # the one that has values
    for name, number in (("rounds", rounds), ("each", each)):
        whole_number(name, number, 2)
    source, checked = as_generator(rng), model.space.check(raw).to(model.blank(1))
    known = log_prior(prior, condition.classes).to(checked.device)
    codes = values.to(checked)
    parts = []
    with evaluating(model):
        for _, rows in model.given(None).chunks(checked, condition.classes):
            race = _Race(model, model.space.encode(rows, source), codes, known)
            for _ in range(rounds):
                race.round(each, source)
            parts.append(race.result())
    log_prob, stderr, spent = (torch.cat(part) for part in zip(*parts, strict=True))
    return Classification(log_prob, stderr, spent, condition)


def log_prior(prior: Sequence[float] | None, classes: int) -> Tensor:
    """log p(y) of each class, with shape (classes,); by default the same for all.

    Raises:
        ValueError: if the prior is none of so many classes.
    """
    if prior is None:
        return torch.full((classes,), -math.log(classes), dtype=torch.float64)
    share = numbers_of("prior", prior)
    if share.shape != (classes,) or not (share >= 0).all() or abs(float(share.sum()) - 1) > 1e-6:
        raise ValueError(
            f"a prior has a probability for each of {classes} classes, summing to 1, got {prior}"
        )
    return share.log()


class _Race:
    """The bounds of all classes of some examples, round by round.

    Args:
        model: the model.
        x_0: the examples, with shape (B, *).
        codes: of the classes, with shape (C, width).
        log_prior: log p(y), with shape (C,).
    """

    def __init__(self, model: Model, x_0: Tensor, codes: Tensor, log_prior: Tensor) -> None:
        self.model, self.x_0, self.codes, self.log_prior = model, x_0, codes, log_prior
        self.ends = term_times(model).to(x_0.device)
        self.first = int(self.ends[0] == 0)  # the last step is evaluated apart
        count = len(self.ends) - 1 - self.first
        self.edges = torch.linspace(0, count, min(BINS, count) + 1).round().long() + self.first
        shape = len(x_0), len(codes)
        self.active = log_prior.isfinite().expand(shape).clone()
        self.rounds: list[Tensor] = []
        self.spent = torch.zeros(len(x_0), dtype=torch.long, device=x_0.device)
        self.density: Tensor | None = None

    def round(self, each: int, rng: torch.Generator | None) -> None:
        """One more estimate of K of each class in the race, unbiased, at noise that they share."""
        open_ = self.active.sum(1) > 1  # examples with two or more classes left
        rows, classes = (self.active & open_[:, None]).nonzero(as_tuple=True)
        if not len(rows):
            return
        total = torch.full(self.active.shape, torch.nan, dtype=torch.float64, device=rows.device)
        total[rows, classes] = 0.0
        spread = []
        for index, weight in self._terms(each, rng):
            s, t = self.ends[index], self.ends[index + 1]
            x_t = self.model.kernel.marginal(self.x_0, t).sample(rng)
            found = torch.full_like(total, torch.nan)
            found[rows, classes] = self._cost(x_t, s, t, rows, classes)
            total -= weight * found
            of_class = found - found.nanmean(1, keepdim=True)
            spread.append(float((of_class**2).nanmean().sqrt()))
        self.spent += self.active.sum(1) * open_ * len(spread)
        self.rounds.append(total)
        if self.density is None:
            self._allot(spread[self.first :])
        self._drop()

    def _terms(self, each: int, rng: torch.Generator | None) -> list[tuple[Tensor, float]]:
        """A term of each example (B,), and its weight, for each evaluation of a round."""
        n, like = len(self.x_0), self.x_0
        within = (permutation(n, rng, like) + uniform((1,), rng, like, torch.float64)) / n
        found = []
        if self.first:
            found.append((torch.zeros(n, dtype=torch.long, device=like.device), 1.0))
        sizes = self.edges.diff().double()
        if self.density is None:
            bins = list(range(len(sizes)))
            share = torch.full_like(sizes, 1 / len(sizes))
            count = len(bins)
        else:
            share, count = self.density, each
            at = (torch.arange(count) + uniform((1,), rng, torch.empty(0), torch.float64)) / count
            bins = torch.searchsorted(share.cumsum(0), at).clamp(max=len(share) - 1).tolist()
        for k, b in enumerate(bins):
            place = within if k % 2 == 0 else 1 - within
            index = self.edges[b].to(like.device) + (place * sizes[b].item()).long()
            index = index.clamp(max=int(self.edges[b + 1]) - 1)
            found.append((index, float(sizes[b] / (count * share[b]))))
        return found

    def _cost(self, x_t: Tensor, s: Tensor, t: Tensor, rows: Tensor, classes: Tensor) -> Tensor:
        """The term of each pair of an example and a class, in nats."""
        parts = []
        for own, label in zip(
            torch.split(rows, self.model.chunk_size),
            torch.split(classes, self.model.chunk_size),
            strict=True,
        ):
            model = self.model.with_codes(self.codes[label])
            output = model.output(x_t[own], t[own])
            parts.append(term_of(model, output, self.x_0[own], x_t[own], s[own], t[own]))
        return torch.cat(parts).double()

    def _allot(self, spread: list[float]) -> None:
        """Spreads evaluations over the parts of the chain by how far the classes differ there."""
        sizes = self.edges.diff().double()
        cost = sizes * torch.tensor(spread, dtype=torch.float64).nan_to_num()
        even = sizes / sizes.sum()
        wanted = cost / cost.sum() if cost.sum() > 0 else even
        self.density = FLOOR * even + (1 - FLOOR) * wanted

    def _drop(self) -> None:
        """Takes classes that are far behind out of the race."""
        if len(self.rounds) < 2:
            return
        gap, error = self._gaps()
        gap = gap + self.log_prior
        behind = gap.amax(1, keepdim=True) - gap
        self.active &= ~(behind > BEHIND + SURE * error)

    def _gaps(self) -> tuple[Tensor, Tensor]:
        """K of each class less that of the best class in the same rounds, and its standard error,
        each (B, C)."""
        each = torch.stack(self.rounds)  # (R, B, C), NaN where a class is out
        best = self._best(each)[None, :, None].expand(len(each), -1, 1)
        gap = each - each.gather(2, best)
        count = (~gap.isnan()).sum(0)
        mean = gap.nansum(0) / count.clamp(min=1)
        square = ((gap - mean) ** 2).nansum(0) / (count - 1).clamp(min=1)
        error = torch.where(count > 1, (square / count.clamp(min=1)).sqrt(), math.inf)
        return torch.where(count > 0, mean, -math.inf), error

    def _best(self, each: Tensor) -> Tensor:
        """The best class of those that were in the race to its end, (B,)."""
        count = (~each.isnan()).sum(0)
        level = each.nansum(0) / count.clamp(min=1) + self.log_prior
        return torch.where(count == count.amax(1, keepdim=True), level, -math.inf).argmax(1)

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        """log p(y | x), its standard error, and the evaluations of each example."""
        each = torch.stack(self.rounds)
        gap, _ = self._gaps()
        log_prob = (gap + self.log_prior).log_softmax(1)
        # To first order, log p(y | x) moves by its gap less the mean gap under p(y | x).
        best = self._best(each)[None, :, None].expand(len(each), -1, 1)
        off = (each - each.gather(2, best) - torch.where(gap.isfinite(), gap, 0.0)).nan_to_num()
        move = off - (log_prob.exp() * off).sum(2, keepdim=True)
        count = (~each.isnan()).sum(0).amax(1, keepdim=True)
        error = (move.square().sum(0) / (count - 1).clamp(min=1) / count).sqrt()
        return log_prob, error, self.spent
