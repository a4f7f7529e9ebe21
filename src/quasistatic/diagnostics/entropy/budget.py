r"""An entropy budget: entropies of steps, and what follows from them for the likelihood."""

__all__ = ["EntropyBudget", "Estimate"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """Means over examples and their standard errors, of one shape, in nats an example.

    Args:
        mean: the means.
        stderr: the standard errors. NaN for one example, and zero where nothing was estimated.
    """

    mean: Tensor
    stderr: Tensor

    @classmethod
    def over(cls, values: Tensor) -> "Estimate":
        """From a value for each example, with shape (N, *)."""
        deviation = values.std(0) if len(values) > 1 else torch.full_like(values[0], math.nan)
        return cls(values.mean(0), deviation / len(values) ** 0.5)

    def __repr__(self) -> str:
        if self.mean.ndim:
            return f"{self.mean.numel()} estimates, {self.mean.sum().item():.4g} nats in all"
        return f"{self.mean.item():.4g} ± {self.stderr.item():.2g} nats"


@dataclass(frozen=True)
class EntropyBudget:
    r"""Entropies of the n steps of a chain, from t to s, and quantities at its n + 1 times, in nats
    an example, in float64. Times ascend: step k leads from times[k + 1] to times[k].

    Values on a continuum have no finite entropy at t = 0: their chain ends at the first time t_1.
    Values with levels have one: their chain ends at times[0] = 0, where H_q(X_0 | X_0) = 0. In a
    table with values of both kinds, times[0] is 0, and the step from t_1 to 0 leaves the values on
    a continuum as they are.

    Args:
        times: the times between which the steps lie, with shape (n + 1,).
        log_snr: of each, with shape (n + 1,); infinite at t = 0.
        noise: H_q(X_t | X_0) at each time, with shape (n + 1,).
        forward: H_q(X_t | X_s) of each step, with shape (n,).
        lower: the left side of SD15 Eq. 24, with shape (n,). It equals H_q(X_s | X_t, X_0).
        upper: H_q(X_t | X_s) + E log pi(x_t) - E log pi(x_s), with shape (n,). At s = 0 it is
            E[-log p(raw | x_t)] of the forward step in reverse, over draws of x_t. The two are the
            same for bits under their own kernel. Where x_0 has levels and x_t has none, no second
            law relates the two, and this one is a bound by Gibbs' inequality.
        cross_entropy: E[-log p(x_s | x_t)] of the model's step, with shape (n,).
        rate: an upper bound on I(x_0; x_t) at each time, with shape (n + 1,): the prior's KL and
            those of the steps above t.
        bound: K, the model's bound on its mean log-likelihood of the raw data, a single number: the
            same as that of :func:`quasistatic.likelihood.bound`.
        information: I(x_0; x_t) itself where an oracle knows it, with shape (n + 1,); at t = 0
            the entropy of the data.
        truth: H_q(X_s | X_t) by that oracle, with shape (n,).
        lost: cross_entropy - truth, with shape (n,): what the model's error costs in each step.
        dims: the number of values in an example.
        examples: the number of examples.
    """

    times: Tensor
    log_snr: Tensor
    noise: Tensor
    forward: Tensor
    lower: Tensor
    upper: Estimate
    cross_entropy: Estimate
    rate: Estimate
    bound: Estimate
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
        """upper - lower: the decrease of KL(q(x_t | x_0) || pi) in each step, with shape (n,)."""
        return self.upper.mean - self.lower

    @property
    def ceiling(self) -> float:
        """An upper bound on E log q(x), and so on any model's mean log-likelihood, where x is where
        the chain ends (see the class): -H_q(X_T | X_0) - sum(lower - forward), in nats an example.
        The sum telescopes: for values on a continuum to -H_q(X_1 | X_0), which beta_1 sets, and for
        values with levels to 0."""
        return 0.0 - self.noise[0].item()  # 0.0 - 0.0 is 0.0, where -0.0 would be printed as such

    @property
    def floor(self) -> float:
        """The mean log-likelihood that the best model reaches at least, where the chain ends:
        E log pi(x_T) - sum(upper - forward), in nats an example. It telescopes to E log pi(x_1),
        the score of pi alone."""
        last = self.noise[-1] + self.rate.mean[-1]
        return -(last + (self.upper.mean - self.forward).sum()).item()

    @property
    def reached(self) -> float:
        """The model's bound on its mean log-likelihood where the chain ends,
        E log pi(x_T) - sum(cross_entropy - forward), in nats an example. For data with levels it is
        K. For values on a continuum it is about x_1 on the scale of x_0, and `bound` is K."""
        return -(self.noise[0] + self.rate.mean[0]).item()

    def __repr__(self) -> str:
        return (
            f"{len(self.forward)} steps, {self.examples} examples of {self.dims} values\n"
            f"  K = {self.bound!r} an example\n"
            f"  log-likelihood where the chain ends: at most {self.ceiling:.4g}, the model "
            f"{self.reached:.4g}, pi alone {self.floor:.4g} nats"
        )
