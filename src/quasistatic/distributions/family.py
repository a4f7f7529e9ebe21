"""The interface of every family of distributions."""

__all__ = ["Family", "times", "total"]

import abc
from dataclasses import fields
from typing import Any, ClassVar, Self

import torch
from torch import Tensor


def total(x: Tensor) -> Tensor:
    """Sum over every axis but the batch.

    Args:
        x: shape (B, *).

    Returns:
        Shape (B,).
    """
    return x.flatten(1).sum(1)


class Family(abc.ABC):
    """A batch of scalar random variables, each from one exponential family. Base class.

    The batch has shape (B, *). Log-probabilities, entropies and divergences are in nats. The
    scalars are independent, with one exception: the one-hot values of a class
    (:class:`Categorical`) belong together, and what a method returns for one of them is its share,
    so that the shares of a group add up to the group's value.

    To write a family, make a frozen dataclass whose fields are tensors (:meth:`to` relies on it)
    and define the abstract members and `variance`. What must hold: `tilt` is exact at every x, and
    `entropy` and `kl` are the expectations that their names say.
    """

    variance: Tensor
    """Var[x], broadcasting to (B, *)."""

    binary: ClassVar[bool] = False
    """Whether each variable is 0 or 1."""

    @property
    def independent_parts(self) -> tuple["Family", ...]:
        """The laws that lie side by side in this one: the law itself, or the parts of a
        :class:`Product`."""
        return (self,)

    @property
    @abc.abstractmethod
    def mean(self) -> Tensor:
        """E[x], shape (B, *)."""

    @abc.abstractmethod
    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        """One exact draw of each scalar.

        Args:
            rng: the generator of the random numbers; None takes PyTorch's global one.

        Returns:
            Shape (B, *).
        """

    @abc.abstractmethod
    def icdf(self, u: Tensor) -> Tensor:
        """The inverse of the cumulative distribution function.

        Args:
            u: shape (B, *), within (0, 1). A uniform u gives a draw; evenly spaced u give evenly
                spaced quantiles.

        Returns:
            Shape (B, *).
        """

    @abc.abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density, or the log-probability of a discrete value.

        Args:
            x: shape (B, *).

        Returns:
            Shape (B, *), in nats.
        """

    @abc.abstractmethod
    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        """log P(lower < x <= upper).

        Args:
            lower: shape (B, *); may be minus infinity.
            upper: shape (B, *); may be infinity.

        Returns:
            Shape (B, *), in nats.
        """

    @abc.abstractmethod
    def entropy(self) -> Tensor:
        """The entropy -E[log p(x)] of each scalar, shape (B, *), in nats."""

    @abc.abstractmethod
    def kl(self, other: Any) -> Tensor:
        """The Kullback-Leibler divergence KL(self || other) of each scalar.

        Args:
            other: a member of the same family, with the same shape.

        Returns:
            Shape (B, *), in nats.
        """

    @abc.abstractmethod
    def log_partition(self) -> Tensor:
        """The logarithm of the normaliser Z: a tilt multiplies the density by exp(linear x -
        precision x^2 / 2) and divides it by Z' / Z, where Z' belongs to the tilted member.

        Returns:
            Shape (B, *), in nats.
        """

    @abc.abstractmethod
    def tilt(self, linear: Tensor, precision: Tensor) -> Self:
        """The member proportional to p(x) exp(linear x - precision x^2 / 2), exactly.

        Args:
            linear: shape (B, *).
            precision: shape (B, *).

        Returns:
            A member of the same family.
        """

    @property
    def natural(self) -> tuple[Tensor, Tensor]:
        """The natural parameters: the linear term and the precision, each (B, *), of which a tilt
        adds to.

        Raises:
            TypeError: if the distribution is in no exponential family with these.
        """
        raise TypeError(
            f"{type(self).__name__} has no natural parameters, so it cannot be guided: use the "
            "head that the network was trained with"
        )

    def extrapolate(self, other: Any, weight: Tensor) -> Self:
        """The member with natural parameters (1 + weight) of this one less weight of the other:
        proportional to p(x)^(1 + weight) other(x)^(-weight). It is a tilt.

        Args:
            other: a member of the same family, with the same shape.
            weight: broadcasting to (B, *), -1 or more.
        """
        ours, theirs = self.natural, other.natural
        return self.tilt(*(weight * _minus(a, b) for a, b in zip(ours, theirs, strict=True)))

    def all_in_group(self, mask: Tensor) -> Tensor:
        """Whether the mask is True for all scalars that belong to one variable.

        The one-hot values of a class can only be replaced together. A family of independent scalars
        returns the mask as it is.

        Args:
            mask: booleans, shape (B, *).

        Returns:
            Booleans, shape (B, *).
        """
        return mask

    def to(self, dtype: torch.dtype) -> Self:
        """The same member with its parameters in another floating type.

        Args:
            dtype: of the new parameters.

        Returns:
            A member of the same family.
        """
        return type(self)(*(getattr(self, field.name).to(dtype) for field in fields(self)))  # type: ignore[arg-type]


def _minus(a: Tensor, b: Tensor) -> Tensor:
    """a - b; 0 where both are the same infinity."""
    return torch.where(a == b, 0.0, a - b)


def times(p: Tensor, log_q: Tensor) -> Tensor:
    """p log q, where 0 log 0 = 0 and has a gradient of 0."""
    zero = p == 0
    return torch.where(zero, 0.0, p * torch.where(zero, 0.0, log_q))
