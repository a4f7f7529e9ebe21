"""A schedule that is trained together with the network. Its two ends are fixed.

log-SNR falls from its value at t = 1 to its value at T in T - 1 decrements. Their shares of the
whole are a softmax of the weights, so that no optimiser step can make log-SNR rise. beta_1 is
fixed, as a noise that could shrink would fit the training data alone (SD15 Sec. 2.4.1).
"""

__all__ = ["Increments", "learned"]

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..._utils.constants import on_device
from .formulas import from_log_snr
from .schedule import Course, Schedule


class Increments(Course):
    """log-SNR from `log_snr[0]` at t = 1 to `log_snr[-1]` at T, both fixed, with trained values
    between.

    Args:
        log_snr: the initial values, falling and finite, shape (T,), in nats.
    """

    learns = True

    def __init__(self, log_snr: Tensor) -> None:
        super().__init__()
        self.ends = (log_snr[0].item(), log_snr[-1].item())
        self._start = (-log_snr.diff()).log()
        # Zero at the start, so that weight decay pulls towards the initial schedule.
        self.moved = nn.Parameter(torch.zeros(len(self._start)))

    @property
    def steps(self) -> int:
        return len(self.moved) + 1

    @property
    def between(self) -> Tensor:
        """log-SNR at t = 1, ..., T, float64, shape (T,), in nats."""
        first, last = self.ends
        shares = (on_device(self._start, self.moved) + self.moved.double()).softmax(0)
        between = first + (last - first) * shares.cumsum(0)[:-1]
        return torch.cat([between.new_full((1,), first), between, between.new_full((1,), last)])

    @property
    def log_alpha_bar(self) -> Tensor:
        return F.pad(F.logsigmoid(self.between), (1, 0))

    @property
    def log_noise(self) -> Tensor:
        return F.pad(F.logsigmoid(-self.between), (1, 0), value=-math.inf)


def learned(log_snr: Sequence[float] | Tensor) -> Schedule:
    """A schedule whose beta_2, ..., beta_T are trained with the network, by the gradient of the
    bound K with the noise samples held fixed (SD15 Sec. 2.4.1). beta_1 and the signal left at T
    stay as given.

    Args:
        log_snr: the initial log-SNR at t = 1, ..., T, in nats, for example
            `learned(cosine(40).log_snr[1:])`.

    Raises:
        ValueError: if it is not finite, or does not fall at every step.
    """
    start = from_log_snr(log_snr)
    return Schedule("learned", start.arguments, Increments(start.log_snr[1:]))
