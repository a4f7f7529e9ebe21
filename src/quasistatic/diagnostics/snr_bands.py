r"""What each scale costs: the terms of the bound in bands of log-SNR, under noise that all examples
share.

At high SNR a term asks for the finest detail of an example, at low SNR for its outline. An example
whose outline is strange and whose details are cheap has an ordinary total: the bands tell them
apart.
"""

__all__ = ["Costs", "costs", "encoded"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..likelihood.terms import fixed_part, term_of
from ..model import Model


@dataclass(frozen=True)
class Costs:
    r"""What each example costs, by scale.

    Args:
        bands: the terms of each band, with shape (N, bands), in nats, from fine to coarse.
        fixed: the parts that no network decides, with shape (N,), in nats: the prior's term, and
            the last step where the space fixes it and it is counted.
        log_snr: the log-SNR at which the bands begin and end, with shape (bands + 1,), falling;
            the first may be inf, the last -inf.
        evaluations: network evaluations spent on each example.
    """

    bands: Tensor
    fixed: Tensor
    log_snr: Tensor
    evaluations: int

    @property
    def total(self) -> Tensor:
        r"""The sum, with shape (N,), in nats: -K (SD15 Eq. 14) if all terms are counted. Terms
        from time s on sum to an upper bound on KL(q(x_s | x_0) || p(x_s)), what the example costs
        when it is seen through that much noise (the chain rule, and as the terms of K do)."""
        return self.bands.sum(1) + self.fixed


@torch.no_grad()
def costs(
    model: Model,
    raw: object,
    bands: int = 8,
    draws: int | None = 16,
    below: float = math.inf,
    times: int | Sequence[int] | Tensor | None = None,
    seed: int = 0,
) -> Costs:
    r"""The terms of -K (SD15 Eq. 14) for each example of raw (N, *), in bands of equally many.

    Every example is shown the same noise at the same times (common random numbers). What an
    example costs therefore follows from it alone, not from its neighbours or its place, and the
    noise of the estimate is mostly the same for all: examples are compared better than scored.

    Args:
        draws: terms visited in each band, spread evenly over it; the sum is unbiased over seeds.
            None, or as many as there are, visits each term once.
        below: the log-SNR from which terms are counted, down to the prior; all by default.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.

    Raises:
        ValueError: if fewer terms are counted than there are bands, or less than one band or draw
            is asked for.
    """
    checked = model.space.check(raw).to(model.blank(1))
    grid = model.times(times)
    ladder = torch.cat([grid.new_zeros(1), grid])
    ends = _ends(model, ladder, bands, below)
    if draws is not None and draws < 1:
        raise ValueError(f"draws must be 1 or more, got {draws}: leave it None to visit each term")
    visits = [_visited(ends[k], ends[k + 1], draws, seed + k) for k in range(bands)]
    with evaluating(model):
        parts = [
            _costs(model, rows, ladder, visits, ends[0] == model.space.first_term, seed)
            for rows in checked.split(model.chunk_size)
        ]
    every, fixed = (torch.cat(part) for part in zip(*parts, strict=True))
    log_snr = model.kernel.schedule.log_snr[ladder[torch.tensor(ends)]]
    return Costs(every, fixed, log_snr, sum(len(index) for index, _ in visits))


def _ends(model: Model, ladder: Tensor, bands: int, below: float) -> list[int]:
    """The first term of each band, and the number of terms."""
    count = len(ladder) - 1
    start = model.kernel.schedule.log_snr[ladder[:-1]]  # of the cleaner end of each term
    first = max(model.space.first_term, int((start > below).sum()))
    if not 1 <= bands <= count - first:
        raise ValueError(
            f"bands must be from 1 to {count - first}, the terms of this chain below a log-SNR of "
            f"{below:g}, got {bands}"
        )
    return [first + k * (count - first) // bands for k in range(bands + 1)]


def _visited(low: int, high: int, draws: int | None, seed: int) -> tuple[list[int], float]:
    """Terms of low .. high - 1, one in each of `draws` equal parts, and what each counts for."""
    terms = high - low
    shares = terms if draws is None else min(draws, terms)
    within = torch.rand(shares, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    place = (torch.arange(shares) + within) * terms / shares
    index = low + place.long().clamp(max=terms - 1)
    return index.tolist(), terms / shares


def _costs(
    model: Model,
    raw: Tensor,
    ladder: Tensor,
    visits: list[tuple[list[int], float]],
    whole: bool,
    seed: int,
) -> tuple[Tensor, Tensor]:
    x_0 = encoded(model, raw, seed)
    times = ladder.tolist()
    columns = []
    for band, (index, weight) in enumerate(visits):
        column = x_0.new_zeros(len(x_0))
        for i, u in zip(index, _uniforms(x_0, len(index), seed + band), strict=True):
            s, t = (torch.full((len(x_0),), each, device=x_0.device) for each in times[i : i + 2])
            # Quantiles rather than draws: one u for all examples, in double for the tails' sake.
            x_t = model.kernel.marginal(x_0, t).to(torch.float64).icdf(u).to(x_0)
            column += weight * term_of(model, model.output(x_t, t), x_0, x_t, s, t)
        columns.append(column)
    fixed = fixed_part(model, x_0, ladder[1:])
    return torch.stack(columns, 1), -(fixed["prior"] + (fixed["edge"] if whole else 0.0))


def encoded(model: Model, raw: object, seed: int) -> Tensor:
    """x_0 of each row of raw (N, *), as if it were alone: what a space draws to encode a row is
    the same for all rows, and a row's x_0 does not depend on the others."""
    rows = model.space.check(raw).to(model.blank(1))
    rng = torch.Generator(rows.device)
    return torch.cat([model.space.encode(row, rng.manual_seed(seed)) for row in rows.split(1)])


def _uniforms(x_0: Tensor, draws: int, seed: int) -> Iterator[Tensor]:
    """Uniform numbers for each draw, with the shape of x_0 and the same in every row. Over the
    draws those of a coordinate are spread evenly, one to each equal part (a Latin hypercube)."""
    rng = torch.Generator().manual_seed(seed)
    shape = x_0.shape[1:]
    part = torch.rand(draws, *shape, generator=rng).argsort(0)
    within = torch.rand(draws, *shape, generator=rng, dtype=torch.float64)
    uniforms = ((part + within) / draws).clamp(1e-15, 1 - 1e-15).to(x_0.device)
    for each in uniforms:
        yield each.expand(x_0.shape)
