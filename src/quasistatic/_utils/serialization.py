"""Writes objects as readable JSON, and builds them again. No pickle is used, and only known names
are called."""

__all__ = ["FORMAT", "build", "describe", "describe_or_name"]

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from .naming import nearest

FORMAT = 1
"""The version of what a run folder holds, in its `config.json`."""

STORED_NAMES = {"PiecewiseLinear": "Warped"}
"""For each class that was renamed, its name in files. Files keep the old name, so that older files
can be read and the fingerprint of a model stays the same."""

_PRESENT_NAMES = {stored: name for name, stored in STORED_NAMES.items()}


def describe(thing: object) -> Any:
    """A JSON value for numbers, strings, tuples and dataclasses of them. A dataclass becomes
    {"is": its name, field: value, ...}; fields that do not compare are derived and left out.

    Raises:
        TypeError: if `thing` is something else.
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, tuple | list):
        return [describe(each) for each in thing]
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in thing.items()}
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        stored = [f for f in dataclasses.fields(thing) if _is_stored(f, thing)]
        name = STORED_NAMES.get(type(thing).__name__, type(thing).__name__)
        return {"is": name} | {_stored_name(f): describe(getattr(thing, f.name)) for f in stored}
    raise TypeError(
        f"{type(thing).__name__} cannot be written as JSON: make it a dataclass whose fields are "
        "numbers, strings, tuples or other such dataclasses"
    )


def _is_stored(field: "dataclasses.Field[Any]", thing: Any) -> bool:
    """Whether a field is written to files. A field that was added later has the metadata `{"added":
    True}` and is written only if it differs from its default, so that earlier descriptions and
    fingerprints of models stay the same."""
    if not (field.init and field.compare):
        return False
    return not (field.metadata.get("added") and getattr(thing, field.name) == field.default)


def _stored_name(field: "dataclasses.Field[Any]") -> str:
    """The name of a field in files. A field that was renamed has the metadata `{"stored": its first
    name}`, for the reasons of :data:`STORED_NAMES`."""
    return str(field.metadata.get("stored", field.name))


def describe_or_name(thing: object) -> Any:
    """What :func:`describe` returns, or {"is": the name of its type} for an object that it cannot
    describe."""
    try:
        return describe(thing)
    except TypeError:
        return {"is": type(thing).__name__}


def build(description: Any, known: Mapping[str, Callable[..., Any]]) -> Any:
    """The object that :func:`describe` described.

    Args:
        description: what :func:`describe` returned.
        known: for each name, the class or function that builds it.

    Raises:
        ValueError: if it names something unknown, or its arguments do not fit.
    """
    if isinstance(description, list):
        return tuple(build(each, known) for each in description)
    if not isinstance(description, dict):
        return description
    arguments: dict[str, Any] = {
        str(key): build(value, known) for key, value in description.items() if key != "is"
    }
    if "is" not in description:
        return arguments
    stored = str(description["is"])
    name = _PRESENT_NAMES.get(stored, stored)
    if name not in known:
        raise ValueError(f"there is no {name!r} to build: {nearest(name, known)}")
    kind: Any = known[name]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        present: dict[str, str] = {_stored_name(f): f.name for f in dataclasses.fields(kind)}
        arguments = {present.get(key, key): value for key, value in arguments.items()}
    try:
        return kind(**arguments)
    except (TypeError, ArithmeticError) as error:
        raise ValueError(f"{name} cannot be built from {arguments}: {error}") from None
