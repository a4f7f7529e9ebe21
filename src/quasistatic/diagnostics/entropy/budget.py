r"""What a budget holds: entropies of steps, and what follows from them for the likelihood."""

__all__ = ["EntropyBudget", "Estimate"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor


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
