r"""Where the bits of an example are: the terms of the bound by value and by time."""

__all__ = ["BitMap", "bit_map"]

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..distributions import total
from ..likelihood.terms import each_term_of, fixed_terms, term_times
from ..model import Model
from ..spaces.space import Encoded


@dataclass(frozen=True)
class BitMap:
    r"""The terms of -K of each example, by value and by time.

    Args:
        by_value: the terms that the network decides, of each value of x_0, with shape (N, *state),
            in nats. A value can cost less than nothing, as densities can exceed 1.
        by_time: the same terms of each part of the chain, with shape (N, parts), in nats.
        fixed: the terms that no network decides, with shape (N,), in nats.
        times: where the parts begin and end, rising, with shape (parts + 1,).
        log_snr: the log-SNR at these times, with shape (parts + 1,), falling.
        evaluations: of the network for each example.
    """

    by_value: Tensor
    by_time: Tensor
    fixed: Tensor
    times: Tensor
    log_snr: Tensor
    evaluations: int

    @property
    def total(self) -> Tensor:
        """-K of each example, with shape (N,), in nats (SD15 Eq. 14)."""
        return self.by_time.sum(1) + self.fixed

    def __repr__(self) -> str:
        shape = tuple(self.by_value.shape[1:])
        return (
            f"{len(self.fixed)} examples of shape {shape}, {self.evaluations} evaluations each\n"
            f"  mean {self.total.double().mean():.4g} nats, {self.by_time.shape[1]} parts of time"
        )


@torch.no_grad()
def bit_map(
    model: Model,
    raw: object,
    evaluations: int = 64,
    parts: int = 16,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> BitMap:
    r"""The terms of -K of each example, by value and by time.

    The chain is cut into `evaluations` equal pieces, and one term of each piece is drawn, so that
    sums are unbiased. The last step is always evaluated where the network decides it.

    Args:
        model: the model that scores.
        raw: raw data, with shape (N, *).
        evaluations: of the network for each example, at most one for each term.
        parts: of the chain in `by_time`, at most one for each evaluation.
        times: the chain, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Raises:
        ValueError: if a number is out of its range.
    """
    source, grid = as_generator(rng), model.times(times)
    ends = term_times(model, grid)
    pieces = _pieces(len(ends) - 1, evaluations, bool(ends[0] == 0))
    parts = min(parts, len(pieces))
    if parts < 1:
        raise ValueError(f"parts must be 1 or more, got {parts}")
    owner = [k * parts // len(pieces) for k in range(len(pieces))]
    checked = model.space.check(raw).to(model.blank(1))
    with evaluating(model):
        found = [
            _mapped(part, part.space.encode_weighted(x, source), ends, grid, pieces, owner, source)
            for part, x in model.chunks(checked)
        ]
    by_value, by_time, fixed = (torch.cat(each) for each in zip(*found, strict=True))
    firsts = [pieces[owner.index(k)][0] for k in range(parts)]
    edges = ends[torch.tensor([*firsts, len(ends) - 1])]
    log_snr = model.kernel.schedule.log_snr[edges]
    return BitMap(by_value, by_time, fixed, edges, log_snr, len(pieces))


def _pieces(terms: int, evaluations: int, apart: bool) -> list[tuple[int, int]]:
    """The first and the last term, exclusive, of each piece of the chain."""
    if not 1 <= evaluations <= terms:
        raise ValueError(f"evaluations must be from 1 to {terms}, the terms, got {evaluations}")
    first = int(apart and evaluations > 1)
    count, rest = evaluations - first, terms - first
    bounds = [first + k * rest // count for k in range(count + 1)]
    return [(0, 1)] * first + list(itertools.pairwise(bounds))


def _mapped(
    model: Model,
    encoded: Encoded,
    ends: Tensor,
    grid: Tensor,
    pieces: list[tuple[int, int]],
    owner: list[int],
    rng: torch.Generator | None,
) -> tuple[Tensor, Tensor, Tensor]:
    x_0 = encoded.x_0
    by_value = torch.zeros_like(x_0)
    by_time = x_0.new_zeros(len(x_0), max(owner) + 1)
    moved = ends.to(x_0.device)
    for (low, high), part in zip(pieces, owner, strict=True):
        place = None if rng is None else rng.device
        index = torch.randint(low, high, (len(x_0),), generator=rng, device=place).to(x_0.device)
        s, t = moved[index], moved[index + 1]
        x_t = model.kernel.marginal(x_0, t).sample(rng)
        each = each_term_of(model, model.output(x_t, t), x_0, x_t, s, t) * (high - low)
        by_value += each.nan_to_num(0.0)
        by_time[:, part] += total(each)
    fixed = fixed_terms(model, x_0, grid)
    return by_value, by_time, -(fixed["prior"] + fixed["edge"] + encoded.log_weight)
