"""A network that sees x_t at unit variance and the noise scale, as those of EDM do."""

__all__ = ["NoiseScaled"]

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from .._utils.validation import number_within, whole_number
from .buffers import fill_buffers


@dataclass(eq=False, init=False)
class NoiseScaled(nn.Module):
    """Calls a network with x_t / sqrt(V) and ln(noise / signal) / 4, where V = signal^2 d^2 +
    noise^2 is the variance of x_t for data of deviation d (EDM22 Tab. 1).

    :meth:`start_at` gives it the schedule.

    Args:
        network: a module of x (B, *), of numbers (B,), and with a condition of codes (B, width).
            It returns (B, *, outputs), or what x has, (B, *), for one output.
        steps: T of the schedule.
        deviation: d, the standard deviation of x_0 (sigma_data). Default 0.5.

    Raises:
        TypeError: if `network` is no module.
    """

    network: Any
    steps: int
    deviation: float = 0.5

    # Not a dataclass __init__: nn.Module.__init__ has to run before a submodule is assigned.
    def __init__(self, network: Any, steps: int, deviation: float = 0.5) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise TypeError(f"a network is a torch.nn.Module, got {network!r:.80}")
        number_within("deviation", deviation, 0, ends="()")
        self.network, self.deviation = network, deviation
        self.steps = whole_number("steps", steps)
        self.register_buffer("log_snr", torch.zeros(steps, dtype=torch.float64))

    @property
    def condition(self) -> Any:
        """Numbers of the condition's code that the network takes; 0 for none, and None of a network
        of a class of your own that does not say it."""
        return getattr(self.network, "condition", None)

    @property
    def shape(self) -> Any:
        """Of one example."""
        return self.network.shape

    @property
    def outputs(self) -> int:
        """Numbers for each value of x."""
        return int(getattr(self.network, "outputs", 1))

    def start_at(self, log_snr: Tensor) -> Self:
        """Takes the log-SNR of the times 1..T, with shape (T,). Returns itself."""
        fill_buffers(self, {"log_snr": log_snr})
        return self

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        index = (time.double() * self.steps).round().long() - 1
        log_snr = self.get_buffer("log_snr")[index]
        variance = log_snr.sigmoid() * self.deviation**2 + (-log_snr).sigmoid()
        scale = variance.rsqrt().to(x).reshape(-1, *[1] * (x.ndim - 1))
        codes = () if given is None else (given,)
        out: Tensor = self.network(scale * x, (-log_snr / 8).to(x), *codes)
        return out if out.ndim > x.ndim else out[..., None]
