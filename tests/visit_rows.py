"""Rows of a table for the tests of jobs."""

__all__ = ["visits"]

import numpy as np
import polars as pl


def visits(n: int, seed: int = 0, holes: float = 0.0) -> pl.DataFrame:
    """An identity, two numbers, a whole number and a class of each of n rows."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    size = rng.normal(size=n) + 2 * kind
    frame = pl.DataFrame(
        {
            "id": [f"r{seed}-{k}" for k in range(n)],
            "size": size,
            "cost": np.exp(0.4 * size + 0.2 * rng.normal(size=n)),
            "count": np.clip(rng.poisson(2 + kind), 0, 6),
            "kind": np.array(["walk", "ride"])[kind],
        }
    )
    if not holes:
        return frame
    hidden = rng.random((n, 4)) < holes
    return frame.with_columns(
        pl.when(~pl.Series(hidden[:, k])).then(pl.col(name)).alias(name)
        for k, name in enumerate(frame.columns[1:])
    )
