"""Adaptive steps along the flow: a tolerance decides their number for each example."""

__all__ = ["Adaptive"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...kernels import SignalNoise
from ...kernels.flow import LEAST, Coordinate, LogSNR, flow_step, half_log_snr
from ...model import Model
from .multistep import require_flow
from .stepper import State, Stepper

SAFETY, LEAST_GROWTH, MOST_GROWTH = 0.9, 0.25, 2.5
"""Of the step size that the error allows, the share that is taken, and how much it may change."""

OPENING = 0.25
"""The first step, in units of log(signal / noise)."""


@dataclass(frozen=True)
class Adaptive(Stepper):
    """The flow by steps whose error is measured: a predictor of order 2, a corrector of order 3 by
    the estimate at its end, and their difference as the error, at one evaluation a step.

    Each example has steps of its own, so that it does not depend on those beside it. `times` give
    the first time of the walk only; how many evaluations it takes is up to the tolerance.

    Args:
        tolerance: the root mean square error of a step, over the values of an example, in units
            of x.
        coordinate: in which the estimates are interpolated.

    Raises:
        ValueError: if the tolerance is not positive.
    """

    tolerance: float = 1e-3
    coordinate: Coordinate = LogSNR()

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"a tolerance is positive, got {self.tolerance}")

    def require(self, model: Model, times: Tensor) -> None:
        require_flow(model, type(self).__name__)
        least = 10 * torch.finfo(model.blank(1).dtype).eps
        if self.tolerance < least:
            raise ValueError(
                f"{model.blank(1).dtype} cannot reach a tolerance of {self.tolerance:g}: give "
                f"{least:.1g} or more, or a model in float64"
            )

    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        raise TypeError("Adaptive chooses its own times: call sample with it")

    @torch.no_grad()
    def walk(
        self,
        model: Model,
        state: State,
        times: Sequence[int],
        rng: torch.Generator | None = None,
    ) -> Iterator[State]:
        """The state that is given, and x_0."""
        yield state
        assert isinstance(model.kernel, SignalNoise)  # by require
        with evaluating(model):
            yield State(_Walk(model, model.kernel, self, state, min(times)).run(), 0)


class _Walk:
    """One adaptive walk of n examples. Tensors have a row for each example."""

    def __init__(
        self, model: Model, kernel: SignalNoise, stepper: Adaptive, state: State, first: int
    ) -> None:
        self.model, self.kernel, self.stepper, self.first = model, kernel, stepper, first
        self.x = state.x.clone()
        self.t = torch.full((len(state.x),), state.t, device=state.x.device)
        steps = torch.arange(1, model.steps + 1, device=state.x.device)
        self.table = half_log_snr(kernel, steps)
        self.now = model.estimate(self.x, self.t)
        self.before_t, self.before = self.t.clone(), self.now.clone()
        self.size = torch.full_like(self.t, OPENING, dtype=torch.float64)
        self.error = torch.ones_like(self.size)

    def run(self) -> Tensor:
        """x_0 of all examples."""
        while (active := self.t > self.first).any():
            self._advance(active.nonzero()[:, 0])
        zero = torch.zeros_like(self.t)
        return self._moved(slice(None), zero, None)[0]

    def _advance(self, rows: Tensor) -> None:
        """One attempt of a step for some examples."""
        t = self.t[rows]
        h = half_log_snr(self.kernel, t).clamp(min=float(self.table[self.table > LEAST].min()))
        s = 1 + torch.searchsorted(-self.table, -(h + self.size[rows])).clamp(max=len(self.table))
        s = torch.minimum(s, t - 1).clamp(min=self.first)
        guess, _ = self._moved(rows, s, None)
        estimate = self.model.estimate(guess, s)
        better, order = self._moved(rows, s, estimate)
        off = (better - guess).flatten(1).double().square().mean(1).sqrt()
        error = (off / self.stepper.tolerance).clamp(min=1e-4)
        accepted = (error <= 1) | (s == t - 1)
        growth = SAFETY * error ** (-0.7 / order) * self.error[rows] ** (0.4 / order)
        shrink = SAFETY * error ** (-1 / order)
        growth = torch.where(accepted, growth, shrink).clamp(LEAST_GROWTH, MOST_GROWTH)
        self.size[rows] = (half_log_snr(self.kernel, s) - h) * growth
        done = rows[accepted]
        self.before_t[done], self.before[done] = self.t[done], self.now[done]
        self.t[done], self.x[done], self.now[done] = (
            s[accepted],
            better[accepted],
            estimate[accepted],
        )
        self.error[done] = error[accepted]

    def _moved(
        self, rows: Tensor | slice, s: Tensor, estimate: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """x_s of some examples by the last two estimates, and that at s if it is known; and the
        order of the error that is measured, with shape (n,)."""
        x, t, now = self.x[rows], self.t[rows], self.now[rows]
        before_t, before = self.before_t[rows], self.before[rows]
        times = [t] if estimate is None else [s, t]
        values = [now] if estimate is None else [estimate, now]
        alone = flow_step(self.kernel, self.stepper.coordinate, x, t, s, times, values)
        has = before_t > t
        # Examples without a second estimate take the step without it; its time is then any other.
        other_t = torch.where(has, before_t, t - 1)
        both = flow_step(
            self.kernel, self.stepper.coordinate, x, t, s, [*times, other_t], [*values, before]
        )
        return torch.where(has.reshape(-1, *[1] * (x.ndim - 1)), both, alone), 2.0 + has.double()
