r"""Where evaluations go: which terms of the bound are visited how often, and what is known of them
beforehand.

K is a sum of T expectations. Evaluations are spent in proportion to the deviation of each term
(Neyman), at times that are spread evenly along that density, in antithetic pairs. Most of a
term's deviation can be had without the network: at other noise its last answer stands for the
one it would give now, and that stand-in has a mean which draws alone tell (a control variate).
"""

__all__ = ["Allotment", "Visit", "measured"]

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .._utils.randomness import below, uniform
from ..distributions import total
from ..model import Model
from .terms import each_term_of, term_of

BINS, REPEATS, STANDINS = 32, 3, 8
"""Bins of the chain and visits to each for an example of a pilot; draws of a stand-in's mean."""

FEW, DEAR = 256, 0.3
"""Values of an example from which a stand-in is for some of them only, and for which share."""

LEAST = 0.1
"""The share of the evaluations that is spread evenly, however small a term's deviation seems."""


@dataclass(frozen=True)
class Allotment:
    """How evaluations are spread over the terms of a chain.

    Args:
        density: of each term, summing to 1, with shape (terms,), in float64.
        control: how much of the stand-in is taken off each term, with shape (terms,); 0 is none.
    """

    density: Tensor
    control: Tensor

    @classmethod
    def even(cls, terms: int) -> "Allotment":
        """Every term alike, and no stand-in."""
        density = torch.full((terms,), 1 / terms, dtype=torch.float64)
        return cls(density, torch.zeros_like(density))

    def index(self, v: Tensor) -> Tensor:
        """The terms at places v (B,) in [0, 1) along the density, with shape (B,)."""
        # The ends are rounded: even places meet even terms once each, whatever the sums lost.
        ends = (self.density.cumsum(0) * 2**40).round().to(v.device)
        return torch.bucketize(v * 2**40, ends, right=True).clamp(max=len(ends) - 1)

    def weight(self, index: Tensor) -> Tensor:
        """What a visit counts for, were it the only one, with shape (B,)."""
        return 1 / self.density.to(index.device)[index]

    @property
    def controlled(self) -> bool:
        """Whether any term has a stand-in."""
        return bool((self.control > 0).any())


@dataclass(frozen=True)
class Visit:
    """One evaluation for each example of x_0 (B, *): x_t (B, *) at times t from s (B,), the answer,
    and what each value has of the term, (B, *), in nats."""

    x_0: Tensor
    s: Tensor
    t: Tensor
    x_t: Tensor
    output: Tensor
    each: Tensor

    @classmethod
    def make(
        cls, model: Model, x_0: Tensor, s: Tensor, t: Tensor, rng: torch.Generator | None
    ) -> "Visit":
        """A visit to the terms from t to s, at x_t ~ q(x_t | x_0)."""
        x_t = model.kernel.marginal(x_0, t).sample(rng)
        output = model.output(x_t, t)
        return cls(x_0, s, t, x_t, output, each_term_of(model, output, x_0, x_t, s, t))

    @property
    def term(self) -> Tensor:
        """The term, with shape (B,), in nats."""
        return total(self.each)

    def surprise(self, model: Model, other: "Visit", rng: torch.Generator | None) -> Tensor:
        """How far the term by the answer to *other* noise is from its mean over this noise: zero
        in expectation, (B,), in nats. Values are independent given the answer, so that draws spread
        evenly in each of them tell the mean well; and those that cost little are left out, by what
        they cost there, which knows nothing of the noise here."""
        x_0, x_t, output = self._dear(model, other)
        q = model.kernel.marginal(x_0, self.t).to(torch.float64)
        u = uniform(x_0.shape, rng, x_0, torch.float64)
        mean = x_0.new_zeros(len(x_0))
        for k in range(STANDINS):
            drawn = q.icdf(((k + u) / STANDINS).clamp(1e-15, 1 - 1e-15)).to(x_0.dtype)
            mean += term_of(model, output, x_0, drawn, self.s, self.t) / STANDINS
        return term_of(model, output, x_0, x_t, self.s, self.t) - mean

    def _dear(self, model: Model, other: "Visit") -> tuple[Tensor, Tensor, Tensor]:
        """x_0, this x_t and the other's answer, for the values that cost most there."""
        dims = model.space.dims
        if dims < FEW or not (model.kernel.homogeneous and model.head.homogeneous):
            return self.x_0, self.x_t, other.output
        dear = other.each.flatten(1).topk(math.ceil(dims * DEAR), 1).indices
        answers = other.output.flatten(1, -2)
        outputs = dear[..., None].expand(-1, -1, answers.shape[-1])
        x_0, x_t = (x.flatten(1).gather(1, dear) for x in (self.x_0, self.x_t))
        return x_0, x_t, answers.gather(1, outputs)


def measured(
    model: Model, x_0: Tensor, times: Tensor, rng: torch.Generator | None
) -> tuple[Allotment, float]:
    """The allotment that is best for examples like x_0 (B, *) along a chain, by at most BINS x
    REPEATS evaluations of each; and the standard error in nats that one evaluation would have:
    n have it divided by sqrt(n)."""
    first, ladder = model.space.first_term, torch.cat([times.new_zeros(1), times]).to(x_0.device)
    edges = _edges(len(ladder) - 1 - first, alone=first == 0)
    bins = len(edges) - 1
    deviation, control = (torch.zeros(bins, dtype=torch.float64) for _ in range(2))
    for k, (low, high) in enumerate(pairwise(edges)):
        index = first + low + below(high - low, len(x_0), rng, x_0)
        s, t = ladder[index], ladder[index + 1]
        visits = [Visit.make(model, x_0, s, t, rng) for _ in range(REPEATS)]
        term = torch.stack([visit.term for visit in visits]).double()
        others = visits[1:] + visits[:1]
        off = torch.stack(
            [v.surprise(model, o, rng) for v, o in zip(visits, others, strict=True)]
        ).double()
        term = term - term.mean(0)
        control[k] = ((term * off).sum() / (off**2).sum().clamp(min=1e-30)).clamp(0, 1)
        rest = term - control[k] * (off - off.mean(0))
        deviation[k] = ((rest**2).sum() / (REPEATS - 1) / len(x_0)).sqrt()
    bin_of = torch.arange(bins).repeat_interleave(torch.tensor(edges).diff())
    alone = int(first == 0)
    smooth = torch.cat([deviation[:alone], _smooth(deviation[alone:])])[bin_of]
    density = (1 - LEAST) * smooth / smooth.sum().clamp(min=1e-30) + LEAST / len(smooth)
    density = density / density.sum()
    return Allotment(density, control[bin_of]), (smooth**2 / density).sum().sqrt().item()


def _edges(terms: int, alone: bool) -> list[int]:
    """Where bins of terms begin and end. The term that ends the chain is in a bin of its own: it
    is no KL between neighbours, and its deviation may be ten times theirs."""
    rest = terms - alone
    bins = min(BINS - alone, rest)
    return [0] * alone + [alone + k * rest // bins for k in range(bins + 1 if bins else 0)]


def _smooth(x: Tensor) -> Tensor:
    """The root mean square of each number and its neighbours."""
    if not len(x):
        return x
    padded = torch.nn.functional.pad(x[None, None] ** 2, (1, 1), mode="replicate")
    return padded.unfold(-1, 3, 1).mean(-1)[0, 0].sqrt()
