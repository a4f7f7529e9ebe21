"""Draws by number: draw i is the same in every batch, as it belongs to a block with a seed."""

__all__ = ["drawn_blocks", "numbers_of"]

from collections.abc import Iterator

import numpy as np
import polars as pl


def numbers_of(piece: pl.DataFrame) -> np.ndarray:
    """The numbers of the draws that a batch asks for.

    Raises:
        ValueError: if they are not whole numbers from 0.
    """
    column = piece["draw"] if "draw" in piece.columns else piece.to_series(0)
    if not column.dtype.is_integer() or (len(column) and column.min() < 0):  # type: ignore[operator]
        raise ValueError(
            f"a batch for `sample` numbers the draws in a column `draw` of whole numbers from 0, "
            f"got {column.dtype}"
        )
    return column.to_numpy()


def drawn_blocks(numbers: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """The blocks of `size` draws that hold these draws, in the order of the draws: the number of
    each block and the places in it."""
    block, place = numbers // size, numbers % size
    cuts = np.flatnonzero(np.diff(block)) + 1
    for part in np.split(np.arange(len(numbers)), cuts) if len(numbers) else []:
        yield int(block[part[0]]), place[part]
