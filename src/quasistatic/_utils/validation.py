"""Bad input, caught at the door: each error says what, what it got, and what to do."""

__all__ = ["as_array", "as_tensor", "nearest"]

import numpy as np
import torch
from torch import Tensor

from .naming import nearest


def as_array(x: object, shape: tuple[int, ...], name: str = "x") -> Tensor:
    """x as a tensor of finite numbers with shape (B, *shape) and B >= 1; its dtype is kept.

    Raises:
        TypeError: if x is no array of real numbers.
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
    """x as a tensor of any shape and dtype.

    Raises:
        TypeError: if x is no array of numbers.
    """
    if isinstance(x, Tensor):
        return x
    try:
        array = np.asarray(x)
        # torch shares the memory, where it can: it warns of what is read-only, and cannot run
        # backwards or read bytes in another machine's order.
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
