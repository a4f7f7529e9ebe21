"""Names and paths that a user types: checks, and suggestions for a name that is not known."""

__all__ = ["as_path", "nearest"]

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


def as_path(name: str, value: object) -> Path:
    """A path.

    Args:
        name: what an error message calls it.
        value: to be checked.

    Raises:
        TypeError: if it is no path and no text.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path or a name, got {value!r:.80}")
    return Path(value)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known names that are closest to `name`, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}(known: {', '.join(known)})"
