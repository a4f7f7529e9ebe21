r"""Neyman allocation: how many evaluations each term of the bound gets, and a control variate.

K is a sum of T expectations. Evaluations are spent in proportion to the standard deviation of each
term (Neyman allocation), at places spread evenly along that density, in antithetic pairs. Most of
the deviation of a term is a function of x_t that needs no new output of the network: the output
for *another* x_t at the same time is put in the place of the right one. The term that this gives,
less its mean over x_t, has mean zero and follows the true term closely: a control variate, whose
mean is computed by draws of x_t alone.
"""

__all__ = ["Allocation", "Evaluation", "neyman_allocation"]

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from .._utils.constants import on_device
from .._utils.randomness import below, uniform
from ..distributions import total
from ..model import Model
from .terms import each_term_of, term_of

BINS, REPEATS, DRAWS = 32, 3, 8
"""Bins of the chain and evaluations in each, for each example of a pilot; draws of x_t for the
mean of a control variate."""

LARGE, COSTLIEST = 256, 0.3
"""In examples of at least so many values, the control variate uses only this share of the values,
those with the largest terms."""

LEAST = 0.1
"""The share of the evaluations that is spread evenly, however small a term's deviation seems."""


@dataclass(frozen=True)
class Allocation:
    """How evaluations are spread over the terms of a chain.

    Args:
        density: the share of the evaluations that each term gets, summing to 1, with shape
            (terms,), in float64.
        control: the coefficient of the control variate of each term, with shape (terms,); with 0
            there is none.
    """

    density: Tensor
    control: Tensor

    @classmethod
    def even(cls, terms: int) -> "Allocation":
        """Every term alike, and no control variate."""
        density = torch.full((terms,), 1 / terms, dtype=torch.float64)
        return cls(density, torch.zeros_like(density))

    @classmethod
    def default(cls, model: Model, ends: Tensor, evaluations: int) -> "Allocation":
        """The allocation when nothing was measured: as the kernel says
        (:meth:`.Kernel.evaluation_density`), with the last step apart where the network decides
        it; even for the full sum, or for one evaluation."""
        terms = len(ends) - 1
        if not 1 < evaluations < terms:
            return cls.even(terms)
        density = model.kernel.evaluation_density(ends)
        if ends[0] == 0:
            return cls.last_step_apart(density, evaluations)
        return cls(density, torch.zeros_like(density))

    @classmethod
    def last_step_apart(cls, density: Tensor, evaluations: int) -> "Allocation":
        """A whole number of evaluations for term 0, that of the last step, about as many as the
        density says: one, or pairs of them. The term of the last step of bits and classes is rarely
        large and then very large: drawn with a weight, it makes an estimate skewed, and its
        interval too short. A pair measures its own spread."""
        wanted = density[0].item() * evaluations
        whole = 1 if wanted < 1.5 else min(2 * round(wanted / 2), evaluations - 1)
        others = density[1:] / density[1:].sum() * (1 - whole / evaluations)
        apart = torch.cat([density.new_full((1,), whole / evaluations), others])
        return cls(apart, torch.zeros_like(apart))

    @cached_property
    def _ends(self) -> Tensor:
        return (self.density.cumsum(0) * 2**40).round()

    def index(self, v: Tensor) -> Tensor:
        """The terms at places v (B,) in [0, 1) along the density, with shape (B,)."""
        # The ends are rounded, so that evenly spread places meet evenly spread terms once each,
        # whatever rounding errors the sums have.
        ends = on_device(self._ends, v)
        return torch.bucketize(v * 2**40, ends, right=True).clamp(max=len(ends) - 1)

    def weight(self, index: Tensor) -> Tensor:
        """The factor that makes a single evaluation of a term unbiased for the sum: 1 over the
        term's density, with shape (B,)."""
        return 1 / on_device(self.density, index)[index]

    @property
    def controlled(self) -> bool:
        """Whether any term has a control variate."""
        return bool((self.control > 0).any())

    def __repr__(self) -> str:
        least, most = self.density.min().item(), self.density.max().item()
        variate = "with" if self.controlled else "without"
        return (
            f"Allocation over {len(self.density)} terms, {least:.2g} to {most:.2g} of the "
            f"evaluations each, {variate} control variates"
        )


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the network for each example of x_0 (B, *).

    Args:
        x_0: with shape (B, *).
        s: the end of each step, with shape (B,).
        t: the start of each step, with shape (B,).
        x_t: with shape (B, *).
        output: of the network, with shape (B, *, outputs).
        each: the share of each value in the term, with shape (B, *), in nats.
    """

    x_0: Tensor
    s: Tensor
    t: Tensor
    x_t: Tensor
    output: Tensor
    each: Tensor

    @classmethod
    def make(
        cls, model: Model, x_0: Tensor, s: Tensor, t: Tensor, rng: torch.Generator | None
    ) -> "Evaluation":
        """The terms of the steps from t (B,) to s (B,), at x_t ~ q(x_t | x_0)."""
        x_t = model.kernel.marginal(x_0, t).sample(rng)
        output = model.output(x_t, t)
        return cls(x_0, s, t, x_t, output, each_term_of(model, output, x_0, x_t, s, t))

    @property
    def term(self) -> Tensor:
        """The term, with shape (B,), in nats."""
        return total(self.each)

    def control_variate(
        self, model: Model, other: "Evaluation", rng: torch.Generator | None
    ) -> Tensor:
        """The term with the output for the *other* x_t in place of the output for this x_t, minus
        its mean over this x_t.

        Args:
            model: the model of both evaluations.
            other: an evaluation at other noise.
            rng: draws x_t for the mean.

        Returns:
            Zero in expectation, with shape (B,), in nats.
        """
        # Values are independent given the output, so draws that are spread evenly in each of them
        # give the mean well. Values are left out by the size of their terms in the other
        # evaluation, which does not depend on the noise of this one.
        x_0, x_t, output = self._costliest(model, other)
        q = model.kernel.marginal(x_0, self.t).to(torch.float64)
        u = uniform(x_0.shape, rng, x_0, torch.float64)
        mean = x_0.new_zeros(len(x_0))
        for k in range(DRAWS):
            drawn = q.icdf(((k + u) / DRAWS).clamp(1e-15, 1 - 1e-15)).to(x_0.dtype)
            mean += term_of(model, output, x_0, drawn, self.s, self.t) / DRAWS
        return term_of(model, output, x_0, x_t, self.s, self.t) - mean

    def _costliest(self, model: Model, other: "Evaluation") -> tuple[Tensor, Tensor, Tensor]:
        """x_0, this x_t and the other's output, for the values whose terms are largest there."""
        dims = model.space.dims
        if dims < LARGE or not (model.kernel.homogeneous and model.head.homogeneous):
            return self.x_0, self.x_t, other.output
        kept = other.each.flatten(1).topk(math.ceil(dims * COSTLIEST), 1).indices
        outputs = other.output.flatten(1, -2)
        index = kept[..., None].expand(-1, -1, outputs.shape[-1])
        x_0, x_t = (x.flatten(1).gather(1, kept) for x in (self.x_0, self.x_t))
        return x_0, x_t, outputs.gather(1, index)


def neyman_allocation(
    model: Model, x_0: Tensor, ends: Tensor, rng: torch.Generator | None
) -> tuple[Allocation, float]:
    """The allocation with the least variance for examples like x_0, measured by a pilot run.

    Args:
        model: the model to score, in evaluation mode.
        x_0: examples of the pilot, with shape (B, *). Each takes at most BINS x REPEATS
            evaluations.
        ends: the times between which the terms lie, see :func:`.terms.term_times`.
        rng: draws the terms and x_t.

    Returns:
        The allocation, and the standard error in nats of an estimate from a single evaluation; n
        evaluations have it divided by sqrt(n).
    """
    ends = ends.to(x_0.device)
    alone = int(ends[0] == 0)
    edges = _edges(len(ends) - 1, alone)
    bins = len(edges) - 1
    deviation, control = (torch.zeros(bins, dtype=torch.float64) for _ in range(2))
    for k, (low, high) in enumerate(pairwise(edges)):
        index = low + below(high - low, len(x_0), rng, x_0)
        s, t = ends[index], ends[index + 1]
        made = [Evaluation.make(model, x_0, s, t, rng) for _ in range(REPEATS)]
        term = torch.stack([each.term for each in made]).double()
        pairs = zip(made, made[1:] + made[:1], strict=True)
        variate = torch.stack([a.control_variate(model, b, rng) for a, b in pairs]).double()
        term = term - term.mean(0)
        best = (term * variate).sum() / (variate**2).sum().clamp(min=1e-30)
        control[k] = best.clamp(0, 1)
        rest = term - control[k] * (variate - variate.mean(0))
        deviation[k] = ((rest**2).sum() / (REPEATS - 1) / len(x_0)).sqrt()
    bin_of = torch.arange(bins).repeat_interleave(torch.tensor(edges).diff())
    smooth = torch.cat([deviation[:alone], _smooth(deviation[alone:])])[bin_of]
    density = (1 - LEAST) * smooth / smooth.sum().clamp(min=1e-30) + LEAST / len(smooth)
    density = density / density.sum()
    return Allocation(density, control[bin_of]), (smooth**2 / density).sum().sqrt().item()


def _edges(terms: int, alone: int) -> list[int]:
    """The edges of the bins of terms. The term of the last step has its own bin: it is not a KL
    between neighbours, and its deviation may be ten times theirs."""
    rest = terms - alone
    bins = min(BINS - alone, rest)
    return [0] * alone + [alone + k * rest // bins for k in range(bins + 1 if bins else 0)]


def _smooth(x: Tensor) -> Tensor:
    """The root mean square of each number and its neighbours."""
    if not len(x):
        return x
    padded = torch.nn.functional.pad(x[None, None] ** 2, (1, 1), mode="replicate")
    return padded.unfold(-1, 3, 1).mean(-1)[0, 0].sqrt()
