"""Time grids: which times of a chain a walk visits, as objects that any verb takes for `times`."""

__all__ = ["EvenLogSNR", "EvenTimes", "Karras", "Quadratic", "TimeGrid"]

import abc
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels.flow import half_log_snr
from ..model import Model


@dataclass(frozen=True)
class TimeGrid(abc.ABC):
    """A rule that chooses `count` times of a model's chain.

    Args:
        count: how many times; for one network evaluation each.
    """

    count: int

    def __call__(self, model: Model) -> Tensor:
        """The times, rising to T, with shape (count,).

        Raises:
            ValueError: if there are not 2 to T of them, or whole times cannot be that far apart.
        """
        T = model.steps
        if not 2 <= self.count <= T:
            raise ValueError(f"a time grid has 2 to T = {T} times, got {self.count}")
        wanted = self.places(model).round().long().clamp(1, T)
        wanted[-1] = T
        return _distinct(wanted)

    @abc.abstractmethod
    def places(self, model: Model) -> Tensor:
        """The times as the rule has them, rising, not yet whole, with shape (count,)."""


class EvenTimes(TimeGrid):
    """Times that are evenly spread from 1 to T."""

    def places(self, model: Model) -> Tensor:
        return torch.linspace(1, model.steps, self.count, dtype=torch.float64)


class Quadratic(TimeGrid):
    """Times whose roots are evenly spread (DDIM Sec. D.2): more of them near the data."""

    def places(self, model: Model) -> Tensor:
        return torch.linspace(1, math.sqrt(model.steps), self.count, dtype=torch.float64) ** 2


@dataclass(frozen=True)
class EvenLogSNR(TimeGrid):
    """Times that are evenly spread in log-SNR (Lu et al. 2022).

    Args:
        count: how many times.
        high: the largest log(signal / noise); by default that of t = 1.
        low: log(signal / noise) below which T alone is visited. What is all noise tells little of
            x_0: for data of about unit variance one step goes from T to -1 at little error.
    """

    high: float = math.inf
    low: float = -math.inf

    def places(self, model: Model) -> Tensor:
        high, least = _ends(model)
        high = min(high, self.high)
        if least >= self.low:
            h = torch.linspace(high, least, self.count, dtype=torch.float64)
        else:
            inner = torch.linspace(high, self.low, self.count - 1, dtype=torch.float64)
            h = torch.cat([inner, torch.tensor([least], dtype=torch.float64)])
        return _times_at(model, h)


@dataclass(frozen=True)
class Karras(TimeGrid):
    """Times whose noise / signal to the power 1 / rho are evenly spread (EDM22 Eq. 5).

    Args:
        count: how many times.
        rho: how much they crowd near the data.
    """

    rho: float = 7.0

    def places(self, model: Model) -> Tensor:
        low, high = (math.exp(-h / self.rho) for h in _ends(model))
        sigma = torch.linspace(low, high, self.count, dtype=torch.float64) ** self.rho
        return _times_at(model, -sigma.log())


def _ends(model: Model) -> tuple[float, float]:
    """log(signal / noise) at t = 1 and at the last time at which it is finite."""
    log_snr = 0.5 * model.kernel.schedule.log_snr[1:].detach()
    finite = log_snr[log_snr.isfinite()]
    return float(log_snr[0]), float(finite[-1])


def _times_at(model: Model, h: Tensor) -> Tensor:
    """The times at which log(signal / noise) is nearest to falling h (n,)."""
    table = half_log_snr(model.kernel, torch.arange(1, model.steps + 1)).detach()
    return 1 + (table[None] - h[:, None]).abs().argmin(1).double()


def _distinct(times: Tensor) -> Tensor:
    """Rising whole times next to `times` (k,), of which none is twice: the last stays, and each
    before it is moved to the nearest one that is free."""
    found = times.tolist()
    for k in range(len(found) - 2, -1, -1):
        found[k] = min(found[k], found[k + 1] - 1)
    for k in range(len(found)):
        found[k] = max(found[k], 1 if k == 0 else found[k - 1] + 1)
    return torch.tensor(found)
