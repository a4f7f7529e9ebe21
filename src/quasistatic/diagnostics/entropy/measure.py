r"""Measures an entropy budget: the forward process in closed form, the model and an oracle by
random draws."""

__all__ = ["entropy_budget"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ..._utils.randomness import Rng, as_generator, below
from ...distributions import total
from ...kernels import Kernel
from ...likelihood.terms import fixed_terms, term_of, term_times
from ...model import Model
from ..oracles import Oracle
from .budget import EntropyBudget, Estimate


@torch.no_grad()
def entropy_budget(
    model: Model,
    raw: object,
    times: int | Sequence[int] | Tensor | None = None,
    draws: int = 1,
    rng: Rng = None,
    oracle: Oracle | None = None,
) -> EntropyBudget:
    r"""Bounds on the entropy of each reverse step over the law of the data, and the cross-entropy
    of the model's steps (SD15 Eq. 24).

    Each step takes `draws` network evaluations an example. Memory grows with the number of
    examples times the number of steps.

    Args:
        model: the model whose steps are measured.
        raw: raw data, with shape (N, *).
        times: the chain, see :meth:`Model.times`; by default all T steps.
        draws: of x_t for each example and step.
        rng: a seed, a generator or None; the same seed repeats the draws.
        oracle: of the law of the data, where it is known, on the space of the model.

    Raises:
        ValueError: if `draws` is not positive, the oracle has another space than the model, or a
            value is missing.
    """
    if draws < 1:
        raise ValueError(f"draws must be 1 or more, got {draws}")
    if oracle is not None and oracle.space != model.space:
        raise ValueError(
            f"the oracle is of data of {oracle.space}, and the model of data of {model.space}: the "
            "law of x_t is known on the scale of one of them only"
        )
    rng = as_generator(rng)
    checked, grid = model.space.check(raw).to(model.blank(1)), model.times(times)
    if checked.isnan().any():
        raise ValueError(
            "raw has missing values (NaN), and a row without some of its values has another "
            "entropy: give complete rows"
        )
    seed = int(below(2**62, 1, rng, torch.empty(0)))
    with evaluating(model):
        parts = [
            _rows(part, rows, grid, draws, rng, oracle, seed)
            for part, rows in model.chunks(checked, draws)
        ]
    rows = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    ends = term_times(model, grid)
    log_snr = model.kernel.schedule.log_snr.detach().cpu()[ends]
    return _budget(ends, log_snr, rows, model.space.dims)


def _rows(
    model: Model,
    raw: Tensor,
    grid: Tensor,
    draws: int,
    rng: torch.Generator | None,
    oracle: Oracle | None,
    seed: int,
) -> dict[str, Tensor]:
    """The quantities that are averaged, for each example: (B, n) of steps, (B, n + 1) of times, in
    float64."""
    x_0, ends = model.space.encode(raw, rng), term_times(model, grid)
    rows = _process(model, x_0.double(), ends)
    rows["spent"], last_step = _network(model, x_0, ends, draws, rng)
    rows["upper"] = rows["lower"] + rows["away"][:, :-1] - rows["away"][:, 1:]
    if ends[0] == 0:
        rows["upper"][:, 0] = last_step
    # K counts the fixed last step, from x_1 to the raw data, in the place of the entropy of x_1.
    edge = fixed_terms(model, x_0.double(), grid)["edge"]
    rows["last"] = (edge + rows["noise"][:, 0])[:, None]
    if oracle is not None:
        known = [
            _information(model.kernel, oracle, raw, x_0.double(), t, draws, seed) for t in ends
        ]
        rows["information"] = torch.stack(known, 1)
    return rows


def _process(model: Model, x_0: Tensor, ends: Tensor) -> dict[str, Tensor]:
    """Properties of the forward process in closed form: `noise`, H_q(X_t | X_0), and `away`,
    KL(q(x_t | x_0) || pi), at each time; `forward`, H_q(X_t | X_s), and `lower` of each step."""
    kernel = model.kernel
    at = [x_0.new_full((len(x_0),), int(t)).long() for t in ends]
    laws, prior = [kernel.marginal(x_0, t) for t in at], kernel.prior(x_0)
    away = [law.kl(prior) for law in laws]
    noise = [law.entropy() for law in laws]
    starts = zip(laws, at, at[1:], strict=False)
    forward = [kernel.mean_step_entropy(law.mean, s, t) for law, s, t in starts]
    if ends[0] == 0:
        # Values with levels end at x_0, without noise. The others end at x_1, so that the last
        # step leaves them as they are.
        learned = model.space.learned_values.to(x_0.device)
        noise[0] = torch.where(learned, 0.0, noise[1])
        away[0] = torch.where(learned, away[0], away[1])
        forward[0] = torch.where(learned, forward[0], 0.0)
    rows = {
        name: torch.stack([total(each) for each in values], 1)
        for name, values in (("noise", noise), ("away", away), ("forward", forward))
    }
    return rows | {"lower": rows["forward"] + rows["noise"][:, :-1] - rows["noise"][:, 1:]}


def _network(
    model: Model, x_0: Tensor, ends: Tensor, draws: int, rng: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """The term of each step, (B, n), and the term that the last step has if it is the forward step
    in reverse, (B,)."""
    x_0 = x_0.repeat_interleave(draws, 0)
    spent, last_step = [], x_0.new_zeros(len(x_0))
    for k in range(len(ends) - 1):
        s, t = (x_0.new_full((len(x_0),), int(each)).long() for each in ends[k : k + 2])
        x_t = model.kernel.marginal(x_0, t).sample(rng)
        spent.append(term_of(model, model.output(x_t, t), x_0, x_t, s, t))
        if ends[k] == 0:
            in_reverse = model.kernel.step(x_t, s, t)
            last_step = -total(model.space.learned_log_prob(in_reverse, x_0))
    return _over_draws(torch.stack(spent, 1), draws), _over_draws(last_step, draws)


def _over_draws(values: Tensor, draws: int) -> Tensor:
    """Means over the draws of each example, (B, *), of values (B x draws, *)."""
    return values.double().reshape(-1, draws, *values.shape[1:]).mean(1)


def _information(
    kernel: Kernel, oracle: Oracle, raw: Tensor, x_0: Tensor, t: Tensor, draws: int, seed: int
) -> Tensor:
    """log q(x_t | x_0) - log q(x_t), averaged over draws of x_t, (B,): its mean is I(x_0; x_t).

    All times use the same noise, so that the difference of neighbours, which is the information
    that a step loses, has a far smaller error than either."""
    if t == 0:
        return -oracle.log_prob(raw)
    x_0 = x_0.repeat_interleave(draws, 0)
    at = t.to(x_0.device).expand(len(x_0))
    law = kernel.marginal(x_0, at)
    x_t = law.sample(torch.Generator().manual_seed(seed))
    found = total(law.log_prob(x_t)) - oracle.log_prob_t(x_t, kernel, at)
    return _over_draws(found, draws)


def _budget(ends: Tensor, log_snr: Tensor, rows: dict[str, Tensor], dims: int) -> EntropyBudget:
    spent, lower = rows["spent"], rows["lower"].mean(0)
    above = torch.nn.functional.pad(spent.flip(1).cumsum(1).flip(1), (0, 1))
    upper, beyond = rows["upper"].mean(0), Estimate.over(rows["upper"]).stderr
    information = truth = lost = None
    if "information" in rows:
        gain = -rows["information"].diff(dim=1)
        information, gained = Estimate.over(rows["information"]), Estimate.over(gain)
        truth = Estimate(lower + gained.mean, gained.stderr)
        lost = Estimate.over(spent - gain)
    cost, rate = Estimate.over(spent), rows["away"][:, -1:] + above
    return EntropyBudget(
        times=ends,
        log_snr=log_snr,
        noise=rows["noise"].mean(0),
        forward=rows["forward"].mean(0),
        lower=lower,
        upper=Estimate(upper, torch.where(ends[:-1] == 0, beyond, 0.0)),
        cross_entropy=Estimate(lower + cost.mean, cost.stderr),
        rate=Estimate.over(rate),
        bound=Estimate.over(rows["last"][:, 0] - rows["noise"][:, 0] - rate[:, 0]),
        information=information,
        truth=truth,
        lost=lost,
        dims=dims,
        examples=len(spent),
    )
