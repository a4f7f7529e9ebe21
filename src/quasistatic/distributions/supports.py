"""Supports: the values that a variable can take, known before any parameter of its law."""

__all__ = [
    "FiniteSupport",
    "IntegerSupport",
    "OneHotSupport",
    "ProductSupport",
    "RealSupport",
    "Support",
]

from dataclasses import dataclass

from torch import Tensor

from .groups import OneHotGroups


@dataclass(frozen=True)
class Support:
    """The values that a variable can take: the base class of the five kinds below.

    An algorithm that has to list values, such as a code, asks for the support and not for the
    family of the law.
    """


@dataclass(frozen=True)
class FiniteSupport(Support):
    """One of finitely many real numbers.

    Args:
        values: ascending, with shape (L,).
    """

    values: Tensor


@dataclass(frozen=True)
class OneHotSupport(Support):
    """One-hot values: the classes of each group side by side.

    Args:
        groups: which neighbouring values form one class variable.
    """

    groups: OneHotGroups


@dataclass(frozen=True)
class RealSupport(Support):
    """Any real number. For raw data, x_0 is an increasing function of each raw value alone."""


@dataclass(frozen=True)
class IntegerSupport(Support):
    """Whole numbers of a range. x_0 is an increasing function of each of them.

    Args:
        low: the smallest number of each value of an example.
        high: the largest number of each value of an example.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True)
class ProductSupport(Support):
    """The supports of the parts of a product, side by side along the last axis.

    Args:
        parts: the support of each part.
        widths: how many values of an example each part has.
    """

    parts: tuple[Support, ...]
    widths: tuple[int, ...]
