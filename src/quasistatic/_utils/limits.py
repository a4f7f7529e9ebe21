"""How large a table may be."""

__all__ = ["MOST_COLUMNS", "too_many_columns"]

MOST_COLUMNS = 2000
"""The most columns that are modelled together: a law holds their covariances."""


def too_many_columns(what: object, count: int) -> ValueError:
    """The error about a table of too many columns, and what helps.

    Args:
        what: the file or the data, for the message.
        count: the number of its columns that are not left out.
    """
    return ValueError(
        f"{what} has {count:,} columns, and {MOST_COLUMNS:,} are modelled at most, as a model "
        "relates each column to each other: keep the columns that matter (fit --leave-out names "
        "the others), transpose the table if its rows are the columns, or reduce the columns "
        "first, by principal components for example"
    )
