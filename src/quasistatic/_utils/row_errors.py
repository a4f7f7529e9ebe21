"""Errors about one row of data, which say which row: of an array, or of a file."""

__all__ = ["RowError", "in_file"]

from collections.abc import Callable
from typing import Any


class RowError(ValueError):
    """An error about one row. Rows of arrays and of data frames are counted from 0 and called an
    index. Rows of files are counted from 1, below the header, and called a row.

    Args:
        what: the beginning of the message, "column 'a' holds 7".
        index: of the row, counted from 0.
        then: the rest of the message, ", and it takes numbers to 5".
    """

    def __init__(self, what: str, index: int, then: str) -> None:
        super().__init__(f"{what} at index {index}{then}")
        self.what, self.index, self.then = what, index, then

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.index, self.then)

    def in_row(self, number: int) -> ValueError:
        """The same error about a row of a file, which is counted from 1."""
        return ValueError(f"{self.what} in row {number:,}{self.then}")


def in_file(error: ValueError, number: Callable[[int], int]) -> ValueError:
    """The same error, about a row of a file if it is about a row.

    Args:
        error: about rows of an array.
        number: gives the number of a row in the file, counted from 1, by its index.
    """
    return error.in_row(number(error.index)) if isinstance(error, RowError) else error
