"""Short text for objects with many parameters, as `print` shows them."""

__all__ = ["ShortRepr", "clock", "shortened"]

import dataclasses
from typing import Any

from torch import Tensor

SHOWN = 3
"""How many entries of a long tuple are shown."""


class ShortRepr:
    """A mixin for dataclasses whose `repr` fits on a line: fields that have their default are left
    out, and of a long tuple only the first entries are shown."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        # `dataclass` writes a `__repr__` of its own unless the class has one already.
        cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        shown = []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.repr and not _is_default(value, field.default):
                shown.append(f"{field.name}={shortened(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def shortened(value: object) -> str:
    """One value as short text: a long tuple by its first entries and its length, a number by six
    digits, a tensor by its shape."""
    if isinstance(value, Tensor):
        return f"tensor of shape {tuple(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list):
        if len(value) > 2 * SHOWN:
            first = ", ".join(shortened(each) for each in value[:SHOWN])
            return f"({first}, ... {len(value)} in all)"
        inner = ", ".join(shortened(each) for each in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _is_default(value: object, default: object) -> bool:
    if isinstance(value, Tensor) or default is dataclasses.MISSING:
        return False
    return bool(value == default)


def clock(seconds: float) -> str:
    """A duration as on a clock, 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}:{minutes_left:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
