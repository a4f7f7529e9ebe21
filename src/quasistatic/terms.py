r"""The terms of the bound, one at a time: what training samples and evaluation sums.

A chain that visits the times t_1 < ... < t_n = T has n terms. Term 0 is -log p(raw | x_{t_1});
term k is KL(q(x_{t_k} | x_{t_{k+1}}, x_0) || p). Their sum, with the prior's, is -K.
"""

__all__ = ["each_term_of", "fixed_part", "learned_term", "stratified_terms", "term_of"]

import torch
from torch import Tensor

from .families import total
from .model import Model


def learned_term(
    model: Model, x_0: Tensor, times: Tensor, index: Tensor, rng: torch.Generator | None
) -> Tensor:
    r"""Term `index` (B,) of the chain over `times`, at one x_t ~ q(x_t | x_0): (B,), in nats."""
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
    last = s == 0
    if not last.any():
        return model.head.divergence(model.kernel, output, x_t, x_0, s, t)

    # Rows whose step ends the chain are told apart: x_0 has no spread for a KL to compare.
    term = torch.zeros_like(x_0)
    if model.space.first_term == 0:
        p = model.head.last(model.kernel, output[last], x_t[last], t[last])
        term[last] = -model.space.decided(p, x_0[last])
    rest = ~last
    if rest.any():
        term[rest] = model.head.divergence(
            model.kernel, output[rest], x_t[rest], x_0[rest], s[rest], t[rest]
        )
    return term


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
    device = None if rng is None else rng.device  # a generator draws on its own device only
    uniform = torch.rand(1, generator=rng, dtype=torch.float64, device=device)
    order = torch.randperm(n, generator=rng, device=device)
    within = (order + uniform) / n
    terms = count - first
    return first + ((share + within) * terms / shares).long().clamp(max=terms - 1)
