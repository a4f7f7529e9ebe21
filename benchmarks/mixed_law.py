"""A mixed table of any number of rows whose law is known, holes included.

    kind ~ (0.5, 0.3, 0.2)          one of three names
    flag | kind                     a bit
    x | kind                        real, normal about a place of the kind
    y | x, kind                     real, about a curve in x
    z | x, flag                     real, about a parabola in x that the bit turns round
    visits | x, kind                whole, 0 upwards: a normal, rounded, its tail below 0 cut off
    price | y                       whole, likewise

Given kind, flag and x the rest falls apart into z, visits, and y with price. So log p of what is
there of a row is a sum over kinds and bits, and an integral over x and y where they are missing.
"""

__all__ = ["drawn", "log_prob"]

import math

import numpy as np
import pandas as pd
from scipy.special import log_ndtr, logsumexp

KINDS = np.array(["a", "b", "c"])
SHARES = np.array([0.5, 0.3, 0.2])
FLAGGED = np.array([0.8, 0.4, 0.1])
"""The probability that the bit is set, for each kind."""

PLACES, WIDTHS = np.array([-1.5, 0.5, 2.0]), np.array([0.8, 1.0, 0.5])
VISITS = np.array([30.0, 50.0, 80.0])
HOLES = 0.05

POINTS = 801
"""Of a grid over x, and over y: a Riemann sum of smooth curves, which is exact to six digits."""


def _y(x: np.ndarray, kind: np.ndarray) -> np.ndarray:
    return np.sin(2 * x) + 0.5 * kind


def _z(x: np.ndarray, flag: np.ndarray) -> np.ndarray:
    return (2 * flag - 1) * (x**2 / 2 - 1)


def _visits(x: np.ndarray, kind: np.ndarray) -> np.ndarray:
    return VISITS[kind] + 8 * x


def _price(y: np.ndarray) -> np.ndarray:
    return 200 + 60 * y


Y_WIDTH, Z_WIDTH, VISITS_WIDTH, PRICE_WIDTH = 0.25, 0.3, 4.0, 20.0


def drawn(rows: int, seed: int = 0) -> pd.DataFrame:
    """Rows of that law, of whose values a twentieth are missing, each for itself."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, size=rows, p=SHARES)
    flag = rng.random(rows) < FLAGGED[kind]
    x = PLACES[kind] + WIDTHS[kind] * rng.normal(size=rows)
    y = _y(x, kind) + Y_WIDTH * rng.normal(size=rows)
    z = _z(x, flag) + Z_WIDTH * rng.normal(size=rows)
    visits = _rounded(_visits(x, kind), VISITS_WIDTH, rng)
    price = _rounded(_price(y), PRICE_WIDTH, rng)
    columns = {"kind": KINDS[kind].astype(object), "flag": flag.astype(object)}
    columns |= {"x": x, "y": y, "z": z, "visits": visits, "price": price}
    return pd.DataFrame(columns).mask(rng.random((rows, 7)) < HOLES)


def log_prob(frame: pd.DataFrame) -> np.ndarray:
    """log p of what is there of each row, with shape (N,), in nats: a density of x, y and z, and
    a probability of the rest."""
    return np.array([_of_row(row) for row in frame.to_dict("records")])


def _of_row(row: dict) -> float:
    """The sum over kinds (axis 0) and bits (1), and over x (2) and y (3) where they are missing."""
    kind, flag = np.arange(3)[:, None, None, None], np.arange(2)[None, :, None, None]
    x, log_dx = _known_or_grid(row["x"], -6.0, 5.0)
    y, log_dy = _known_or_grid(row["y"], -3.0, 4.0)
    x, y = x[:, None], y[None, :]
    p = np.log(SHARES)[kind] + np.log(np.where(flag == 1, FLAGGED[kind], 1 - FLAGGED[kind]))
    p = p + _normal(x, PLACES[kind], WIDTHS[kind]) + _normal(y, _y(x, kind), Y_WIDTH)
    if not pd.isna(row["kind"]):
        p = np.where(KINDS[kind] == row["kind"], p, -np.inf)
    if not pd.isna(row["flag"]):
        p = np.where(flag == row["flag"], p, -np.inf)
    if not pd.isna(row["z"]):
        p = p + _normal(row["z"], _z(x, flag), Z_WIDTH)
    if not pd.isna(row["visits"]):
        p = p + _whole(row["visits"], _visits(x, kind), VISITS_WIDTH)
    if not pd.isna(row["price"]):
        p = p + _whole(row["price"], _price(y), PRICE_WIDTH)
    return float(logsumexp(p) + log_dx + log_dy)


def _known_or_grid(value: float, low: float, high: float) -> tuple[np.ndarray, float]:
    """One point with weight 1, or all points of a grid and the logarithm of their spacing."""
    if not pd.isna(value):
        return np.array([value]), 0.0
    points = np.linspace(low, high, POINTS)
    return points, math.log(points[1] - points[0])


def _normal(value: np.ndarray, mean: np.ndarray, width: np.ndarray) -> np.ndarray:
    return -(((value - mean) / width) ** 2) / 2 - np.log(width) - math.log(2 * math.pi) / 2


def _rounded(mean: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    return np.maximum(np.round(mean + width * rng.normal(size=len(mean))), 0)


def _whole(value: float, mean: np.ndarray, width: float) -> np.ndarray:
    """log P(round(mean + width * noise) = value), what falls below 0 being 0."""
    above, below = (value + 0.5 - mean) / width, (value - 0.5 - mean) / width
    if value == 0:
        return log_ndtr(above)
    flip = above + below > 0  # to the tail that keeps its digits
    upper, lower = np.where(flip, -below, above), np.where(flip, -above, below)
    return log_ndtr(upper) + np.log1p(-np.exp(log_ndtr(lower) - log_ndtr(upper)))
