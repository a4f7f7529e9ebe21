"""What values a variable can take: the part of a law that is known before any of its parameters."""

__all__ = ["Finite", "Grouped", "Integral", "Reals", "Support"]

from dataclasses import dataclass

from torch import Tensor

from .groups import Groups


@dataclass(frozen=True)
class Support:
    """The values that a variable can take. A reader of laws that has to list values, as a code
    does, asks for it, and not for a family."""


@dataclass(frozen=True)
class Finite(Support):
    """One of finitely many reals.

    Args:
        values: ascending, with shape (L,).
    """

    values: Tensor


@dataclass(frozen=True)
class Grouped(Support):
    """One-hot values, the classes of each group side by side."""

    groups: Groups


@dataclass(frozen=True)
class Reals(Support):
    """Any real number. Where raw values are reals, x_0 rises with each of them and has no other
    say in it."""


@dataclass(frozen=True)
class Integral(Support):
    """Whole numbers; x_0 rises with them.

    Args:
        low, high: the least and the largest of each value of an example.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
