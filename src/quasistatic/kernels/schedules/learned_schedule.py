r"""A schedule that is learned with the network: its ends stand, and what lies between them moves.

log-SNR falls from its value at t = 1 to that at T in T - 1 increments whose shares of the whole are
a softmax, so that no step of an optimiser can make it rise. beta_1 is held, as a noise that may
shrink would fit the training data alone (SD15 Sec. 2.4.1).
"""

__all__ = ["Increments", "learned"]

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .formulas import from_log_snr
from .schedule import Course, Schedule


class Increments(Course):
    """log-SNR from `log_snr[0]` at t = 1 to `log_snr[-1]` at T, both held.

    Args:
        log_snr: where it starts, falling and finite, with shape (T,), in nats.
    """

    learns = True

    def __init__(self, log_snr: Tensor) -> None:
        super().__init__()
        self.ends = (log_snr[0].item(), log_snr[-1].item())
        self._start = (-log_snr.diff()).log()
        # Zero at the start: decay of the weights draws back to it, and its digits are all there.
        self.moved = nn.Parameter(torch.zeros(len(self._start)))

    @property
    def steps(self) -> int:
        return len(self.moved) + 1

    @property
    def between(self) -> Tensor:
        """log-SNR at t = 1..T, float64, with shape (T,), in nats."""
        first, last = self.ends
        shares = (self._start.to(self.moved.device) + self.moved.double()).softmax(0)
        between = first + (last - first) * shares.cumsum(0)[:-1]
        return torch.cat([between.new_tensor([first]), between, between.new_tensor([last])])

    @property
    def log_alpha_bar(self) -> Tensor:
        return F.pad(F.logsigmoid(self.between), (1, 0))

    @property
    def log_noise(self) -> Tensor:
        return F.pad(F.logsigmoid(-self.between), (1, 0), value=-math.inf)


def learned(log_snr: Sequence[float] | Tensor) -> Schedule:
    """A schedule whose beta_2, ..., beta_T are trained with the network, by the gradient of K
    through noise that is held while the derivative is taken (SD15 Sec. 2.4.1). beta_1 and what is
    left at T stay as given.

    Args:
        log_snr: where it starts, at t = 1..T, as in `learned(cosine(40).log_snr[1:])`.

    Raises:
        ValueError: if that is not finite, or does not fall at every step.
    """
    start = from_log_snr(log_snr)
    return Schedule("learned", start.arguments, Increments(start.log_snr[1:]))
