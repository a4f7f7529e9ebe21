"""A file that is too large for a table is refused before it is read."""

__all__ = ["check_columns", "check_first_line"]

from pathlib import Path

from ..._utils.limits import MOST_COLUMNS, too_many_columns

LONGEST = 2**24
"""The most bytes of the first line of a text file."""

SEPARATORS = (b",", b";", b"\t", b"|")


def check_columns(path: Path, count: int, left_out: int = 0) -> None:
    """Refuses a table of too many columns.

    Args:
        path: the file, for the message.
        count: the number of its columns.
        left_out: how many of them are not modelled.

    Raises:
        ValueError: if more than :data:`MOST_COLUMNS` are modelled.
    """
    if count - left_out > MOST_COLUMNS:
        raise too_many_columns(path, count - left_out)


def check_first_line(path: Path, left_out: int = 0) -> None:
    """Refuses a text file whose first line is no row of a table.

    Args:
        path: the file.
        left_out: how many of its columns are not modelled.

    Raises:
        ValueError: if it is longer than :data:`LONGEST`, or has too many columns.
    """
    with path.open("rb") as file:
        line = file.readline(LONGEST + 1)
    if len(line) > LONGEST:
        raise ValueError(
            f"line 1 of {path} has more than {LONGEST:,} bytes: a table has one row in a line, and "
            f"{MOST_COLUMNS:,} columns at most"
        )
    if b'"' not in line:  # separators within quotes do not separate
        check_columns(path, 1 + max(line.count(each) for each in SEPARATORS), left_out)
