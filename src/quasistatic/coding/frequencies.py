r"""Integer frequencies of the coder, alike on every machine."""

__all__ = ["EPSILON", "PRECISION", "exact_weights"]

import numpy as np

PRECISION = 24
"""Bits of the coder's probabilities."""

EPSILON = 2e-13
"""How far results in float64 may differ between machines for a portable stream to be read. Those of
the shipped networks differ by 1.2e-15 at most between vector units and numbers of threads."""


def exact_weights(below: np.ndarray, symbols: int) -> np.ndarray:
    """Weights (n, L) from which the coder makes the same frequencies on every machine.

    The coder takes floor(sum of the weights before j) + j for the first unit of symbol j. The sums
    here are whole numbers and a half, so that the floor is safe, and their total is exact.

    Args:
        below: the share of all symbols before each but the first, (n, L - 1), ascending, in [0, 1].
        symbols: L.
    """
    free = 2**PRECISION - symbols
    edges = np.minimum(np.floor(below * free), free - 1) + 0.5
    ends = np.zeros((len(below), 1)), np.full((len(below), 1), float(free))
    return np.diff(np.concatenate([ends[0], edges, ends[1]], 1), axis=1)
