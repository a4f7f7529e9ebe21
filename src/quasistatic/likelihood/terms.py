r"""The terms of the bound, one at a time: what training samples and evaluation sums.

A chain that visits the times t_1 < ... < t_n = T has n terms. Term 0 is -log p(raw | x_{t_1});
term k is KL(q(x_{t_k} | x_{t_{k+1}}, x_0) || p). Their sum, with the prior's, is -K.
"""

__all__ = ["each_term_of", "fixed_part", "learned_term", "stratified_terms", "term_of"]

import torch
from torch import Tensor

from .._utils.randomness import permutation, uniform
from ..distributions import Family, total
from ..heads import DenoisingHead
from ..model import Model


def learned_term(
    model: Model, x_0: Tensor, times: Tensor, index: Tensor, rng: torch.Generator | None
) -> Tensor:
    r"""Term `index` (B,) of the chain over `times`, at one x_t ~ q(x_t | x_0): (B,), in nats."""
    if len(times) == model.steps:  # all of them: the k-th is k
        s, t = index, index + 1
    else:
        ladder = torch.cat([times.new_zeros(1), times]).to(x_0.device)
        s, t = ladder[index], ladder[index + 1]
    x_t = model.kernel.marginal(x_0, t).sample(rng)
    return term_of(model, model.output(x_t, t), x_0, x_t, s, t)


def term_of(model: Model, output: Tensor, x_0: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
    r"""The term of the step from t (B,) to s (B,), by what the network said of x_t: (B,), in
    nats. s = 0 ends the chain, and its term is zero where the space fixes that step."""
    return total(each_term_of(model, output, x_0, x_t, s, t))


def each_term_of(
    model: Model, output: Tensor, x_0: Tensor, x_t: Tensor, s: Tensor, t: Tensor
) -> Tensor:
    r"""What each value has of :func:`term_of`, with shape (B, *), in nats."""
    # Rows whose step ends the chain are told apart: x_0 has no spread for a KL to compare, and what
    # stands in for it, the step from 2 to 1, is finite and is not looked at.
    ends, head, kernel = s == 0, model.head, model.kernel
    early, late = torch.where(ends, 1, s), torch.where(ends, min(2, model.steps), t)
    here = ends.reshape(-1, *[1] * (x_0.ndim - 1))
    belief: Family | None = None
    if isinstance(head, DenoisingHead) and type(head).divergence is DenoisingHead.divergence:
        belief = head.denoise(kernel, output, x_t, t)
        term = head.divergence_of(kernel, belief, x_t, x_0, early, late)
    else:
        term = head.divergence(kernel, output, x_t, x_0, early, late)
    if model.space.first_term:
        return torch.where(here, 0.0, term)
    if isinstance(head, DenoisingHead) and belief is not None and head.denoised_has_levels:
        p = belief
    else:
        p = head.last(kernel, output, x_t, torch.where(ends, t, 1))
    # The mass of a cell far from a narrow law has no finite slope: rows that do not end take
    # the law's own mean, whose mass has one.
    end = -model.space.learned_log_prob(p, torch.where(here, x_0, p.mean.detach()))
    return torch.where(here, end, term)


def fixed_part(model: Model, x_0: Tensor, times: Tensor) -> dict[str, Tensor]:
    r"""The terms of K that no network decides, each (B,), in nats: `prior`, which is
    -KL(q(x_T | x_0) || pi), and `edge`, E log p(raw | x_1) where that step is fixed."""
    first, last = (x_0.new_full((len(x_0),), int(t)).long() for t in (times[0], times[-1]))
    kernel = model.kernel
    return {
        "prior": -total(kernel.marginal(x_0, last).kl(kernel.prior(x_0))),
        "edge": total(model.space.edge(kernel, x_0, first)),
    }


def stratified_terms(
    n: int, first: int, count: int, share: int, shares: int, rng: torch.Generator | None
) -> Tensor:
    """Terms for n examples, with shape (n,): uniform over share number `share` of `shares` equal
    parts of first .. count - 1, and spread evenly over the examples too. With as many shares as
    terms each is visited once, so that a full sum is the same call."""
    like = torch.empty(0, device=None if rng is None else rng.device)
    start = uniform((1,), rng, like, torch.float64)
    within = (permutation(n, rng, like) + start) / n
    terms = count - first
    return first + ((share + within) * terms / shares).long().clamp(max=terms - 1)
