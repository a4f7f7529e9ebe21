"""Objects as readable JSON, and back: no pickle, and no name that is not known is ever called."""

__all__ = ["FORMAT", "build", "describe", "describe_or_name"]

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from .naming import nearest

FORMAT = 1
"""The version of what a run folder holds, in its `config.json`."""

STORED_NAMES = {"PiecewiseLinear": "Warped"}
"""The name that stands in files for a class that was renamed since: files that were written
before are read, and the fingerprint of a model stays the same."""

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
        named = [f.name for f in dataclasses.fields(thing) if _is_stored(f, thing)]
        name = STORED_NAMES.get(type(thing).__name__, type(thing).__name__)
        return {"is": name} | {n: describe(getattr(thing, n)) for n in named}
    raise TypeError(
        f"{type(thing).__name__} cannot be written as JSON: make it a dataclass whose fields are "
        "numbers, strings, tuples or other such dataclasses"
    )


def _is_stored(field: "dataclasses.Field[Any]", thing: Any) -> bool:
    """Whether a field stands in files. One that was added later, which says so by its metadata
    `{"added": True}`, does only if it differs from its default: descriptions, and fingerprints of
    models, that were made before stay the same."""
    if not (field.init and field.compare):
        return False
    return not (field.metadata.get("added") and getattr(thing, field.name) == field.default)


def describe_or_name(thing: object) -> Any:
    """What :func:`describe` says, or only {"is": its name} of what is no such dataclass."""
    try:
        return describe(thing)
    except TypeError:
        return {"is": type(thing).__name__}


def build(description: Any, known: Mapping[str, Callable[..., Any]]) -> Any:
    """What :func:`describe` described; `known` maps each name to what makes it.

    Raises:
        ValueError: if it names something unknown, or its arguments do not fit.
    """
    if isinstance(description, list):
        return tuple(build(each, known) for each in description)
    if not isinstance(description, dict):
        return description
    arguments = {key: build(value, known) for key, value in description.items() if key != "is"}
    if "is" not in description:
        return arguments
    stored = str(description["is"])
    name = _PRESENT_NAMES.get(stored, stored)
    if name not in known:
        raise ValueError(f"there is no {name!r} to build: {nearest(name, known)}")
    try:
        return known[name](**arguments)
    except TypeError as error:
        raise ValueError(f"{name} cannot be built from {arguments}: {error}") from None
