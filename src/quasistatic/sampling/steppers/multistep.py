"""Steps along the probability flow, by the estimates of x_0 that a walk has made."""

__all__ = ["DDIM", "DPMSolver", "Heun", "Multistep", "UniPC", "estimate", "require_flow"]

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import normal
from ...kernels import SignalNoise
from ...kernels.flow import (
    Angle,
    Coordinate,
    LogSNR,
    flow_step,
    half_log_snr,
    new_noise,
)
from ...model import Model
from ..time_grids import EvenLogSNR
from .kept import Kept
from .limits import Limits
from .stepper import Estimate, State, Stepper, clock

LONGEST = 3.0
"""A step more than so many times as long in log-SNR as the one before it extrapolates too far."""


@dataclass(frozen=True)
class Multistep(Stepper):
    r"""The flow's step with its estimates interpolated (:func:`flow_step`). One evaluation is made
    for each time, two with `again`. No noise is drawn after x_T unless `eta` asks for it.

    The names that people look for are constructors of it: :func:`DPMSolver`, :func:`UniPC`,
    :func:`Heun`. `DDIM()` is the case of order 1.

    Args:
        order: estimates that the predictor uses, from 1.
        corrected: whether each x_s is corrected by the estimate made there, which is one order
            more; the next step needs this estimate anyway (UniPC).
        again: whether the estimate is made again at the corrected x_s.
        coordinate: in which the estimates are interpolated.
        eta: 0 for the flow; above it noise is drawn in each step, at the same marginals. Order 1
            at 1 is DDPM's step of the least variance, order 2 is SDE-DPM-Solver++(2M), and with
            correction SA-Solver (Xue et al. 2023).
        limits: of the estimates of x_0: `Clip(-1, 1)` for example. With it the draws leave the
            model's law.

    Raises:
        ValueError: if the order is below 1, eta is negative, or `again` is asked for without
            `corrected`.
    """

    order: int = 2
    corrected: bool = True
    again: bool = False
    coordinate: Coordinate = Angle()
    eta: float = 0.0
    limits: Limits | None = None

    def __post_init__(self) -> None:
        if not self.eta >= 0:
            raise ValueError(f"eta is 0 (no noise is drawn) or more, got {self.eta}")
        if self.order < 1:
            raise ValueError(f"the order of a stepper is 1 or more, got {self.order}")
        if self.again and not self.corrected:
            raise ValueError("again evaluates at the corrected x_s: give corrected=True as well")

    def require(self, model: Model, times: Tensor) -> None:
        require_flow(model, type(self).__name__)
        if self.limits is not None:
            self.limits.require(model)
        if self.order + self.corrected - self.again < 2:
            return
        steps = half_log_snr(model.kernel, times).diff().abs()
        steps = steps[steps > 0]
        # The walk goes from the last time down: a step uses those after it.
        growth = steps[:-1] / steps[1:] if len(steps) > 1 else steps.new_ones(1)
        inner = growth[:-1] if len(growth) > 1 else growth  # the first step is of order 1
        if inner.max() > LONGEST:
            at = int(inner.argmax())
            warnings.warn(
                f"a step of {self} is {inner.max():.3g} times as long in log-SNR as the one before "
                f"it, at t = {int(times[at + 1])}: it extrapolates too far. Give times that are "
                "even in log-SNR (a number of times is such a grid), or take DDIM()",
                stacklevel=4,
            )

    def evaluations(self, count: int) -> int:
        return 2 * count - 1 if self.again else count

    def times(self, model: Model, count: int | None) -> Tensor:
        number, levels = DEFAULT if count is None else count, model.space.levels
        if levels is None:
            return EvenLogSNR(number, HIGH, self.lowest)(model)
        # Below the distance of two levels the noise decides nothing that a head of levels has not.
        return EvenLogSNR(number, -math.log(float(levels.diff().min())))(model)

    @property
    def lowest(self) -> float:
        """log(signal / noise) below which T alone is visited by default, for real values."""
        return LOW if self.corrected else -math.inf

    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        x, seen = self.arrive(model, state)
        x_s = self.move(model, x, state.t, s, seen[: self.order])
        if not self.eta:
            return State(x_s, s, seen)
        assert isinstance(model.kernel, SignalNoise)  # by require
        at, to = (torch.tensor([each], device=x.device) for each in (state.t, s))
        drawn = new_noise(model.kernel, x, at, to, self.eta) * normal(x.shape, rng, x)
        return State(x_s + drawn, s, seen, drawn)

    def last(self, model: Model, state: State, rng: torch.Generator | None) -> State:
        x, seen = self.arrive(model, state)
        return State(self.move(model, x, state.t, 0, seen[: self.order]), 0)

    def arrive(self, model: Model, state: State) -> tuple[Tensor, tuple[Estimate, ...]]:
        """Where the walk is once the estimate there is made and used, and the estimates so far."""
        here = estimate(model, state.x, state.t, self.limits)
        x, seen = state.x, state.seen
        if self.corrected and seen:
            before = seen[0]
            known = (here, *seen[: self.order])
            x = self.move(model, before.x, int(before.t), state.t, known)
            x = x if state.drawn is None else x + state.drawn
            again = estimate(model, x, state.t, self.limits).x_0 if self.again else here.x_0
            here = Estimate(here.t, x, again)
        return x, (here, *seen)[: self.order + 1]

    def move(self, model: Model, x: Tensor, t: int, s: int, seen: tuple[Estimate, ...]) -> Tensor:
        """x_s from x_t (n, *) by some estimates."""
        assert isinstance(model.kernel, SignalNoise)  # by require
        start, end = (torch.tensor([each], device=x.device) for each in (t, s))
        times, values = [each.t for each in seen], [each.x_0 for each in seen]
        return flow_step(model.kernel, self.coordinate, x, start, end, times, values, self.eta)


DEFAULT, LOW, HIGH = 20, -2.0, 4.2
"""Times of a flow by default, and log(signal / noise) between which they are spread for
real values: chosen on a ring of eight normals (`benchmarks/steppers.py`). Without correction a
first step to -2 would be too long, and they are spread from T on. Levels have times from T up to
the noise of one level's width."""


def estimate(model: Model, x: Tensor, t: int, limits: Limits | None = None) -> Estimate:
    """The model's estimate of x_0 at x (n, *) and time t, within limits."""
    at = clock(x, t)
    x_0 = model.estimate(x, at)
    return Estimate(at[:1], x, x_0 if limits is None else limits(x_0))


def require_flow(model: Model, name: str) -> None:
    """Checks that a model has a probability flow.

    Raises:
        TypeError: if it has none: what serves instead.
    """
    if not isinstance(model.kernel, SignalNoise):
        raise TypeError(
            f"{name} follows the probability flow, which needs a kernel with signal and noise "
            f"scales (GaussianKernel); {type(model.kernel).__name__} jumps: use Kept() or "
            "Ancestral()"
        )
    if not model.head.jumps:
        raise TypeError(
            f"{type(model.head).__name__} defines the step between neighbours only, and {name} "
            "leaves times out: use Ancestral(), or train a head that states x_0 (Clean, Noise, "
            "Velocity)"
        )


def DDIM(eta: float = 0.0, limits: Limits | None = None) -> Kept:
    """DDIM (DDIM Eq. 12): deterministic at eta = 0, ancestral at eta = 1. For bits and
    classes it is the kin of it that keeps x_t as long as it may."""
    return Kept(eta, limits)


def DPMSolver(order: int = 2, eta: float = 0.0, limits: Limits | None = None) -> Multistep:
    """DPM-Solver++, multistep (Lu et al. 2022), in log-SNR: order 2 is DPM-Solver++(2M), and with
    eta = 1 SDE-DPM-Solver++(2M)."""
    return Multistep(order, False, coordinate=LogSNR(), eta=eta, limits=limits)


def UniPC(order: int = 2, limits: Limits | None = None) -> Multistep:
    """UniPC (Zhao et al. 2023, B_2), in log-SNR: of order `order` + 1."""
    return Multistep(order, True, coordinate=LogSNR(), limits=limits)


def Heun(limits: Limits | None = None) -> Multistep:
    """Heun's method (EDM22 Alg. 1) along the flow, in log-SNR: order 2, two evaluations a step."""
    return Multistep(1, True, True, LogSNR(), limits=limits)
