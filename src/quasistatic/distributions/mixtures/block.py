"""The interface of a block of a mixture: the distribution of some values given the component."""

__all__ = ["Block", "Evidence", "Moments", "NoiseLevel"]

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from .given_others import UnitLaws
from .row_draws import Draws


@dataclass(frozen=True, eq=False)
class NoiseLevel:
    """The noise level of the forward process, for each of B rows.

    Args:
        signal: what x_0 of a real value is multiplied by, with shape (B, 1).
        noise: the deviation of the Gaussian noise that is added to it, with shape (B, 1).
        keep: the probability that a class has been kept, with shape (B, 1).
        log_pi: the log-probabilities of classes that replace those not kept, with shape (V,).
    """

    signal: Tensor
    noise: Tensor
    keep: Tensor
    log_pi: Tensor

    def rows(self, index: Tensor | slice) -> "NoiseLevel":
        """The levels of some rows."""
        return NoiseLevel(self.signal[index], self.noise[index], self.keep[index], self.log_pi)

    def to(self, like: Tensor) -> "NoiseLevel":
        """The same numbers in the type and on the device of a tensor."""
        return NoiseLevel(*(getattr(self, name).to(like) for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Moments:
    """The mean and variance of each value of x_0 given x_t; each field has shape (B, W).

    Args:
        mean: E[x_0 | x_t].
        variance: Var[x_0 | x_t].
        log_prior: for the one-hot values of a class, the log-probability of the class given all
            other columns of x_t. Zero for real values.
    """

    mean: Tensor
    variance: Tensor
    log_prior: Tensor

    @classmethod
    def side_by_side(cls, each: Sequence["Moments"]) -> "Moments":
        """The moments of several blocks as one."""
        names = cls.__dataclass_fields__
        return cls(*(torch.cat([getattr(one, name) for one in each], 1) for name in names))


class Evidence(abc.ABC):
    """The likelihood of each component, given the observed or noisy values of a block.

    `log_p` (K, B, C) is log p(x_t | k) of each of the C independent columns of the block; a column
    that is not observed has 0.
    """

    log_p: Tensor

    @property
    def total(self) -> Tensor:
        """log p(x_t | k) of all columns together, with shape (K, B)."""
        if self.log_p.shape[2] == 1:
            return self.log_p[:, :, 0]
        return self.log_p @ self.log_p.new_ones(self.log_p.shape[2])

    @abc.abstractmethod
    def moments(self, log_joint: Tensor) -> Moments:
        """The moments of x_0 given all of x_t.

        Args:
            log_joint: log p(k, x_t) of all columns, with shape (K, B).
        """


class Block(abc.ABC):
    """The distribution of W values given each of K components. Given the component, these values
    are independent of those of other blocks. NaN marks a value that is not observed."""

    @property
    @abc.abstractmethod
    def components(self) -> int:
        """K, the number of components."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """W, the number of values."""

    @property
    @abc.abstractmethod
    def columns(self) -> int:
        """C, the number of columns that are independent given the component."""

    @abc.abstractmethod
    def to(self, like: Tensor) -> Self:
        """The same numbers in the type and on the device of a tensor."""

    @abc.abstractmethod
    def picked(self, index: Tensor) -> Self:
        """The block with the components of an index (k,) only."""

    @classmethod
    @abc.abstractmethod
    def joined(cls, blocks: Sequence[Any]) -> Self:
        """One block that has the components of several, in their order."""

    def arranged(self, x: Tensor) -> Any:
        """Precomputes the part of :meth:`evidence` that depends on rows x (B, W) of x_0 alone."""
        return None

    @abc.abstractmethod
    def evidence(
        self, x: Tensor, level: NoiseLevel | None = None, arranged: Any = None
    ) -> Evidence:
        """The likelihood of each component.

        Args:
            x: rows with shape (B, W): x_t if a noise level is given, else x_0.
            level: the noise level of x_t.
            arranged: the result of :meth:`arranged` for these rows; None computes it.
        """

    @abc.abstractmethod
    def given_others(self, x: Tensor) -> UnitLaws:
        """Each unit of rows x (B, W) of x_0 given the component and the other observed units."""

    @abc.abstractmethod
    def complete(self, x: Tensor, k: Tensor, draws: Draws) -> Tensor:
        """Draws x_0 given the component and the observed values, which are copied.

        Args:
            x: rows with shape (B, W).
            k: the component of each draw, with shape (B, n).
            draws: the source of random numbers.

        Returns:
            Shape (B, n, W).
        """

    @abc.abstractmethod
    def table_size(self, x: Tensor) -> Tensor:
        """How many numbers :meth:`evidence` stores for each row of x (B, W), with shape (B,)."""
