"""A schedule and its tables.

They are kept in float64 as log alpha_bar and log (1 - alpha_bar), so that neither end loses its
digits: at t = 1 the noise may be 1e-8, and at t = T the signal may be.
"""

__all__ = ["Course", "Fixed", "Schedule"]

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..._utils.constants import on_device
from ..._utils.printing import shortened


class Course(nn.Module, abc.ABC):
    """The tables of a schedule, as a module: one with weights is trained, saved and resumed
    together with the model that holds it. Base class."""

    learns: bool
    """Whether it has weights to train."""

    @property
    @abc.abstractmethod
    def steps(self) -> int:
        """T, the number of steps."""

    @property
    @abc.abstractmethod
    def log_alpha_bar(self) -> Tensor:
        """log alpha_bar_t for t = 0, ..., T, float64, shape (T + 1,)."""

    @property
    @abc.abstractmethod
    def log_noise(self) -> Tensor:
        """log (1 - alpha_bar_t) for t = 0, ..., T, float64, shape (T + 1,)."""

    @property
    def log_snr(self) -> Tensor:
        """log alpha_bar_t / (1 - alpha_bar_t) for t = 0, ..., T, shape (T + 1,), in nats."""
        return self.log_alpha_bar - self.log_noise

    def on(self, table: Tensor, device: torch.device) -> Tensor:
        """One of the tables, on a device."""
        return table.to(device)


class Fixed(Course):
    """Tables without weights. They are computed again from the schedule's formula, and so are no
    part of a model's state_dict."""

    learns = False

    def __init__(self, log_alpha_bar: Tensor, log_noise: Tensor) -> None:
        super().__init__()
        self._tables = (log_alpha_bar, log_noise, log_alpha_bar - log_noise)
        self._there: dict[torch.device, tuple[Tensor, ...]] = {}

    @property
    def steps(self) -> int:
        return len(self.log_alpha_bar) - 1

    @property
    def log_alpha_bar(self) -> Tensor:
        return self._tables[0]

    @property
    def log_noise(self) -> Tensor:
        return self._tables[1]

    @property
    def log_snr(self) -> Tensor:
        return self._tables[2]

    def on(self, table: Tensor, device: torch.device) -> Tensor:
        if table.device == device:
            return table
        for mine, there in zip(self._tables, self._there.get(device, ()), strict=False):
            if mine is table:
                return there
        return on_device(table, device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Fixed":
        # When a model moves to a device, copies of the tables move with it and stay in float64.
        device = fn(torch.zeros(())).device
        if device.type not in ("cpu", "meta"):
            self._there = {device: tuple(table.to(device) for table in self._tables)}
        return self


@dataclass(frozen=True)
class Schedule:
    """alpha_bar_0 = 1 > alpha_bar_1 > ... > alpha_bar_T >= 0, and how it was made. The functions of
    :mod:`quasistatic.schedules` make schedules.

    Args:
        kind: the name of the function that made it.
        arguments: the arguments of that function.
        course: the tables.

    Raises:
        ValueError: if T < 2, or alpha_bar does not fall strictly from 1 within [0, 1].
    """

    kind: str
    arguments: dict[str, Any]
    course: Course = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(
                f"a schedule needs at least 2 steps, got T = {self.steps}: the last step of "
                "the reverse process may be fixed, and a model needs one more to learn"
            )
        # Either logarithm may show the fall: near alpha_bar = 1 only that of the noise changes.
        falls = (self.log_alpha_bar.diff() < 0) | (self.log_noise.diff() > 0)
        if not falls.all():
            t = int((~falls).nonzero()[0]) + 1
            before, after = self.alpha_bar[t - 1].item(), self.alpha_bar[t].item()
            raise ValueError(
                f"alpha_bar must decrease at every step, but alpha_bar_{t - 1} = {before:.6g} and "
                f"alpha_bar_{t} = {after:.6g}: give every beta_t a value in (0, 1]"
            )

    def __repr__(self) -> str:
        arguments = (f"{name}={shortened(value)}" for name, value in self.arguments.items())
        return f"{self.kind}({', '.join(arguments)})"

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return self.course.steps

    @property
    def learns(self) -> bool:
        """Whether it is trained with the model; its tables then carry a gradient."""
        return self.course.learns

    @property
    def log_alpha_bar(self) -> Tensor:
        """log alpha_bar_t for t = 0, ..., T, float64, shape (T + 1,)."""
        return self.course.log_alpha_bar

    @property
    def log_noise(self) -> Tensor:
        """log (1 - alpha_bar_t) for t = 0, ..., T, float64, shape (T + 1,)."""
        return self.course.log_noise

    @property
    def alpha_bar(self) -> Tensor:
        """alpha_bar_t for t = 0, ..., T, float64, shape (T + 1,)."""
        return self.log_alpha_bar.exp()

    @property
    def beta(self) -> Tensor:
        """beta_t = 1 - alpha_bar_t / alpha_bar_{t-1} for t = 1, ..., T, float64, shape (T,)."""
        return -torch.expm1(self.log_alpha_bar.diff())

    @property
    def log_snr(self) -> Tensor:
        """log alpha_bar_t / (1 - alpha_bar_t) for t = 0, ..., T, shape (T + 1,), in nats; infinite
        at t = 0."""
        return self.course.log_snr
