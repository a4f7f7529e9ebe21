"""Paths, names and numbers in messages: checks, suggestions for an unknown name, and plurals."""

__all__ = ["as_path", "counted", "nearest"]

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


def as_path(name: str, value: object) -> Path:
    """A path.

    Args:
        name: what an error message calls it.
        value: the value to check.

    Raises:
        TypeError: if it is neither a path nor a string.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path or a name, got {value!r:.80}")
    return Path(value)


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the singular for 1: `1 step`, `2,000 steps`.

    Args:
        count: the number.
        noun: in the singular; its plural ends in s.
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known names that are closest to `name`, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    every = f"known: {', '.join(known)}"
    return f"did you mean {' or '.join(close)}? ({every})" if close else every
