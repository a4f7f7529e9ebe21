"""How large a table in a file may be. A file that is too large is refused before it is read."""

__all__ = ["check_columns", "check_first_line"]

from pathlib import Path

MOST_COLUMNS = 5000
"""The most columns of a table. A model relates each of them to each other."""

LONGEST = 2**24
"""The most bytes of the first line of a text file."""

SEPARATORS = (b",", b";", b"\t", b"|")


def check_columns(path: Path, count: int) -> None:
    """Refuses a table of too many columns.

    Raises:
        ValueError: if there are more than :data:`MOST_COLUMNS`.
    """
    if count > MOST_COLUMNS:
        raise ValueError(
            f"{path} has {count:,} columns, and a table may have {MOST_COLUMNS:,}, because its "
            "model relates each column to each other: choose some of them"
        )


def check_first_line(path: Path) -> None:
    """Refuses a text file whose first line is no row of a table.

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
        check_columns(path, 1 + max(line.count(each) for each in SEPARATORS))
