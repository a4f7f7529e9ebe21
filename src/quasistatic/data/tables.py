"""Real tables that come with scikit-learn, and a fixed split of any array."""

__all__ = ["Split", "digits", "digits_labels", "split"]

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import sklearn.datasets

from .._utils.validation import number_within
from .sources import Source

_Train = TypeVar("_Train", bound=np.ndarray | Source)


@dataclass(frozen=True)
class Split(Generic[_Train]):
    """Training rows (an array, or a Source of random views), validation rows and test rows.

    Args:
        train: for gradient steps.
        valid: for choosing between models.
        test: for the figure that is reported.
    """

    train: _Train
    valid: np.ndarray
    test: np.ndarray


def split(x: np.ndarray, valid: float = 0.1, test: float = 0.2, seed: int = 0) -> Split[np.ndarray]:
    """Splits an array at random into training, validation and test rows.

    Args:
        x: the rows, with shape (n, *).
        valid: share of the validation rows.
        test: share of the test rows.
        seed: of the random order.

    Raises:
        ValueError: if a share is not from 0 to 1, or a part would be empty.
    """
    for name, share in (("valid", valid), ("test", test)):
        number_within(name, share, 0, 1)
    order = np.random.default_rng(seed).permutation(len(x))
    first, second = round(test * len(x)), round((test + valid) * len(x))
    if not 0 < first < second < len(x):
        raise ValueError(f"{len(x)} rows cannot be split into {test:g} test and {valid:g} valid")
    return Split(x[order[second:]], x[order[first:second]], x[order[:first]])


def digits() -> np.ndarray:
    """scikit-learn's 1797 handwritten digits of 8x8 pixels, (1797, 64), whole numbers 0 to 16."""
    return np.asarray(sklearn.datasets.load_digits(return_X_y=True)[0], np.float32)


def digits_labels() -> np.ndarray:
    """The digits that :func:`digits` shows, int64 (1797,) from 0 to 9."""
    return np.asarray(sklearn.datasets.load_digits(return_X_y=True)[1], np.int64)
