"""Checks of arguments: each error says what is wrong, what was passed and what to do."""

__all__ = [
    "as_array",
    "as_tensor",
    "instance_of",
    "nearest",
    "number_within",
    "numbers_of",
    "unmasked",
    "whole_number",
    "whole_numbers",
]

import math
import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .naming import nearest


def as_array(x: object, shape: tuple[int, ...], name: str = "x") -> Tensor:
    """A tensor of finite numbers with a given shape for each example.

    Args:
        x: an array of shape (B, *shape) with B >= 1.
        shape: of one example.
        name: what an error message calls x.

    Returns:
        A tensor with the dtype of x.

    Raises:
        TypeError: if x is not an array of real numbers.
        ValueError: if it is empty, has another shape, or holds NaN or infinity.
    """
    array = as_tensor(x, name)
    if array.is_complex():
        raise TypeError(f"{name} must be real, got {array.dtype}: pass real and imaginary parts")
    if tuple(array.shape[1:]) != tuple(shape) or array.ndim == 0:
        raise ValueError(
            f"{name} must have shape (examples, {', '.join(map(str, shape))}), got "
            f"{tuple(array.shape)}: reshape the data, or build the space with their shape"
        )
    if len(array) == 0:
        raise ValueError(f"{name} is empty: pass at least one example")
    finite = array.isfinite()
    if not finite.all():
        where = tuple((~finite).nonzero()[0].tolist())
        raise ValueError(
            f"{name} holds {array[where].item()} at {where} (first of {int((~finite).sum())}): "
            "remove such rows, or fill them and hide them with a mask"
        )
    return array


def as_tensor(x: object, name: str = "x") -> Tensor:
    """A tensor of any shape and dtype.

    Args:
        x: an array. The masked values of a masked array of NumPy become NaN.
        name: what an error message calls x.

    Raises:
        TypeError: if x is not an array of numbers.
    """
    if isinstance(x, Tensor):
        return x
    try:
        array = np.asarray(unmasked(x))
        # torch shares the memory of an array where it can. It warns about read-only arrays and
        # refuses negative strides and a foreign byte order, so those are copied.
        shared = (
            array.flags.writeable and array.dtype.isnative and min(array.strides, default=0) >= 0
        )
        return torch.as_tensor(
            array if shared else array.astype(array.dtype.newbyteorder("="), order="C")
        )
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must be an array of numbers, got {type(x).__name__}: {error}"
        ) from None


def unmasked(x: Any) -> Any:
    """A masked array of NumPy as an array whose masked values are missing: NaN in numbers, which
    are float64 then unless they were floats, and None in objects. Anything else as it is."""
    if not isinstance(x, np.ma.MaskedArray) or x.dtype.names:
        return x
    if not np.ma.is_masked(x):
        return np.ma.getdata(x)
    if x.dtype.kind in "iub":
        x = x.astype(np.float64)
    return np.ma.filled(x, np.nan) if x.dtype.kind in "fc" else np.ma.filled(x.astype(object), None)


def whole_number(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number within a range.

    Args:
        name: what an error message calls it.
        value: to be checked.
        least: the smallest that is allowed.
        most: the largest that is allowed; None for no limit.

    Raises:
        TypeError: if it is not a whole number.
        ValueError: if it is out of range.
    """
    limits = f"at least {least}" if most is None else f"from {least} to {most:,}"
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a whole number {limits}, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number {limits}, got {value!r}") from None
    if number < least or number > (2**63 - 1 if most is None else most):
        raise ValueError(f"{name} must be a whole number {limits}, got {value!r}")
    return number


def whole_numbers(name: str, values: Any, least: int = 1) -> tuple[int, ...]:
    """Several whole numbers; one number counts as one of them.

    Raises:
        TypeError: if one of them is not a whole number.
        ValueError: if one is smaller than `least`.
    """
    several = isinstance(values, Iterable) and getattr(values, "ndim", 1) > 0
    if isinstance(values, str) or not several:
        values = (values,)
    return tuple(whole_number(name, value, least) for value in values)


def number_within(
    name: str, value: Any, low: float, high: float = math.inf, ends: str = "[]"
) -> None:
    """Checks a real number.

    Args:
        name: what an error message calls it.
        value: to be checked.
        low: the lower end of its range.
        high: the upper end.
        ends: "[" or "(" and "]" or ")": whether each end belongs to the range. Infinity never does.

    Raises:
        TypeError: if it is not a number.
        ValueError: if it is out of range or not finite.
    """
    limits = f"{ends[0]}{low:g}, {high:g}{ends[1] if high < math.inf else ')'}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number in {limits}, got {value!r}")
    number = float(value)
    above = number >= low if ends[0] == "[" else number > low
    below = number <= high if ends[1] == "]" else number < high
    if not (above and below and math.isfinite(number)):
        raise ValueError(f"{name} must be a number in {limits}, got {value!r}")


def instance_of(name: str, value: object, kind: type | tuple[type, ...], example: str) -> None:
    """Checks the type of an argument.

    Raises:
        TypeError: if it is not an instance of `kind`, or of one of several; the message gives the
            example.
    """
    if not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or a ".join(each.__name__ for each in kinds)
        raise TypeError(f"{name} must be a {wanted} such as {example}, got {got[:80]}")


def numbers_of(name: str, values: Any) -> Tensor:
    """A number or nested numbers as a float64 tensor; they may be infinite or NaN.

    Raises:
        TypeError: if they are not numbers, or are nested unevenly.
    """
    try:
        return torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{name} must be a number, or numbers nested as the data are, got {str(values)[:80]!r}"
        ) from None
