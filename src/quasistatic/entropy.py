r"""The entropy budget: what each step of the chain has to spend, may spend, and does spend.

What the reverse step from t to s must be told is H_q(X_s | X_t), the entropy of the true step. SD15
bounds it from both sides by what the forward process alone says (Sec. 2.6, App. A). With

    H_q(X_s | X_t) = H_q(X_t | X_s) + H_q(X_s) - H_q(X_t)                           (SD15 Eq. 27)

a lower bound follows from I(x_0; x_t) <= I(x_0; x_s), and an upper one from the second law. SD15
Eq. 28 states that law as H_q(X_t) >= H_q(X_s), which holds where pi has the largest entropy that
such data can have: for Gaussians, data of unit variance. What always holds is
KL(q(x_t) || pi) <= KL(q(x_s) || pi), and it is used here.

Measured from the lower bound, each is an information. The truth is I(x_0; x_s | x_t), the model
spends E KL(q(x_s | x_t, x_0) || p), and the upper bound is what the forward step in reverse would
spend, a model that takes the data for noise.
"""

__all__ = ["EntropyBudget", "Estimate", "entropy_budget"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .families import total
from .kernels import Kernel
from .model import Model
from .oracles import Oracle
from .terms import term_of


@dataclass(frozen=True)
class Estimate:
    """Means over examples and their standard errors, of one shape, in nats an example. Errors are
    NaN for one example, and zero where nothing was drawn and no network asked."""

    mean: Tensor
    stderr: Tensor

    @classmethod
    def over(cls, values: Tensor) -> "Estimate":
        """From a value for each example, with shape (N, *)."""
        deviation = values.std(0) if len(values) > 1 else torch.full_like(values[0], math.nan)
        return cls(values.mean(0), deviation / len(values) ** 0.5)


@dataclass(frozen=True)
class EntropyBudget:
    r"""Entropies of the n steps of a chain, from t to s, in nats an example, float64; and what is
    known at its n + 1 times. Times ascend: step k leads from times[k + 1] to times[k].

    Data on a continuum have no entropy to spend at t = 0, and their chain ends at t_1. Data with
    levels have one, and times[0] is 0, where H_q(X_0 | X_0) = 0.

    Args:
        times: of the chain, with shape (n + 1,).
        log_snr: of each, with shape (n + 1,); infinite at t = 0.
        noise: H_q(X_t | X_0) at each time, with shape (n + 1,).
        forward: H_q(X_t | X_s) of each step, with shape (n,).
        lower: the left side of SD15 Eq. 24, with shape (n,). It equals H_q(X_s | X_t, X_0).
        upper: H_q(X_t | X_s) + E log pi(x_t) - E log pi(x_s), with shape (n,). At s = 0 it is
            E[-log p(raw | x_t)] of the forward step in reverse, over draws of x_t: the same for
            bits under their own kernel, and a bound by Gibbs' inequality where x_0 has levels and
            x_t has none, and no second law relates the two.
        cross_entropy: E[-log p(x_s | x_t)], what the model spends, with shape (n,).
        rate: at each time, with shape (n + 1,), an upper bound on I(x_0; x_t): the prior's KL and
            those of the steps above t.
        information: I(x_0; x_t) itself where an oracle knows it, with shape (n + 1,); at t = 0
            the entropy of the data.
        truth: H_q(X_s | X_t) by that oracle, with shape (n,).
        lost: cross_entropy - truth, with shape (n,): where the model loses its bits.
        dims: values in an example.
        examples: how many there were.
    """

    times: Tensor
    log_snr: Tensor
    noise: Tensor
    forward: Tensor
    lower: Tensor
    upper: Estimate
    cross_entropy: Estimate
    rate: Estimate
    information: Estimate | None
    truth: Estimate | None
    lost: Estimate | None
    dims: int
    examples: int

    @property
    def spent(self) -> Tensor:
        """cross_entropy - lower: E KL(q(x_s | x_t, x_0) || p) of each step, with shape (n,)."""
        return self.cross_entropy.mean - self.lower

    @property
    def allowed(self) -> Tensor:
        """upper - lower: what KL(q(x_t | x_0) || pi) falls by in each step, with shape (n,)."""
        return self.upper.mean - self.lower

    @property
    def ceiling(self) -> float:
        """What E log q(x) of the first time's x cannot exceed, and so no model's mean
        log-likelihood can: -H_q(X_T | X_0) - sum(lower - forward), in nats an example. The sum
        telescopes to -H_q(X_1 | X_0), which beta_1 sets, and to 0 for data with levels."""
        return 0.0 - self.noise[0].item()  # and not -0.0 where it is nothing

    @property
    def floor(self) -> float:
        """What the best model's mean log-likelihood of the first time's x reaches at least:
        E log pi(x_T) - sum(upper - forward), in nats an example. It telescopes to
        E log pi(x_1), what pi alone scores."""
        last = self.noise[-1] + self.rate.mean[-1]
        return -(last + (self.upper.mean - self.forward).sum()).item()

    @property
    def reached(self) -> float:
        """The model's bound on its mean log-likelihood of the first time's x,
        E log pi(x_T) - sum(cross_entropy - forward), in nats an example. For data with levels
        this is K. On a continuum it speaks of x_1 on the scale of x_0, and not of raw data."""
        return -(self.noise[0] + self.rate.mean[0]).item()


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
    pieces = checked.split(max(1, model.together // draws))
    training = model.training
    model.eval()
    try:
        parts = [_rows(model, piece, ladder, draws, rng, oracle, seed) for piece in pieces]
    finally:
        model.train(training)
    rows = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    log_snr = model.kernel.schedule.log_snr[ladder]
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
        known = [_information(model.kernel, oracle, raw, x_0.double(), t, seed) for t in ladder]
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
    kernel: Kernel, oracle: Oracle, raw: Tensor, x_0: Tensor, t: Tensor, seed: int
) -> Tensor:
    """log q(x_t | x_0) - log q(x_t) at one x_t for each example, (B,): its mean is I(x_0; x_t).

    Each time draws with the same noise, so that the difference of neighbours, which is what a
    step loses, is known far better than either."""
    if t == 0:
        return -oracle.log_prob(raw)
    at = t.to(x_0.device).expand(len(x_0))
    law = kernel.marginal(x_0, at)
    x_t = law.sample(torch.Generator(x_0.device).manual_seed(seed))
    return total(law.log_prob(x_t)) - oracle.log_prob_t(x_t, kernel, at)


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
