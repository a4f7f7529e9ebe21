r"""Progressive decoding: the rate and the distortion of a partly read code (DDPM Sec. 4.3)."""

__all__ = ["RateDistortion", "code_progressively"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ..._utils.randomness import Rng, as_generator
from ...likelihood.terms import fixed_terms, stratified_terms, term_of
from ...model import Model


@dataclass(frozen=True)
class RateDistortion:
    r"""The distortion of a decoder against the rate that it has read, as means over examples with
    standard errors, each with shape (P,), from the first bits to the last.

    Args:
        t: the time of each point, from T down to 0, where the whole code is read. With fewer
            evaluations than there are times, a point is a mean over neighbouring times, and t is
            their mean.
        bits_per_dim: the rate up to and including x_t, in bits a value: the term of the prior, and
            the KLs from T down to t. The last is the whole bound.
        bits_stderr: the standard error of the rate.
        rmse: the distortion, the root of the mean of (x_0 - x_hat_0)^2 over values and examples,
            in the raw data's units.
        rmse_stderr: the standard error of the distortion.
        examples: the number of examples.
    """

    t: Tensor
    bits_per_dim: Tensor
    bits_stderr: Tensor
    rmse: Tensor
    rmse_stderr: Tensor
    examples: int

    def __repr__(self) -> str:
        return (
            f"{self.bits_per_dim[-1]:.4g} ± {self.bits_stderr[-1]:.2g} bits a value for the whole "
            f"code of {self.examples} examples\n"
            f"  distortion {self.rmse[0]:.4g} after {self.bits_per_dim[0]:.3g} bits a value, "
            f"{len(self.t)} points"
        )


@torch.no_grad()
def code_progressively(
    model: Model,
    raw: object,
    evaluations: int | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> RateDistortion:
    r"""Rate and distortion when the code is read from x_T on (DDPM Alg. 3, 4 and Fig. 5): a decoder
    that has read up to x_t estimates x_hat_0 = E[x_0 | x_t] (DDPM Eq. 15).

    The rate is that of an ideal coder, the KL of each step; no file is written. On a continuum the
    last point adds the term of the last step, a density, which may make it smaller than the point
    before.

    Args:
        model: that codes.
        raw: raw data, with shape (N, *).
        evaluations: network evaluations an example, each of which gives a rate and a distortion.
            None takes every time. With fewer, each stands for an equal part of the times, and the
            means are unbiased.
        times: the chain, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Raises:
        ValueError: if `evaluations` is not between 1 and the number of times.
    """
    rng = as_generator(rng)
    checked = model.space.check(raw).to(model.blank(1))
    grid = model.times(times)
    points = len(grid) if evaluations is None else evaluations
    if not 1 <= points <= len(grid):
        raise ValueError(
            f"evaluations must be from 1 to {len(grid)}, the times of this chain, got {points}: "
            "leave it out for all of them"
        )
    edges = [len(grid) * k // points for k in range(points + 1)]
    with evaluating(model):
        parts = [_code(part, batch, grid, edges, rng) for part, batch in model.chunks(checked)]
    nats, squares = (torch.cat(part).double().cpu() for part in zip(*parts, strict=True))
    bits, bits_stderr = _mean(nats / (math.log(2) * model.space.dims))
    square, square_stderr = _mean(squares)
    rmse = square.sqrt()
    # d sqrt(u) = du / (2 sqrt(u)); where there is no distortion there is no error either.
    rmse_stderr = torch.where(rmse > 0, square_stderr / (2 * rmse), 0.0)
    ends = zip(edges[-2::-1], edges[:0:-1], strict=True)
    t = torch.tensor([grid[a:b].double().mean() for a, b in ends] + [0.0]).double()
    return RateDistortion(t, bits, bits_stderr, rmse, rmse_stderr, len(checked))


def _code(
    model: Model, raw: Tensor, times: Tensor, edges: list[int], rng: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """The rate in nats and the mean squared error in raw units, at each point: both (B, P)."""
    space, kernel = model.space, model.kernel
    x_0 = space.encode(raw, rng)
    ladder = torch.cat([times.new_zeros(1), times]).to(x_0.device)
    truth, fixed = space.in_raw_units(x_0), fixed_terms(model, x_0, times)
    spent, rates, squares = -fixed["prior"], [], []
    for a, b in zip(edges[-2::-1], edges[:0:-1], strict=True):
        index = a + stratified_terms(len(x_0), b - a, 0, 1, rng).to(x_0.device)
        s, t = ladder[index], ladder[index + 1]
        x_t = kernel.marginal(x_0, t).sample(rng)
        output = model.output(x_t, t)
        term = term_of(model, output, x_0, x_t, s, t)
        guess = space.in_raw_units(model.head.estimate(kernel, output, x_t, t))
        # A decoder that has x_t has read the terms above index. Those in a..b-1 are estimated by
        # the one term drawn from there: term k is above the index of k - a rows in b - a.
        rates.append(spent + (index - a) * term)
        squares.append(((truth - guess) ** 2).flatten(1).mean(1))
        spent = spent + (b - a) * term
    rates.append(spent - fixed["edge"])
    squares.append(torch.zeros_like(spent))
    return torch.stack(rates, 1), torch.stack(squares, 1)


def _mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard error over the first axis."""
    correction = 1 if len(values) > 1 else 0
    error = values.std(0, correction=correction) / len(values) ** 0.5
    return values.mean(0), error if correction else torch.full_like(error, math.nan)
