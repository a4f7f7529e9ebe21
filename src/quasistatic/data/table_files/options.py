"""How a text file is to be read."""

__all__ = ["Reading", "separator_named"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .notation import Notation

SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "bar": "|"}
"""Separators by names that are easy to type."""


@dataclass(frozen=True)
class Reading:
    """How a text file is to be read.

    Args:
        types: polars types of columns that the file is known to have: text stays text even where it
            looks like a number, and in a column of numbers each cell must be one.
        header: whether the first row holds names; None decides by the rows.
        missing: more words for a missing value.
        encoding: of the characters, by Python's name; None reads UTF-8.
        notations: of columns that are known to have them.
        left_out: how many columns of the file are not modelled.
        separator: of the columns; None finds it.
        decimal: the decimal mark, a point or a comma; None finds it.
        skip: how many lines above the names and rows hold none; None finds them.
        skip_end: how many of the last rows are no rows, as totals and notes.
    """

    types: Mapping[str, Any] = field(default_factory=dict)
    header: bool | None = None
    missing: tuple[str, ...] = ()
    encoding: str | None = None
    notations: Mapping[str, Notation] = field(default_factory=dict)
    left_out: int = 0
    separator: str | None = None
    decimal: str | None = None
    skip: int | None = None
    skip_end: int = 0

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"--decimal is . or a comma, got {self.decimal!r}")
        for name, count in (("skip", self.skip), ("skip-end", self.skip_end)):
            if count is not None and count < 0:
                raise ValueError(f"--{name} is a number of lines, 0 or more, got {count}")


def separator_named(word: str | None) -> str | None:
    """The separator that a user names, by itself or in a word: "tab", for example."""
    return None if word is None else SEPARATORS.get(word.lower(), word)
