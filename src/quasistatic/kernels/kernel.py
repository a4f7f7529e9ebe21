r"""What every kernel is: its formulas between any two times, and Bayes, written once."""

__all__ = ["Kernel", "SignalNoise"]

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Family, Finite, OnLattice, Reals, Support
from .schedules import Schedule


@dataclass(frozen=True)
class Kernel(abc.ABC):
    r"""A reversible Markov kernel with fixed point pi and closed-form marginals.

    x has shape (B, *); s and t are integer times with shape (B,), 0 <= s < t <= T.
    """

    schedule: Schedule

    @property
    def steps(self) -> int:
        """T, the number of steps of the schedule."""
        return self.schedule.steps

    def at(self, table: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """table[t] in float64, shaped (B, 1, ...) to broadcast against `like`."""
        return self.schedule.course.on(table, like.device)[t].reshape(-1, *[1] * (like.ndim - 1))

    def log_share(self, s: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """log a = log alpha_bar_t - log alpha_bar_s, in float64, shaped (B, 1, ...)."""
        table = self.schedule.log_alpha_bar
        return self.at(table, t, like) - self.at(table, s, like)

    @property
    @abc.abstractmethod
    def binary(self) -> bool:
        """Whether each value of x is 0 or 1; otherwise some are real numbers."""

    @property
    def support(self) -> Support:
        """The values that each of x_t can take."""
        bits = torch.tensor([0.0, 1.0], dtype=torch.float64)
        return Finite(bits) if self.binary else Reals()

    def accepts(self, levels: Tensor | None) -> bool:
        """Whether x_0 can be data of which each value by itself is one of `levels` (L,), or a real
        number (None)."""
        return not self.binary or (levels is not None and levels.tolist() == [0.0, 1.0])

    def anywhere(self, like: Tensor) -> Tensor:
        """Some x that can be, with the shape of `like` (B, *)."""
        return torch.zeros_like(like)

    @property
    def alike(self) -> bool:
        """Whether all values of an example diffuse alike, so that some may be looked at alone."""
        return True

    @abc.abstractmethod
    def prior(self, like: Tensor) -> Family:
        r"""pi(x_T), the kernel's fixed point, with the shape of `like` (SD15 Eq. 1)."""

    @abc.abstractmethod
    def marginal(self, x_0: Tensor, t: Tensor) -> Family:
        r"""q(x_t | x_0)."""

    @abc.abstractmethod
    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Family:
        r"""q(x_t | x_s) (SD15 Eq. 2). By detailed balance also the law that x_s would have,
        given x_t, if the data were pi."""

    @abc.abstractmethod
    def evidence(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        r"""The (linear, precision) of x_s -> log q(x_t | x_s)."""

    def posterior(self, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor) -> Family:
        r"""q(x_s | x_t, x_0) by Bayes: the marginal, tilted by what x_t says (DDPM Eq. 6)."""
        return self.marginal(x_0, s).tilt(*self.evidence(x_t, s, t))

    @abc.abstractmethod
    def bridge(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor) -> Family:
        r"""The mixture of q(x_s | x_t, x_0) over a belief about x_0: the member of the kernel's
        family with that mixture's mean and variance. Exact for the family's own members."""

    def kept(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor, eta: float) -> Family:
        r"""A law of x_s given x_t that keeps more of x_t than the bridge does (Song et al. 2021a).

        Given x_0 it has the marginals q(x_s | x_0) for x_t ~ q(x_t | x_0), as the bridge has; here
        it is averaged over a law of x_0. eta = 1 is the bridge; eta = 0 draws as little as may be.

        Raises:
            TypeError: if the kernel has no such law.
        """
        raise TypeError(f"{type(self).__name__} has no kept steps: use the Ancestral stepper")

    def mixture(self, x_t: Tensor, belief: OnLattice, s: Tensor, t: Tensor) -> Family:
        r"""The mixture of q(x_s | x_t, x_0) over a belief on finitely many values, itself. A kernel
        may leave this out and `mixture_divergence` with it: no `Exact` head walks it then."""
        raise TypeError(f"{type(self).__name__} mixes no steps: use the Levels head without Exact")

    def mixture_divergence(
        self, x_t: Tensor, x_0: Tensor, belief: OnLattice, s: Tensor, t: Tensor
    ) -> Tensor:
        r"""KL(q(x_s | x_t, x_0) || mixture(x_t, belief, s, t)), with shape (B, *), in nats."""
        raise TypeError(f"{type(self).__name__} mixes no steps: use the Levels head without Exact")

    @abc.abstractmethod
    def divergence(self, x_t: Tensor, x_0: Tensor, belief: Family, s: Tensor, t: Tensor) -> Tensor:
        r"""KL(q(x_s | x_t, x_0) || bridge(x_t, belief, s, t)), with shape (B, *), in nats.
        Needs s >= 1 on the real line, where x_0 itself has no spread."""

    @abc.abstractmethod
    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Family:
        r"""A step p(x_s | x_t) with the spread that Var[x_0 | x_t] = variance gives it; a family
        that its mean alone determines is left as it is."""

    @abc.abstractmethod
    def member(self, mean: Tensor, variance: Tensor) -> Family:
        r"""The member of the kernel's family with those moments, (B, *); one that its mean alone
        determines has the mean."""

    @abc.abstractmethod
    def doubt(self, mean: Tensor, t: Tensor) -> Tensor:
        r"""Var[x_0 | x_t] where E[x_0 | x_t] = mean (B, *), if the data were pi."""

    @abc.abstractmethod
    def lift(self, y: Tensor, variance: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""What r(x_0) = N(y; x_0, variance) says at time t, if the data were pi: the (linear,
        precision, constant) of x_t -> log E[r(x_0) | x_t]. variance may be 0 (x_0 is known to
        be y) or infinite (nothing is known, r = 1)."""


class SignalNoise(Kernel):
    r"""The capability of a kernel with x_t = signal x_0 + noise eps, eps of unit variance."""

    @abc.abstractmethod
    def signal(self, t: Tensor, like: Tensor) -> Tensor:
        """sqrt(alpha_bar_t), shaped (B, 1, ...)."""

    @abc.abstractmethod
    def noise(self, t: Tensor, like: Tensor) -> Tensor:
        """sqrt(1 - alpha_bar_t), shaped (B, 1, ...)."""
