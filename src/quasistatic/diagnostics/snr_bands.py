r"""The bound split into log-SNR bands, under noise that all examples share.

The terms at high SNR describe the finest details of an example, and those at low SNR its coarse
structure. An example with an unusual coarse structure and simple details may have an ordinary
total. The bands show both.
"""

__all__ = ["BandCosts", "band_costs", "encode_rows"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..likelihood.terms import fixed_terms, term_of, term_times
from ..model import Model


@dataclass(frozen=True)
class BandCosts:
    r"""The terms of -K of each example, in bands of log-SNR.

    Args:
        bands: the sum of the terms of each band, with shape (N, bands), in nats, from fine to
            coarse.
        fixed: the terms that no network decides, with shape (N,), in nats: that of the prior, and
            that of the last step where the space fixes it and it is counted.
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
        r"""The sum, with shape (N,), in nats: -K (SD15 Eq. 14) if all terms are counted. By the
        chain rule, the terms from time s on sum to an upper bound on KL(q(x_s | x_0) || p(x_s)),
        the cost of the example at that noise level."""
        return self.bands.sum(1) + self.fixed

    def __repr__(self) -> str:
        means = ", ".join(f"{mean:.3g}" for mean in self.bands.double().mean(0).tolist())
        low, high = self.log_snr[-1].item(), self.log_snr[0].item()
        return (
            f"{len(self.bands)} examples, {self.evaluations} evaluations each\n"
            f"  mean nats in each band, from log-SNR {high:.3g} to {low:.3g}: {means}"
        )


@torch.no_grad()
def band_costs(
    model: Model,
    raw: object,
    bands: int = 8,
    draws: int | None = 16,
    below: float = math.inf,
    times: int | Sequence[int] | Tensor | None = None,
    seed: int = 0,
) -> BandCosts:
    r"""The terms of -K (SD15 Eq. 14) of each example, in bands with equally many terms.

    All examples have the same noise at the same times (common random numbers). So the cost of an
    example depends on the example alone, and not on its neighbours or its place. The error of the
    estimate is mostly the same for all examples, so that differences are more exact than values.

    Args:
        model: the model to score.
        raw: raw data, with shape (N, *).
        bands: the number of bands.
        draws: the number of terms drawn in each band, evenly spread; the sum is unbiased over
            seeds. None, or a number of at least the number of terms, takes each term once.
        below: the log-SNR from which terms are counted, down to the prior; all by default.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.
        seed: of the noise.

    Raises:
        ValueError: if fewer terms are counted than there are bands, or less than one band or draw
            is asked for.
    """
    checked = model.space.check(raw).to(model.blank(1))
    grid = model.times(times)
    ends = term_times(model, grid)
    bounds = _bounds(model, ends, bands, below)
    if draws is not None and draws < 1:
        raise ValueError(f"draws must be 1 or more, got {draws}: leave it None to take each term")
    drawn = [_drawn(bounds[k], bounds[k + 1], draws, seed + k) for k in range(bands)]
    with evaluating(model):
        parts = [
            _costs(part, rows, grid, ends, drawn, bounds[0] == 0, seed)
            for part, rows in model.chunks(checked)
        ]
    every, fixed = (torch.cat(part) for part in zip(*parts, strict=True))
    log_snr = model.kernel.schedule.log_snr[ends[torch.tensor(bounds)]]
    return BandCosts(every, fixed, log_snr, sum(len(index) for index, _ in drawn))


def _bounds(model: Model, ends: Tensor, bands: int, below: float) -> list[int]:
    """The first term of each band, and the number of terms."""
    count = len(ends) - 1
    start = model.kernel.schedule.log_snr[ends[:-1]]  # of the cleaner end of each term
    first = int((start > below).sum())
    if not 1 <= bands <= count - first:
        raise ValueError(
            f"bands must be from 1 to {count - first}, the terms of this chain below a log-SNR of "
            f"{below:g}, got {bands}"
        )
    return [first + k * (count - first) // bands for k in range(bands + 1)]


def _drawn(low: int, high: int, draws: int | None, seed: int) -> tuple[list[int], float]:
    """Terms of low .. high - 1, one in each of `draws` equal parts, and the weight of each."""
    terms = high - low
    shares = terms if draws is None else min(draws, terms)
    within = torch.rand(shares, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    place = (torch.arange(shares) + within) * terms / shares
    index = low + place.long().clamp(max=terms - 1)
    return index.tolist(), terms / shares


def _costs(
    model: Model,
    raw: Tensor,
    grid: Tensor,
    ends: Tensor,
    drawn: list[tuple[list[int], float]],
    whole: bool,
    seed: int,
) -> tuple[Tensor, Tensor]:
    x_0 = encode_rows(model, raw, seed)
    times = ends.tolist()
    columns = []
    for band, (index, weight) in enumerate(drawn):
        column = x_0.new_zeros(len(x_0))
        for i, u in zip(index, _uniforms(x_0, len(index), seed + band), strict=True):
            s, t = (torch.full((len(x_0),), each, device=x_0.device) for each in times[i : i + 2])
            # Quantiles and not draws: one u for all examples, in float64 for the tails.
            x_t = model.kernel.marginal(x_0, t).to(torch.float64).icdf(u).to(x_0)
            column += weight * term_of(model, model.output(x_t, t), x_0, x_t, s, t)
        columns.append(column)
    fixed = fixed_terms(model, x_0, grid)
    return torch.stack(columns, 1), -(fixed["prior"] + (fixed["edge"] if whole else 0.0))


def encode_rows(model: Model, raw: object, seed: int) -> Tensor:
    """x_0 of each row of raw (N, *). A space that encodes at random uses the same random numbers
    for all rows, so that the x_0 of a row does not depend on the others."""
    rows = model.space.check(raw).to(model.blank(1))
    rng = torch.Generator()  # on the CPU, so that every device has the same numbers
    each = (rows[k : k + 1] for k in range(len(rows)))
    return torch.cat([model.space.encode(row, rng.manual_seed(seed)) for row in each])


def _uniforms(x_0: Tensor, draws: int, seed: int) -> Iterator[Tensor]:
    """Uniform numbers for each draw, with the shape of x_0 and the same in every row. Over the
    draws, each coordinate has one number in each of equal parts (a Latin hypercube)."""
    rng = torch.Generator().manual_seed(seed)
    shape = x_0.shape[1:]
    part = torch.rand(draws, *shape, generator=rng).argsort(0)
    within = torch.rand(draws, *shape, generator=rng, dtype=torch.float64)
    uniforms = ((part + within) / draws).clamp(1e-15, 1 - 1e-15).to(x_0.device)
    for each in uniforms:
        yield each.expand(x_0.shape)
