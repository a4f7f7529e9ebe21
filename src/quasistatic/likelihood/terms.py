r"""The terms of the bound, one at a time. Training samples these terms, and evaluation sums them.

A chain visits the times t_1 < ... < t_n = T, and each of its steps has a term. The step from
t_{k+1} to t_k has KL(q(x_{t_k} | x_{t_{k+1}}, x_0) || p), and the last step, from t_1 to 0, has
-log p(raw | x_{t_1}). Their sum, with the term of the prior, is -K (SD15 Eq. 14).

The network decides all terms but that of the prior. The last step is decided value by value: the
space says for which values the network decides it (:attr:`Space.learned_values`), and fixes it in
advance for the others. :func:`each_ending_term` and :func:`fixed_terms` are these two shares.
"""

__all__ = [
    "count_terms",
    "each_ending_term",
    "each_term_of",
    "fixed_terms",
    "learned_term",
    "stratified_terms",
    "term_of",
    "term_times",
]

from collections.abc import Sequence

import torch
from torch import Tensor

from .._utils.randomness import permutation, uniform
from ..distributions import Family, total
from ..heads import DenoisingHead
from ..model import Model


def term_times(model: Model, times: int | Sequence[int] | Tensor | None = None) -> Tensor:
    """The times between which the terms lie that the network decides.

    Args:
        times: the chain, see :meth:`Model.times`; by default all T steps.

    Returns:
        Whole numbers on the CPU, rising, with shape (terms + 1,). Term k is that of the step from
        entry k + 1 to entry k. They begin with 0 where the network decides the last step of some
        values, and with the chain's first time where the space fixes it for all.

    Raises:
        ValueError: if the times do not make a chain of this model.
    """
    grid = model.times(times)
    return torch.cat([grid.new_zeros(1), grid]) if model.space.learns_last_step else grid


def count_terms(model: Model, times: int | Sequence[int] | Tensor | None = None) -> int:
    """The number of terms that the network decides, which is what the full sum takes in
    evaluations an example; see :func:`term_times`."""
    return len(term_times(model, times)) - 1


def learned_term(
    model: Model, x_0: Tensor, ends: Tensor, index: Tensor, rng: torch.Generator | None
) -> Tensor:
    r"""One term of each example, at one x_t ~ q(x_t | x_0).

    Args:
        x_0: with shape (B, *).
        ends: the times between which the terms lie, see :func:`term_times`.
        index: which term of each example, with shape (B,).
        rng: draws x_t.

    Returns:
        With shape (B,), in nats.
    """
    first = 0 if model.space.learns_last_step else 1
    if len(ends) == model.steps + 1 - first:  # all times: no table has to be moved
        s = index + first
        t = s + 1
    else:
        ends = ends.to(x_0.device)
        s, t = ends[index], ends[index + 1]
    x_t = model.kernel.marginal(x_0, t).sample(rng)
    return term_of(model, model.output(x_t, t), x_0, x_t, s, t)


def term_of(model: Model, output: Tensor, x_0: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
    r"""The term of the step from t (B,) to s (B,), given the network's output for x_t.

    Returns:
        With shape (B,), in nats. Where s = 0, it is :func:`each_ending_term`.
    """
    return total(each_term_of(model, output, x_0, x_t, s, t))


def each_term_of(
    model: Model, output: Tensor, x_0: Tensor, x_t: Tensor, s: Tensor, t: Tensor
) -> Tensor:
    r"""The share of each value in :func:`term_of`, with shape (B, *), in nats."""
    # A step to 0 has no KL: x_0 has no spread. The KL of the step from 2 to 1 is computed in its
    # place, which is finite, and is not used. So no row has to be selected, which a GPU waits for.
    ends, head, kernel = s == 0, model.head, model.kernel
    early, late = torch.where(ends, 1, s), torch.where(ends, min(2, model.steps), t)
    belief: Family | None = None
    if isinstance(head, DenoisingHead) and type(head).divergence is DenoisingHead.divergence:
        belief = head.denoise(kernel, output, x_t, t)
        term = head.divergence_of(kernel, belief, x_t, x_0, early, late)
    else:
        term = head.divergence(kernel, output, x_t, x_0, early, late)
    last = each_ending_term(model, output, x_0, x_t, torch.where(ends, t, 1), ends, belief)
    return torch.where(_rows(ends, x_0), last, term)


def each_ending_term(
    model: Model,
    output: Tensor,
    x_0: Tensor,
    x_t: Tensor,
    t: Tensor,
    ends: Tensor | None = None,
    belief: Family | None = None,
) -> Tensor:
    r"""-log p(raw | x_t) of the values whose last step the network decides, and zero for those
    whose last step the space fixes (:func:`fixed_terms` counts them).

    Args:
        output: of the network for x_t, with shape (B, *, outputs).
        x_0: with shape (B, *).
        x_t: at the first time of the chain, with shape (B, *).
        t: that time, with shape (B,).
        ends: which rows end the chain, bool with shape (B,); by default all. Other rows get a
            finite value and a finite gradient, which have no meaning.
        belief: the head's distribution of x_0 given x_t, if it has been computed already.

    Returns:
        With shape (B, *), in nats.
    """
    head = model.head
    if not model.space.learns_last_step:
        return torch.zeros_like(x_0)
    if isinstance(head, DenoisingHead) and belief is not None and head.denoised_has_levels:
        p = belief
    else:
        p = head.last(model.kernel, output, x_t, t)
    if ends is not None:
        # The log-mass of a cell far from a narrow distribution has no finite gradient. In rows that
        # are not used, the distribution's mean takes the place of x_0: there the gradient is
        # finite.
        x_0 = torch.where(_rows(ends, x_0), x_0, p.mean.detach())
    return -model.space.learned_log_prob(p, x_0)


def fixed_terms(model: Model, x_0: Tensor, times: Tensor) -> dict[str, Tensor]:
    r"""The terms of K that do not depend on the network, for x_0 (B, *) along the chain over
    `times`.

    Returns:
        Each with shape (B,), in nats: `prior` is -KL(q(x_T | x_0) || pi), and `edge` is
        E log p(raw | x_1) of the values whose last step the space fixes.
    """
    first, last = (x_0.new_full((len(x_0),), int(t)).long() for t in (times[0], times[-1]))
    kernel = model.kernel
    return {
        "prior": -total(kernel.marginal(x_0, last).kl(kernel.prior(x_0))),
        "edge": total(model.space.edge(kernel, x_0, first)),
    }


def stratified_terms(
    n: int, terms: int, share: int, shares: int, rng: torch.Generator | None
) -> Tensor:
    """A term for each of n examples, drawn from one of equal parts of the terms.

    Args:
        n: the number of examples.
        terms: the number of terms to draw from.
        share: which of the parts, from 0.
        shares: the number of parts. With as many as there are terms, each term is drawn once.
        rng: draws the places, which are spread evenly over the examples too.

    Returns:
        Whole numbers from 0 to terms - 1, with shape (n,).
    """
    like = torch.empty(0, device=None if rng is None else rng.device)
    start = uniform((1,), rng, like, torch.float64)
    within = (permutation(n, rng, like) + start) / n
    return ((share + within) * terms / shares).long().clamp(max=terms - 1)


def _rows(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of rows (B,) that goes with values (B, *)."""
    return mask.reshape(-1, *[1] * (like.ndim - 1))
