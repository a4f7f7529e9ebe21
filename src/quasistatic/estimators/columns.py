"""Which columns of a table vary: the others carry no density, and are given back as they were."""

__all__ = ["Columns"]

from dataclasses import dataclass

import numpy as np

from ..mixtures import made_whole


@dataclass(frozen=True)
class Columns:
    """The columns of a table of D.

    Args:
        values: of each column its one value, or None where it varies, D in all.
    """

    values: tuple

    @classmethod
    def of(cls, x: np.ndarray) -> "Columns":
        """Those of rows (N, D), where NaN is a hole.

        Raises:
            ValueError: if a column has no value at all, or none of them varies.
        """
        empty = np.flatnonzero(np.isnan(x).all(0))
        if len(empty):
            raise ValueError(
                f"column {int(empty[0])} holds nothing but NaN (of {len(empty)} such columns): "
                "leave it out, for there is nothing to learn of it"
            )
        least, most = np.nanmin(x, 0), np.nanmax(x, 0)
        values = tuple(
            low if low == high else None
            for low, high in zip(least.tolist(), most.tolist(), strict=True)
        )
        if None not in values:
            raise ValueError(
                f"all {x.shape[1]} columns are constant over {len(x)} rows: there is no density "
                "to learn; pass more rows, or columns that vary"
            )
        return cls(values)

    @property
    def varying(self) -> np.ndarray:
        """Which columns vary, with shape (D,)."""
        return np.array([value is None for value in self.values])

    def take(self, x: np.ndarray) -> np.ndarray:
        """The varying columns of rows (*, D)."""
        return np.ascontiguousarray(x[..., self.varying])

    def put(self, rows: np.ndarray) -> np.ndarray:
        """All columns, (*, D), of rows that have the varying ones."""
        whole = np.array([0.0 if value is None else value for value in self.values])
        out = np.broadcast_to(whole, (*rows.shape[:-1], len(whole))).copy()
        out[..., self.varying] = rows
        return out

    def completed(self, x: np.ndarray, seed: int) -> np.ndarray:
        """Rows (N, D) whose holes are drawn, so that they can be learned from: see
        :func:`quasistatic.mixtures.made_whole`."""
        return self.put(made_whole(self.take(x), seed))

    def agree(self, x: np.ndarray) -> np.ndarray:
        """Which rows (N, D) have the constants, with shape (N,); NaN agrees."""
        held = ~self.varying
        constant = np.array([value for value in self.values if value is not None])
        return ((x[:, held] == constant) | np.isnan(x[:, held])).all(1)
