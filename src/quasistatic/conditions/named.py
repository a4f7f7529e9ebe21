"""Several conditions by name."""

__all__ = ["Named", "as_condition"]

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.naming import nearest
from .._utils.validation import instance_of
from .condition import Condition


@dataclass(frozen=True)
class Named(Condition):
    """Several conditions, each with a name: y is a dictionary. A name that it lacks is not given.

    Args:
        named: the condition of each name.

    Raises:
        TypeError: if one is no condition.
        ValueError: if there is none.

    Example:
        >>> from quasistatic.conditions import ClassLabel, Vector
        >>> both = Named({"digit": ClassLabel(2), "slant": Vector(1)})
        >>> both.encode({"digit": [0, 1], "slant": 0.5}).tolist()
        [[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, 1.0]]
    """

    named: Mapping[str, Condition]

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", dict(self.named))
        if not self.named:
            raise ValueError("a dictionary of conditions is empty: leave the condition out")
        for name, each in self.named.items():
            instance_of(f"the condition {name!r}", each, Condition, "ClassLabel(10)")

    @property
    def width(self) -> int:
        return sum(each.width for each in self.named.values())

    @property
    def parts(self) -> tuple[tuple[int, Condition], ...]:
        start, found = 0, []
        for each in self.named.values():
            found.append((start, each))
            start += each.width
        return tuple(found)

    def text(self, code: Tensor) -> str:
        each = []
        for (start, part), name in zip(self.parts, self.named, strict=True):
            own = code[start : start + part.width]
            each += [f"{name} {part.text(own)}"] if own.any() else []
        return "{" + ", ".join(each) + "}"

    def encode(self, y: object) -> Tensor:
        if not isinstance(y, Mapping):
            raise TypeError(
                f"the model has the conditions {', '.join(self.named)}: give them by name, as "
                f"{{{next(iter(self.named))!r}: ...}}, got {type(y).__name__}"
            )
        unknown = [str(name) for name in y if name not in self.named]
        if unknown or not y:
            what = nearest(unknown[0], self.named) if unknown else "give one of them, or None"
            raise ValueError(f"the conditions are {', '.join(self.named)}, got {list(y)}: {what}")
        codes = {name: self.named[name].encode(value) for name, value in y.items()}
        counts = {name: len(code) for name, code in codes.items() if len(code) > 1}
        if len(set(counts.values())) > 1:
            each = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise ValueError(f"the conditions have different numbers of examples: {each}")
        rows = max(counts.values(), default=1)
        blank = torch.zeros(1, 0, dtype=torch.float64)
        columns = [
            codes[name] if name in codes else blank.new_zeros(1, each.width)
            for name, each in self.named.items()
        ]
        return torch.cat([column.expand(rows, -1) for column in columns], 1)


def as_condition(condition: Condition | Mapping[str, Condition] | None) -> Condition | None:
    """A condition, from one or a dictionary of several.

    Raises:
        TypeError: if it is neither.
    """
    if condition is None:
        return None
    if isinstance(condition, Mapping):
        return Named(condition)
    instance_of("condition", condition, Condition, "conditions.ClassLabel(10)")
    return condition
