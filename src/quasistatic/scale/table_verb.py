"""The interface of the verbs of a fitted table on a partition of rows."""

__all__ = ["TableVerb", "log_prob_facts"]

import abc
from typing import ClassVar

import numpy as np
import polars as pl


class TableVerb(abc.ABC):
    """A verb of a fitted table."""

    name: ClassVar[str]
    rows_in: ClassVar[bool] = True
    """Whether the verb reads rows of the table, so that a file must have the fitted columns."""

    @abc.abstractmethod
    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        """Answers some rows.

        Args:
            piece: the rows, with all columns of their source.
            first: the number of rows before the piece, from which rows without an identity are
                numbered.
        """

    def facts(self, found: pl.DataFrame) -> dict[str, float]:
        """Sums over an answer that a job reports, by name."""
        return {}


def log_prob_facts(nats: np.ndarray) -> dict[str, float]:
    """Sums over scores (N,): of those that are finite, and how many are not."""
    finite = np.isfinite(nats)
    return {"nats": float(nats[finite].sum()), "impossible": float((~finite).sum())}
