"""Many steps of the flow at once: sweeps over a window of times until they converge (ParaDiGMS)."""

__all__ = ["Parallel"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...model import Model
from .kept import Kept
from .limits import Limits
from .multistep import Multistep
from .stepper import Estimate, State, Stepper


@dataclass(frozen=True)
class Parallel(Stepper):
    """The serial answer of a flow's stepper in fewer rounds of the network (Shih et al. 2023).

    Each round evaluates the network at all times of a window together and walks through them by
    these estimates (Picard iteration). The window then moves on to the first time that moved. It
    takes more evaluations in all, and less time where they run in parallel.

    Args:
        stepper: of the flow, without correction: `DDIM()` (the default) or `DPMSolver(order)`.
        window: how many times are evaluated at once; None takes all.
        tolerance: the largest change of a value of x, in units of x, that counts as none.

    Raises:
        TypeError: if the stepper does not follow the flow.
        ValueError: if the stepper corrects or draws noise, or a number is not positive.
    """

    stepper: Multistep | Kept = field(default_factory=lambda: Multistep(1, corrected=False))
    window: int | None = None
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self._flow.corrected:
            raise ValueError(
                f"{self._flow} corrects a step by the next estimate, which a sweep has not made "
                "yet: give one without correction, such as DPMSolver(2)"
            )
        if self._flow.eta:
            raise ValueError(
                f"{self._flow} draws noise in each step, which a sweep would draw anew: give "
                "one with eta = 0"
            )
        if self.window is not None and self.window < 1:
            raise ValueError(f"a window has 1 or more times, got {self.window}")
        if not self.tolerance > 0:
            raise ValueError(f"a tolerance is positive, got {self.tolerance}")

    @property
    def _flow(self) -> Multistep:
        """The stepper as a case of Multistep."""
        if isinstance(self.stepper, Kept) and self.stepper.eta == 0:
            return Multistep(1, corrected=False, limits=self.stepper.limits)
        if isinstance(self.stepper, Multistep):
            return self.stepper
        raise TypeError(
            f"sweeps follow the probability flow, and {self.stepper} does not: give DDIM() or "
            "DPMSolver(2)"
        )

    def require(self, model: Model, times: Tensor) -> None:
        self._flow.require(model, times)
        least = 10 * torch.finfo(model.blank(1).dtype).eps
        if self.tolerance < least:
            raise ValueError(
                f"{model.blank(1).dtype} cannot reach a tolerance of {self.tolerance:g}: give "
                f"{least:.1g} or more, or a model in float64"
            )

    def times(self, model: Model, count: int | None) -> Tensor:
        return self._flow.times(model, count)

    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        return self._flow.step(model, state, s, rng)

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
        down = [*sorted((t for t in times if t <= state.t), reverse=True), 0]
        last = len(down) - 1
        window = min(self.window or last, last)
        points = [state.x] * (last + 1)
        estimates: list[Estimate | None] = [None] * last
        first = 0
        with evaluating(model):
            while first < last:
                stop = min(first + window, last)
                fresh = together(model, points[first:stop], down[first:stop], self._flow.limits)
                estimates[first:stop] = fresh
                moved, x = [], points[first]
                for k in range(first, stop):
                    seen = tuple(
                        each
                        for each in estimates[max(0, k + 1 - self._flow.order) : k + 1][::-1]
                        if each is not None
                    )
                    x = self._flow.move(model, x, down[k], down[k + 1], seen)
                    moved.append(float((x - points[k + 1]).abs().max()))
                    points[k + 1] = x
                # A point whose predecessors have settled is settled itself.
                still = next((i for i, d in enumerate(moved) if d > self.tolerance), len(moved) - 1)
                first += still + 1
                for k in range(stop + 1, min(first + window, last - 1) + 1):
                    points[k] = points[stop]
        yield State(points[last], 0)


def together(
    model: Model, points: Sequence[Tensor], times: Sequence[int], limits: Limits | None = None
) -> list[Estimate]:
    """The estimates of x_0 at several times by one round of the network, within limits."""
    x = torch.cat(list(points))
    t = torch.tensor(list(times), device=x.device)
    rows = torch.arange(model.given_rows).repeat(len(points))
    each = model.take(rows).estimate(x, t.repeat_interleave(len(points[0])))
    each = each if limits is None else limits(each)
    parts = torch.split(each, len(points[0]))
    return [Estimate(t[k : k + 1], points[k], part) for k, part in enumerate(parts)]
