"""The interface of conditions."""

__all__ = ["Condition"]

import abc

import torch
from torch import Tensor

from .._utils.randomness import uniform


class Condition(abc.ABC):
    """What y of p(x | y) is: it checks values of y and turns them into numbers for a network.

    The code of a value is a row of `width` numbers. A row of zeros means that y is not given, so
    that one network gives p(x | y) and p(x).

    To write one of your own, make a frozen dataclass with `width`, :meth:`encode` and
    :meth:`values`.
    """

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """The numbers of a code."""

    @property
    def parts(self) -> tuple[tuple[int, "Condition"], ...]:
        """Where the code of each part begins, and the part: a condition has one part, itself."""
        return ((0, self),)

    @abc.abstractmethod
    def encode(self, y: object) -> Tensor:
        """The codes of values of y, checked.

        Args:
            y: one value, or N of them.

        Returns:
            Shape (1, width) for one value and (N, width) for N, float64.

        Raises:
            TypeError: if y is of another kind.
            ValueError: if a value is not one of this condition, with its place.
        """

    def values(self) -> Tensor:
        """The codes of all values that y can have, shape (values, width), float64.

        Raises:
            TypeError: if there are not finitely many.
        """
        raise TypeError(
            f"{type(self).__name__} has no finite list of values: only a ClassLabel can be "
            "classified by Bayes' rule"
        )

    def text(self, code: Tensor) -> str:
        """A value for people to read, from its code (width,)."""
        return ", ".join(f"{number:g}" for number in code.tolist())

    def dropped(self, code: Tensor, share: float, rng: torch.Generator | None) -> Tensor:
        """Codes in which the condition is removed from a share of the examples.

        With several parts, as many examples again lose each part with probability 1/2, so that the
        network also learns to use some parts alone.

        Args:
            code: shape (B, width).
            share: the probability that an example loses all parts.
            rng: draws which.

        Returns:
            Shape (B, width).
        """
        parts = self.parts
        u = uniform((len(code), 1 + len(parts)), rng, code)
        kept = (u[:, :1] >= share).to(code)
        if len(parts) == 1:
            return code * kept
        some = u[:, :1] < 2 * share
        each = [
            torch.where(some, u[:, k : k + 1] < 0.5, True).expand(-1, part.width)
            for k, (_, part) in enumerate(parts, 1)
        ]
        return code * kept * torch.cat(each, 1).to(code)
