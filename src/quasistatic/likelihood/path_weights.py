r"""Paths and their weights p(x_0..T) / q(x_1..T | x_0) (SD15 Eq. 9), in float64.

A weight is a product over the whole path, and its factors nearly cancel. So states and densities
are kept in float64, and only the network computes in its own type.
"""

__all__ = ["PathWeight", "forward_weight", "last", "prior_alone", "reverse", "reverse_weight"]

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..distributions import Family, total
from ..model import Model
from ..spaces.space import Encoded


@dataclass(frozen=True)
class PathWeight:
    r"""log p(path) - log q(path | raw) of each path, in parts with shape (B,), in nats. Each is one
    draw of the term of the bound that has its name.

    Args:
        prior: log pi(x_T) - log q(x_T | x_0).
        transitions: the sum of log p(x_s | x_t) - log q(x_s | x_t, x_0).
        edge: log p(raw | x_1), or log p(x_0 | x_1) where x_0 is drawn.
        drawn: the terms of the draw of x_0, see :class:`.Encoded`.
    """

    prior: Tensor
    transitions: Tensor
    edge: Tensor
    drawn: dict[str, Tensor] = field(default_factory=dict)

    @property
    def terms(self) -> dict[str, Tensor]:
        """All parts by name."""
        own = {"prior": self.prior, "transitions": self.transitions, "edge": self.edge}
        return own | self.drawn

    @property
    def log(self) -> Tensor:
        """The sum of the parts, with shape (B,), in nats."""
        return sum(self.drawn.values(), self.prior + self.transitions + self.edge)


def forward_weight(
    model: Model, encoded: Encoded, times: Tensor, rng: torch.Generator | None
) -> PathWeight:
    """One path from q(x_1..T | x_0) for each x_0 (B, *), and its weight."""
    x_0 = encoded.x_0.double()
    grid, at = times.tolist(), _clock(x_0)
    first = model.kernel.marginal(x_0, at(grid[0])).sample(rng)
    edge = total(model.space.log_prob(last(model, first, at(grid[0])), x_0))
    x_s, between = first, x_0.new_zeros(len(x_0))
    for s, t in itertools.pairwise(grid):
        x_t = model.kernel.step(x_s, at(s), at(t)).sample(rng)
        between += _gain(model, x_s, x_t, at(s), at(t))
        x_s = x_t
    return _weight(model, x_0, first, x_s, times, between, edge, encoded.terms)


def reverse_weight(
    model: Model, n: int, times: Tensor, rng: torch.Generator | None
) -> tuple[Tensor, Tensor, PathWeight]:
    """n draws of raw data (n, *) and of their x_0 from the model, and the weight of the path by
    which each was drawn, which is an exact draw from p(x_0..T | raw)."""
    blank = model.blank(n).double()
    grid, at = times.tolist(), _clock(blank)
    x_t = top = model.kernel.prior(blank).sample(rng)
    between = blank.new_zeros(n)
    for s, t in zip(grid[-2::-1], grid[:0:-1], strict=True):
        p = reverse(model, x_t, at(s), at(t))
        x_s = p.sample(rng)
        between += total(p.log_prob(x_s)) - total(
            model.kernel.step(x_s, at(s), at(t)).log_prob(x_t)
        )
        x_t = x_s
    end = last(model, x_t, at(grid[0]))
    x_0 = model.space.snap_to_levels(end.sample(rng))
    edge = total(model.space.log_prob(end, x_0))
    raw = model.space.draw_raw(x_0, rng)
    drawn = model.space.weighted_at(raw, x_0).terms
    return raw, x_0, _weight(model, x_0, x_t, top, times, between, edge, drawn)


def prior_alone(model: Model, raw: Tensor, rng: torch.Generator | None) -> Tensor:
    """The log-likelihood of checked raw data (N, *) under pi alone, with shape (N,), in nats."""
    found = []
    pieces = [raw] if model.space.exact else [rows for _, rows in model.chunks(raw)]
    for rows in pieces:
        encoded = model.space.encode_weighted(rows, rng)
        x_0 = encoded.x_0
        log_prior = total(model.space.log_prob(model.kernel.prior(x_0), x_0))
        found.append(log_prior + encoded.log_weight)
    return torch.cat(found)


def reverse(model: Model, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
    """p(x_s | x_t) for x_t in float64."""
    return model.head.reverse(model.kernel, _output(model, x_t, t), x_t, s, t)


def last(model: Model, x_t: Tensor, t: Tensor) -> Family:
    """p(x_0 | x_t) for x_t in float64."""
    head, kernel = model.head, model.kernel
    return model.space.last(
        kernel, x_t, t, lambda: head.last(kernel, _output(model, x_t, t), x_t, t)
    )


def _output(model: Model, x_t: Tensor, t: Tensor) -> Tensor:
    return model.output(x_t.to(model.blank(1).dtype), t).double()


def _gain(model: Model, x_s: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """log p(x_s | x_t) - log q(x_t | x_s), with shape (B,), in nats."""
    p, q = reverse(model, x_t, s, t), model.kernel.step(x_s, s, t)
    return total(p.log_prob(x_s)) - total(q.log_prob(x_t))


def _weight(
    model: Model,
    x_0: Tensor,
    x_first: Tensor,
    x_last: Tensor,
    times: Tensor,
    between: Tensor,
    edge: Tensor,
    drawn: dict[str, Tensor],
) -> PathWeight:
    """The sum of :func:`_gain` along a path, split into the terms of the bound. By Bayes' rule,
    the forward steps and the reverse steps given x_0 differ by the marginals of the two ends."""
    kernel, at = model.kernel, _clock(x_0)
    low = total(kernel.marginal(x_0, at(int(times[0]))).log_prob(x_first))
    high = total(kernel.marginal(x_0, at(int(times[-1]))).log_prob(x_last))
    prior = total(kernel.prior(x_0).log_prob(x_last)) - high
    return PathWeight(prior, between + high - low, edge, drawn)


def _clock(like: Tensor) -> Callable[[int], Tensor]:
    """A time as one number for each row of `like`."""
    return lambda t: torch.full((len(like),), t, dtype=torch.long, device=like.device)
