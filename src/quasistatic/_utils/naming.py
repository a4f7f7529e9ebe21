"""Words of messages: suggestions for an unknown name, and numbers with their nouns."""

__all__ = ["counted", "nearest"]

import difflib
from collections.abc import Iterable


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
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}(known: {', '.join(known)})"
