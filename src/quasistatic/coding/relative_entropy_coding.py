r"""Draws by one law, told as draws by another that both sides know: relative entropy coding."""

__all__ = ["Channel"]

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family

AT_ONCE = 2**20
"""Values of candidates that are held at once."""

LARGEST = 2**16
"""Candidates that are drawn at most: an index has two bytes."""


@dataclass(frozen=True)
class Channel:
    """One group of values, whose candidates are draws of p by random numbers that both sides make
    (Philox, counted from the group's own place).

    The sender draws arrival times and takes the candidate for which the time, divided by q / p, is
    least (ordered random coding, which ends the Poisson functional representation after finitely
    many candidates). So it is a draw of q, nearly, and its index is small: about KL(q || p) bits
    and the logarithm of that.

    Args:
        place: of the group in the stream, (step, example, group): no two are alike.
        p: what the receiver knows, with shape (1, m), float64.
    """

    place: tuple[int, int, int]
    p: Family

    @property
    def size(self) -> int:
        """m."""
        return self.p.mean.shape[1]

    def candidates(self, first: int, count: int) -> Tensor:
        """Draws first, ..., first + count - 1 of p, with shape (count, m)."""
        words = -(-self.size // 4) * 4  # a count of Philox gives four
        random = np.random.Philox(key=0, counter=(0, *self.place)).advance(first * words // 4)
        raw = random.random_raw(count * words).reshape(count, words)[:, : self.size]
        u = ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        return self.p.icdf(torch.from_numpy(u))

    def send(self, q: Family, bits: float, rng: np.random.Generator) -> tuple[int, Tensor]:
        """The index of a candidate that is a draw of q (1, m), and the candidate (m,); `bits` is
        KL(q || p), by which it is decided how many there are."""
        count = min(LARGEST, 2 ** (math.ceil(bits) + 3))
        at_once = max(1, AT_ONCE // self.size)
        arrival, best, index = 0.0, math.inf, 0
        for first in range(0, count, at_once):
            here = min(at_once, count - first)
            x = self.candidates(first, here)
            arrivals = arrival + rng.exponential(size=here).cumsum()
            arrival = arrivals[-1]
            ratio = (q.log_prob(x) - self.p.log_prob(x)).sum(1).numpy()
            late = np.log(arrivals) - ratio
            if late.min() < best:
                best, index = late.min(), first + int(late.argmin())
        return index, self.receive(index)

    def receive(self, index: int) -> Tensor:
        """The candidate of that index, (m,)."""
        return self.candidates(index, 1)[0]
