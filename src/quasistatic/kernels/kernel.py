"""The interface of every kernel, and Bayes' rule for all of them."""

__all__ = ["Kernel", "SignalNoise"]

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.printing import ShortRepr
from .._utils.validation import instance_of
from ..distributions import Family, FiniteSupport, OnLattice, RealSupport, Support
from .schedules import Schedule


@dataclass(frozen=True)
class Kernel(ShortRepr, abc.ABC):
    """A reversible Markov kernel with a fixed point pi and closed-form marginals. Base class.

    In every method x has shape (B, *), and s and t are whole-number times of shape (B,) with 0 <= s
    < t <= T.

    To write a kernel, make a frozen dataclass and define the abstract members. What must hold, for
    all s < u < t: two steps compose to one (Chapman-Kolmogorov), pi is reversible (detailed
    balance), and posterior(x_t, x_0, s, t) marginal(x_0, t) = step(x_s, s, t) marginal(x_0, s) at
    every point. `docs/extending.md` has a complete example.

    Args:
        schedule: alpha_bar_t for t = 0, ..., T.
    """

    schedule: Schedule

    def __post_init__(self) -> None:
        instance_of("schedule", self.schedule, Schedule, "schedules.cosine(1000)")

    @property
    def steps(self) -> int:
        """T, the number of steps of the schedule."""
        return self.schedule.steps

    def at(self, table: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """The entries table[t], shaped to broadcast against x.

        Args:
            table: one of the schedule's tables, float64, shape (T + 1,).
            t: shape (B,).
            like: a tensor of shape (B, *); gives the number of axes and the device.

        Returns:
            float64, shape (B, 1, ..., 1).
        """
        return self.schedule.course.on(table, like.device)[t].reshape(-1, *[1] * (like.ndim - 1))

    def log_share(self, s: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """log a = log alpha_bar_t - log alpha_bar_s, float64, shape (B, 1, ..., 1)."""
        table = self.schedule.log_alpha_bar
        return self.at(table, t, like) - self.at(table, s, like)

    @property
    @abc.abstractmethod
    def binary(self) -> bool:
        """Whether each value of x is 0 or 1, independently of the others given x_0. One-hot values
        are not."""

    @property
    def support(self) -> Support:
        """The values that x_t can take."""
        bits = torch.tensor([0.0, 1.0], dtype=torch.float64)
        return FiniteSupport(bits) if self.binary else RealSupport()

    def accepts(self, levels: Tensor | None) -> bool:
        """Whether the kernel can diffuse data whose values are independent of each other.

        Args:
            levels: the values that each value of x_0 can take, shape (L,); None for any real
                number.

        Returns:
            False also if x_0 needs a special kernel: then the space itself says so
                (:meth:`Space.require`).
        """
        return not self.binary or (levels is not None and levels.tolist() == [0.0, 1.0])

    def valid_state(self, like: Tensor) -> Tensor:
        """Some value of x that can occur, with the shape of `like` (B, *). It fills missing
        values."""
        return torch.zeros_like(like)

    @property
    def homogeneous(self) -> bool:
        """Whether all values of an example diffuse by the same law, so that a random subset of them
        represents all."""
        return True

    def evaluation_density(self, ends: Tensor) -> Tensor:
        """How a bound that takes fewer evaluations than it has terms spreads them over the terms,
        when nothing was measured.

        Args:
            ends: the times between which the terms lie, with shape (terms + 1,), rising.

        Returns:
            Shares that sum to 1, with shape (terms,), in float64; equal ones by default.
        """
        terms = len(ends) - 1
        return torch.full((terms,), 1 / terms, dtype=torch.float64)

    @abc.abstractmethod
    def prior(self, like: Tensor) -> Family:
        """The fixed point pi, the law of x_T that a model starts from (SD15 Eq. 1).

        Args:
            like: a tensor of shape (B, *); gives shape, type and device.
        """

    @abc.abstractmethod
    def marginal(self, x_0: Tensor, t: Tensor) -> Family:
        """The law q(x_t | x_0).

        Args:
            x_0: shape (B, *).
            t: shape (B,).
        """

    @abc.abstractmethod
    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Family:
        """The law q(x_t | x_s) (SD15 Eq. 2). By detailed balance it is also the law of x_s given
        x_t if the data have the law pi.

        Args:
            x_s: shape (B, *).
            s: shape (B,).
            t: shape (B,).
        """

    def mean_step_entropy(self, mean: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """The entropy of q(x_t | x_s), averaged over x_s. For each kernel it is affine in x_s: a
        constant for a real value, and any function of a bit.

        Args:
            mean: E[x_s], shape (B, *).
            s: the earlier time, shape (B,).
            t: the later time, shape (B,).

        Returns:
            Shape (B, *), in nats.
        """
        zero, one = (self.step(x, s, t).entropy() for x in (0 * mean, 0 * mean + 1))
        return zero + (one - zero) * mean

    @abc.abstractmethod
    def likelihood_tilt(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The likelihood x_s -> log q(x_t | x_s), as the coefficients of a tilt.

        Args:
            x_t: shape (B, *).
            s: shape (B,).
            t: shape (B,).

        Returns:
            `linear` and `precision`, shape (B, *) each: the log-likelihood is linear x_s -
                precision x_s^2 / 2 up to a constant.
        """

    def posterior(self, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor) -> Family:
        """The law q(x_s | x_t, x_0), by Bayes' rule: the marginal at s, tilted by the likelihood of
        x_t (DDPM Eq. 6).

        Args:
            x_t: shape (B, *).
            x_0: shape (B, *).
            s: shape (B,).
            t: shape (B,).
        """
        return self.marginal(x_0, s).tilt(*self.likelihood_tilt(x_t, s, t))

    @abc.abstractmethod
    def bridge(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor) -> Family:
        """A reverse step from a law of x_0: the mixture of q(x_s | x_t, x_0) over that law, or
        rather the member of the kernel's family with the same mean and variance. It is exact if the
        law of x_0 is a member of the kernel's own family.

        Args:
            x_t: shape (B, *).
            denoised: the law of x_0 given x_t, a batch (B, *).
            s: shape (B,).
            t: shape (B,).
        """

    def kept(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor, eta: float) -> Family:
        """A reverse step that keeps more of x_t than the bridge does (DDIM Eq. 12).

        Given x_0 it has the marginals q(x_s | x_0) for x_t ~ q(x_t | x_0), as the bridge has; here
        it is averaged over a law of x_0.

        Args:
            x_t: shape (B, *).
            denoised: the law of x_0 given x_t, a batch (B, *).
            s: shape (B,).
            t: shape (B,).
            eta: from 0, which draws as little as may be, to 1, which is the bridge.

        Raises:
            TypeError: if the kernel does not define it.
        """
        raise TypeError(f"{type(self).__name__} has no kept steps: use the Ancestral stepper")

    def mixture(self, x_t: Tensor, denoised: OnLattice, s: Tensor, t: Tensor) -> Family:
        """The exact mixture of q(x_s | x_t, x_0) over a law of x_0 on finitely many values.
        Optional: the head `Exact` needs it, together with `mixture_divergence`.

        Args:
            x_t: shape (B, *).
            denoised: the law of x_0 given x_t.
            s: shape (B,).
            t: shape (B,).

        Raises:
            TypeError: if the kernel does not define it.
        """
        raise TypeError(
            f"{type(self).__name__} has no exact mixture of steps: use the Levels head without "
            "Exact"
        )

    def mixture_divergence(
        self, x_t: Tensor, x_0: Tensor, denoised: OnLattice, s: Tensor, t: Tensor
    ) -> Tensor:
        """KL(q(x_s | x_t, x_0) || mixture(x_t, denoised, s, t)), shape (B, *), in nats.

        Raises:
            TypeError: if the kernel does not define it.
        """
        raise TypeError(
            f"{type(self).__name__} has no exact mixture of steps: use the Levels head without "
            "Exact"
        )

    @abc.abstractmethod
    def divergence(
        self, x_t: Tensor, x_0: Tensor, denoised: Family, s: Tensor, t: Tensor
    ) -> Tensor:
        """KL(q(x_s | x_t, x_0) || bridge(x_t, denoised, s, t)): a term of the bound.

        For real-valued x it needs s >= 1, as x_0 itself has no variance.

        Args:
            x_t: shape (B, *).
            x_0: shape (B, *).
            denoised: the law of x_0 given x_t.
            s: shape (B,).
            t: shape (B,).

        Returns:
            Shape (B, *), in nats.
        """

    @abc.abstractmethod
    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Family:
        """A reverse step with the variance that follows from Var[x_0 | x_t]; a family that is
        determined by its mean alone is returned as it is.

        Args:
            p: a law of x_s given x_t.
            variance: Var[x_0 | x_t], broadcasting to (B, *).
            s: shape (B,).
            t: shape (B,).
        """

    @abc.abstractmethod
    def from_moments(self, mean: Tensor, variance: Tensor) -> Family:
        """The member of the kernel's family with this mean and variance; the variance is ignored by
        a family that is determined by its mean alone.

        Args:
            mean: shape (B, *).
            variance: shape (B, *).
        """

    @abc.abstractmethod
    def conditional_variance(self, mean: Tensor, t: Tensor) -> Tensor:
        """Var[x_0 | x_t] for a given mean E[x_0 | x_t], if the data had the law pi.

        Args:
            mean: shape (B, *).
            t: shape (B,).

        Returns:
            Shape (B, *).
        """

    @abc.abstractmethod
    def propagate_likelihood(
        self, y: Tensor, variance: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The likelihood of an observation at time t: log E[N(y; x_0, variance) | x_t] as a tilt of
        x_t, with the expectation over x_0 if the data had the law pi.

        Args:
            y: the observed values, shape (B, *).
            variance: of the observation's noise, shape (B, *). 0 means that x_0 = y is known,
                infinity that nothing is.
            t: shape (B,).

        Returns:
            `linear`, `precision` and `constant`, shape (B, *) each: the log-likelihood is linear
                x_t - precision x_t^2 / 2 + constant.
        """


class SignalNoise(Kernel):
    """A kernel with x_t = signal x_0 + noise eps, where eps has unit variance. Heads and methods
    that need these two scales ask for this type."""

    @abc.abstractmethod
    def signal(self, t: Tensor, like: Tensor) -> Tensor:
        """sqrt(alpha_bar_t), in the type of `like`, shape (B, 1, ..., 1)."""

    @abc.abstractmethod
    def noise(self, t: Tensor, like: Tensor) -> Tensor:
        """sqrt(1 - alpha_bar_t), in the type of `like`, shape (B, 1, ..., 1)."""
