"""The classes that a stored model may name, and how a user adds one."""

__all__ = ["KNOWN", "register"]

import dataclasses
from typing import Any, TypeVar

from .. import conditions, heads, kernels, networks, spaces
from .._utils import serialization
from ..heads import variances
from ..kernels import schedules
from ..spaces import columns, yeo_johnson


def _schedule(kind: str, arguments: dict[str, Any]) -> schedules.Schedule:
    makers = {name: getattr(schedules, name) for name in schedules.__all__ if name != "Schedule"}
    made: schedules.Schedule = serialization.build({"is": kind, **arguments}, makers)
    return made


KNOWN = {
    name: getattr(module, name)
    for module in (conditions, spaces, columns, yeo_johnson, kernels, variances, heads, networks)
    for name in module.__all__
} | {"Schedule": _schedule}
"""The classes that a stored description may name."""

OWN: dict[str, type] = {}
"""Those of them that :func:`register` added."""

C = TypeVar("C")


def register(kind: type[C]) -> type[C]:
    """Lets :func:`load` build a class of your own by its name: a network, a head, a kernel, a space
    or a variance. Also a decorator.

    Args:
        kind: a dataclass whose fields are the arguments of the constructor, as numbers, texts,
            tuples of them, or other such classes.

    Returns:
        The class itself.

    Raises:
        TypeError: if it is no dataclass.
        ValueError: if the library, or another module of yours, has a class of that name.
    """
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise TypeError(
            f"register takes a dataclass, whose fields are stored as its arguments, got {kind!r}: "
            "write @dataclass(eq=False) above a network and call super().__init__() in "
            "__post_init__, or pass an instance to load(folder, network=...)"
        )
    name = kind.__name__
    before = OWN.get(name)
    again = before is not None and (before.__module__, before.__qualname__) == (
        kind.__module__,
        kind.__qualname__,
    )
    if name in KNOWN and not again:
        whose = "quasistatic" if before is None else before.__module__
        raise ValueError(f"{whose} has a class {name} already: give yours another name")
    KNOWN[name] = OWN[name] = kind
    return kind
