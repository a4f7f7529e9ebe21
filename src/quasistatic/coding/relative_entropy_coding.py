r"""Relative entropy coding: a draw of one law, sent as the index of a draw of another law that the
sender and the receiver both know."""

__all__ = ["LARGEST", "SharedCandidates", "uniforms"]

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family

AT_ONCE = 2**20
"""Values of candidates that are held at once."""

LARGEST = 2**16
"""The most candidates of a group."""


def uniforms(place: tuple[int, int, int], size: int, first: int, count: int) -> np.ndarray:
    """Uniform numbers of candidates first, ..., first + count - 1 of a group, (count, size).

    They are outputs of Philox, counted from the group's own place, so that both sides have them.

    Args:
        place: of the group in the stream, (step, example, group): no two are alike.
        size: values of the group.
        first, count: which candidates.
    """
    words = -(-size // 4) * 4  # a count of Philox gives four
    random = np.random.Philox(key=0, counter=(0, *place)).advance(first * words // 4)
    raw = random.random_raw(count * words).reshape(count, words)[:, :size]
    return ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


@dataclass(frozen=True)
class SharedCandidates:
    """Candidates of one group of values: draws of p that the sender and the receiver both make.

    The sender draws arrival times and takes the candidate for which the time, divided by q / p, is
    least (ordered random coding, which ends the Poisson functional representation after finitely
    many candidates). So it is nearly a draw of q, and its index is small: about KL(q || p) bits,
    and the logarithm of that.

    Args:
        place: of the group, see :func:`uniforms`.
        p: the law that both sides know, with shape (1, m), float64.
    """

    place: tuple[int, int, int]
    p: Family

    @property
    def size(self) -> int:
        """m."""
        return self.p.mean.shape[1]

    def draw(self, first: int, count: int) -> Tensor:
        """Candidates first, ..., first + count - 1, draws of p with shape (count, m)."""
        return self.p.icdf(torch.from_numpy(uniforms(self.place, self.size, first, count)))

    def choose(self, q: Family, bits: float, rng: np.random.Generator) -> int:
        """The index of a candidate that is a draw of q (1, m).

        Args:
            q: the law of the draw.
            bits: KL(q || p) in bits, which sets how many candidates there are.
            rng: of the arrival times.
        """
        count = min(LARGEST, 2 ** (math.ceil(bits) + 3))
        at_once = max(1, AT_ONCE // self.size)
        arrival, best, index = 0.0, math.inf, 0
        for first in range(0, count, at_once):
            here = min(at_once, count - first)
            x = self.draw(first, here)
            arrivals = arrival + rng.exponential(size=here).cumsum()
            arrival = arrivals[-1]
            ratio = (q.log_prob(x) - self.p.log_prob(x)).sum(1).numpy()
            late = np.log(arrivals) - ratio
            if late.min() < best:
                best, index = late.min(), first + int(late.argmin())
        return index
