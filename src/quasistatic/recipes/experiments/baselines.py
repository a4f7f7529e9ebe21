"""Baselines: simple models with exact likelihoods, in bits."""

__all__ = ["gaussian_mixture", "level_histograms"]

import math
from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture

from ...data.tables import Split

MIXTURES = [("full", 1), ("full", 4), ("tied", 16), ("tied", 32), ("diag", 32), ("diag", 64)]


def level_histograms(data: Split[Any], count: int) -> np.ndarray:
    """Bits per dimension of each test row, (N,), when each value has its own histogram over
    `count` levels, with the pseudocount that is best on the validation rows."""
    flat = [x.reshape(len(x), -1).astype(int) for x in (data.train, data.valid, data.test)]
    train, valid, test = flat
    counts = np.stack([(train == level).sum(0) for level in range(count)], -1)

    def bits(rows: np.ndarray, pseudocount: float) -> np.ndarray:
        share = (counts + pseudocount) / (counts + pseudocount).sum(-1, keepdims=True)
        return np.asarray(-np.log2(share[np.arange(rows.shape[1]), rows]).mean(1))

    best = min((0.01, 0.03, 0.1, 0.3, 1.0), key=lambda c: bits(valid, c).mean())
    return bits(test, best)


def gaussian_mixture(data: Split[Any], draws: int = 4, seed: int = 0) -> tuple[np.ndarray, str]:
    """Bits per dimension of each test row, (N,), under the Gaussian mixture that is best on the
    validation rows, and its name. The rows are whole numbers spread evenly over unit cells, so
    that its exact density bounds their mass; the bits are means over `draws` of the spreading."""
    rng = np.random.default_rng(seed)

    def spread(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(len(x), -1)
        return flat + rng.random(flat.shape)

    train = np.concatenate([spread(data.train) for _ in range(2)])
    valid, tests = spread(data.valid), [spread(data.test) for _ in range(draws)]
    fitted = [
        (GaussianMixture(k, covariance_type=kind, reg_covar=0.02, random_state=seed).fit(train))
        for kind, k in MIXTURES
    ]
    best = max(fitted, key=lambda mixture: mixture.score(valid))
    per_dim = math.log(2) * valid.shape[1]
    bits = np.mean([-best.score_samples(test) / per_dim for test in tests], 0)
    return bits, f"Gaussian mixture ({best.n_components} {best.covariance_type})"
