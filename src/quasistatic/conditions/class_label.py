"""A condition that is one of several classes."""

__all__ = ["ClassLabel"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._utils.naming import nearest
from .._utils.validation import unmasked, whole_number
from .condition import Condition

TEXT = "UO"
"""The kinds of NumPy arrays that may hold names."""


@dataclass(frozen=True)
class ClassLabel(Condition):
    """y is one of `classes` classes: a number from 0, or a name. Its code is one-hot.

    Args:
        classes: how many there are; 2 or more.
        names: of the classes, in the order of their numbers; by default they have numbers only.

    Raises:
        TypeError: if `classes` is no whole number.
        ValueError: if there are fewer than two, or another number of names, or a name twice.

    Example:
        >>> ClassLabel(3).encode([0, 2]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """

    classes: int
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", whole_number("classes", self.classes, 2))
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        if self.names and len(set(self.names)) != self.classes:
            raise ValueError(
                f"{self.classes} classes need as many different names, got "
                f"{', '.join(self.names)}: name each class once, or leave the names out"
            )

    @property
    def width(self) -> int:
        return self.classes

    def encode(self, y: object) -> Tensor:
        return torch.eye(self.classes, dtype=torch.float64)[self.indices(y)]

    def values(self) -> Tensor:
        return torch.eye(self.classes, dtype=torch.float64)

    def indices(self, y: object) -> Tensor:
        """The numbers of the classes y, shape (1,) for one class and (N,) for N.

        Args:
            y: a number or a name, or N of them; CPU or device.

        Raises:
            TypeError: if y is neither numbers nor names.
            ValueError: if a class was not trained, with its place.
        """
        array = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else unmasked(y))
        if array.ndim > 1:
            raise ValueError(
                f"labels must be one number or have shape (examples,), got {array.shape}: pass the "
                "class of each example, not its one-hot values"
            )
        flat = np.atleast_1d(array)
        if flat.size == 0:
            raise ValueError("no label was given: pass one for each example")
        if flat.dtype.kind in TEXT:
            return torch.tensor([self._index_of(each) for each in flat.tolist()])
        if flat.dtype.kind not in "biuf":
            raise TypeError(f"labels must be whole numbers or names, got {flat.dtype}")
        bad = ~((flat >= 0) & (flat < self.classes) & (flat == np.floor(flat)))
        if bad.any():
            at = int(bad.nonzero()[0][0])
            where = f" (at {at}, first of {int(bad.sum())})" if array.ndim else ""
            raise ValueError(
                f"there is no class {flat[at]}{where}: the model was built for the classes 0 to "
                f"{self.classes - 1}{self._named}"
            )
        return torch.from_numpy(flat.astype(np.int64))

    def text(self, code: Tensor) -> str:
        return self.name(int(code.argmax())) if code.any() else "not given"

    def name(self, index: int) -> str:
        """The name of a class, its number if it has none."""
        return self.names[index] if self.names else str(index)

    def _index_of(self, name: Any) -> int:
        if str(name) in self.names:
            return list(self.names).index(str(name))
        try:
            number = int(name)
        except (TypeError, ValueError):
            known = self.names or [str(i) for i in range(self.classes)]
            raise ValueError(f"there is no class {name!r}: {nearest(str(name), known)}") from None
        return int(self.indices(number)[0])

    @property
    def _named(self) -> str:
        return f", {', '.join(self.names)}" if self.names else ""
