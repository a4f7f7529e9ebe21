r"""How a budget is made: the forward process in closed form, the model and an oracle by draws."""

__all__ = ["entropy_budget"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...distributions import total
from ...kernels import Kernel
from ...likelihood.terms import term_of
from ...model import Model
from ..oracles import Oracle
from .budget import EntropyBudget, Estimate


@torch.no_grad()
def entropy_budget(
    model: Model,
    raw: object,
    times: int | Sequence[int] | Tensor | None = None,
    draws: int = 1,
    rng: torch.Generator | None = None,
    oracle: Oracle | None = None,
) -> EntropyBudget:
    r"""Bounds on the entropy of each reverse step over the law of raw data (N, *), and what the
    model spends on it (SD15 Eq. 24).

    Every step asks the network `draws` times an example. A number is kept for each example and
    step.

    Args:
        times: the chain, see :meth:`Model.times`; by default all T steps.
        draws: of x_t for each example and step.
        oracle: of the data's law, where it is known, on the space of the model.

    Raises:
        ValueError: if `draws` is not positive, or the oracle has another space than the model.
    """
    if draws < 1:
        raise ValueError(f"draws must be 1 or more, got {draws}")
    if oracle is not None and oracle.space != model.space:
        raise ValueError(
            f"the oracle speaks of {oracle.space}, and the model of {model.space}: the law of x_t "
            "is known on the scale of one of them only"
        )
    checked = model.space.check(raw).to(model.blank(1))
    grid = model.times(times)
    ladder = torch.cat([grid.new_zeros(1), grid])[model.space.first_term :]
    seed = int(torch.randint(2**62, (), generator=rng, device=rng.device if rng else None))
    pieces = checked.split(max(1, model.chunk_size // draws))
    with evaluating(model):
        parts = [_rows(model, piece, ladder, draws, rng, oracle, seed) for piece in pieces]
    rows = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    log_snr = model.kernel.schedule.log_snr.detach().cpu()[ladder]
    return _budget(ladder, log_snr, rows, model.space.dims)


def _rows(
    model: Model,
    raw: Tensor,
    ladder: Tensor,
    draws: int,
    rng: torch.Generator | None,
    oracle: Oracle | None,
    seed: int,
) -> dict[str, Tensor]:
    """What is averaged, for each example: (B, n) of steps, (B, n + 1) of times, in float64."""
    x_0 = model.space.encode(raw, rng)
    rows = _process(model.kernel, x_0.double(), ladder)
    rows["spent"], on_levels = _network(model, x_0, ladder, draws, rng)
    rows["upper"] = rows["lower"] + rows["away"][:, :-1] - rows["away"][:, 1:]
    if ladder[0] == 0:
        rows["upper"][:, 0] = on_levels
    if oracle is not None:
        known = [
            _information(model.kernel, oracle, raw, x_0.double(), t, draws, seed) for t in ladder
        ]
        rows["information"] = torch.stack(known, 1)
    return rows


def _process(kernel: Kernel, x_0: Tensor, ladder: Tensor) -> dict[str, Tensor]:
    """What the forward process alone says, in closed form: `noise`, H_q(X_t | X_0), and `away`,
    KL(q(x_t | x_0) || pi), at each time; `forward`, H_q(X_t | X_s), and `lower` of each step."""
    at = [x_0.new_full((len(x_0),), int(t)).long() for t in ladder]
    laws, prior = [kernel.marginal(x_0, t) for t in at], kernel.prior(x_0)
    away = torch.stack([total(law.kl(prior)) for law in laws], 1)
    noise = torch.stack([total(law.entropy()) for law in laws], 1)
    noise[:, ladder == 0] = 0.0  # x_0 has levels, where a chain ends with it
    forward = []
    for law, s, t in zip(laws, at, at[1:], strict=False):
        # The entropy of a step is affine in where it starts: a constant on the real line, and
        # whatever is a function of a bit. So its mean over x_s is its value at the mean of x_s.
        zero, one = (kernel.step(x, s, t).entropy() for x in (0 * x_0, 0 * x_0 + 1))
        forward.append(total(zero + (one - zero) * law.mean))
    each = torch.stack(forward, 1)
    lower = each + noise[:, :-1] - noise[:, 1:]
    return {"noise": noise, "away": away, "forward": each, "lower": lower}


def _network(
    model: Model, x_0: Tensor, ladder: Tensor, draws: int, rng: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """The KL of each step, (B, n), and at s = 0 what the forward step in reverse spends, (B,)."""
    x_0 = x_0.repeat_interleave(draws, 0)
    spent, on_levels = [], x_0.new_zeros(len(x_0))
    for k in range(len(ladder) - 1):
        s, t = (x_0.new_full((len(x_0),), int(each)).long() for each in ladder[k : k + 2])
        x_t = model.kernel.marginal(x_0, t).sample(rng)
        spent.append(term_of(model, model.output(x_t, t), x_0, x_t, s, t))
        if ladder[k] == 0:
            in_reverse = model.kernel.step(x_t, s, t)
            on_levels = -total(model.space.log_prob(in_reverse, x_0))

    def over_draws(values: Tensor) -> Tensor:
        return values.double().unflatten(0, (-1, draws)).mean(1)

    return over_draws(torch.stack(spent, 1)), over_draws(on_levels)


def _information(
    kernel: Kernel, oracle: Oracle, raw: Tensor, x_0: Tensor, t: Tensor, draws: int, seed: int
) -> Tensor:
    """log q(x_t | x_0) - log q(x_t), averaged over draws of x_t, (B,): its mean is I(x_0; x_t).

    Each time draws with the same noise, so that the difference of neighbours, which is what a
    step loses, is known far better than either."""
    if t == 0:
        return -oracle.log_prob(raw)
    x_0 = x_0.repeat_interleave(draws, 0)
    at = t.to(x_0.device).expand(len(x_0))
    law = kernel.marginal(x_0, at)
    x_t = law.sample(torch.Generator(x_0.device).manual_seed(seed))
    told = total(law.log_prob(x_t)) - oracle.log_prob_t(x_t, kernel, at)
    return told.unflatten(0, (-1, draws)).mean(1)


def _budget(ladder: Tensor, log_snr: Tensor, rows: dict[str, Tensor], dims: int) -> EntropyBudget:
    spent, lower = rows["spent"], rows["lower"].mean(0)
    above = torch.nn.functional.pad(spent.flip(1).cumsum(1).flip(1), (0, 1))
    upper, beyond = rows["upper"].mean(0), Estimate.over(rows["upper"]).stderr
    information = truth = lost = None
    if "information" in rows:
        told = -rows["information"].diff(dim=1)
        information, gain = Estimate.over(rows["information"]), Estimate.over(told)
        truth, lost = Estimate(lower + gain.mean, gain.stderr), Estimate.over(spent - told)
    cost = Estimate.over(spent)
    return EntropyBudget(
        times=ladder,
        log_snr=log_snr,
        noise=rows["noise"].mean(0),
        forward=rows["forward"].mean(0),
        lower=lower,
        upper=Estimate(upper, torch.where(ladder[:-1] == 0, beyond, 0.0)),
        cross_entropy=Estimate(lower + cost.mean, cost.stderr),
        rate=Estimate.over(rows["away"][:, -1:] + above),
        information=information,
        truth=truth,
        lost=lost,
        dims=dims,
        examples=len(spent),
    )
