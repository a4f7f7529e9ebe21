"""The heads of a network that knows a closed-form denoiser and learns corrections to it."""

__all__ = ["Corrected", "CorrectedClasses", "Correcting"]

import abc
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from ..distributions import Gaussian
from ..kernels import Kernel, SignalNoise
from ..spaces import Space
from .classes import ClassHead
from .head import DenoisingHead, require_signal_noise

FARTHEST = 3.0
"""The largest change of a log-variance, in nats: it bounds the corrected variance on both sides."""


class Correcting(abc.ABC):
    """The capability of a head whose output (B, *, 4) has two numbers of a closed-form law and two
    corrections to them."""

    def uncorrected(self, output: Tensor) -> Tensor:
        """The output (B, *, 4) with zeros for the corrections."""
        return torch.cat([output[..., :2], torch.zeros_like(output[..., 2:])], -1)

    @abc.abstractmethod
    def gain(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """What the corrections win at the times t (B,), in nats, with shape (B, *). Its sum over
        all times 1..T, in the mean over x_t, is what they win in log p(x_0)."""


@dataclass(frozen=True)
class Corrected(DenoisingHead, Correcting):
    r"""The network gives the mean m and the variance V that a known law has for x_0 given x_t, and
    two corrections f and g: the belief is N(m + sqrt(V) f, V exp(3 tanh(g / 3))).

    A shift is in deviations of the known belief, so that it is of one size at all times, and small
    where that belief is sure. Zeros leave the known belief as it is.
    """

    @property
    def outputs(self) -> int:
        return 4

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("Corrected", kernel)
        return self

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        mean, variance, shift, widening = output.unbind(-1)
        change = FARTHEST * (widening / FARTHEST).tanh()
        return Gaussian(mean + variance.sqrt() * shift, variance * change.exp())

    def gain(
        self, kernel: SignalNoise, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor
    ) -> Tensor:
        """Of steps that get shorter without end: 1/2 SNR (|x_0 - m|^2 - |x_0 - m'|^2) d log SNR,
        where m is the known mean and m' the corrected one (VDM)."""
        weight = _weights(kernel.schedule.log_snr[1:]).to(x_0)[t - 1]
        ours = self.estimate(kernel, output, x_t, t)
        known = self.estimate(kernel, self.uncorrected(output), x_t, t)
        # The difference of squares as a product, which keeps its digits.
        term = (ours - known) * (2 * x_0 - ours - known)
        return weight.reshape(-1, *[1] * (x_0.ndim - 1)) * term


def _weights(log_snr: Tensor) -> Tensor:
    """SNR d log SNR / 2 at each time, by the trapezoidal rule, with shape (T,)."""
    width = -torch.gradient(log_snr)[0]
    width[[0, -1]] /= 2
    return log_snr.exp() * width / 2


@dataclass(frozen=True)
class CorrectedClasses(ClassHead, Correcting):
    """The network gives the log-prior of each class by a known law, which does not use the class's
    own column of x_t, and a correction that is added to it (the first and the third of four
    outputs). q(x_t | x_0 = class), which is known, multiplies the sum."""

    @property
    def outputs(self) -> int:
        return 4

    def logits(self, output: Tensor) -> Tensor:
        return output[..., 0] + output[..., 2]

    def gain(self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The difference of the two divergences of the step from t to t - 1; the step to 0 has the
        difference of log p(x_0 | x_1)."""
        return self._cost(kernel, self.uncorrected(output), x_t, x_0, t) - self._cost(
            kernel, output, x_t, x_0, t
        )

    def _cost(self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        law, ends = self.denoise(kernel, output, x_t, t), (t == 1)[:, None]
        late = t.clamp(min=2)
        step = self.divergence_of(kernel, law, x_t, x_0, late - 1, late)
        return torch.where(ends, -law.log_prob(x_0), step)
