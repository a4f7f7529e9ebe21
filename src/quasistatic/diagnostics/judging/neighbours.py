"""Whether drawn rows are copies of real ones: distances to the nearest real row."""

__all__ = ["Copying", "copying"]

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from .features import Features, one_hot

MOST = 5000
"""Rows that are looked at, of each side."""


@dataclass(frozen=True)
class Copying:
    """Drawn rows beside the real rows that are nearest to them.

    Args:
        closer: the probability that a drawn row is closer to a real one than another real row is:
            0.5 for rows of the same law, towards 1 for copies with little changed.
        error: its standard error.
        same: the share of drawn rows that equal a real row in all columns.
        same_real: the share of real rows that equal another real row.
    """

    closer: float
    error: float
    same: float
    same_real: float

    def __str__(self) -> str:
        return (
            f"{100 * self.closer:.0f} ± {100 * self.error:.0f} % of drawn rows are closer to a "
            "real row than real rows are to each other (50 % without copying); "
            f"{100 * self.same:.1f} % equal one ({100 * self.same_real:.1f} % of real rows equal "
            "another)"
        )


def copying(real: Features, drawn: Features, seed: int) -> Copying:
    """Compares the distances of drawn rows to the nearest real row with those among real rows, in
    columns scaled by their ranks' spread."""
    rng = np.random.default_rng(seed)
    sides = [side.take(rng.permutation(len(side.x))[:MOST]) for side in (real, drawn)]
    both = Features(real.names, np.concatenate([side.x for side in sides]), real.classes)
    x = one_hot(both)
    scale = x[: len(sides[0].x)].std(0)
    x = x / np.where(scale > 0, scale, 1.0)
    a, b = x[: len(sides[0].x)], x[len(sides[0].x) :]
    near = NearestNeighbors(n_neighbors=2).fit(a)
    among = near.kneighbors(a)[0][:, 1]  # the first neighbour of a row is itself
    to_real = near.kneighbors(b, 1)[0][:, 0]
    order = np.sort(among)
    below = np.searchsorted(order, to_real, "left") + np.searchsorted(order, to_real, "right")
    share = 1 - below / (2 * len(order))
    error = float(share.std(ddof=1) / len(share) ** 0.5)
    other = np.searchsorted(np.sort(to_real), among, "left")
    error = float(np.hypot(error, (other / len(to_real)).std(ddof=1) / len(among) ** 0.5))
    tiny = 1e-9
    return Copying(
        float(share.mean()), error, float((to_real < tiny).mean()), float((among < tiny).mean())
    )
