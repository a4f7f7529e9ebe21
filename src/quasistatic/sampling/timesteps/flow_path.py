"""The times at which a stepper follows the flow of a model best, found by trying them."""

__all__ = ["FlowPath", "flow_path"]

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import Rng, as_generator
from ...kernels.flow import half_log_snr
from ...model import Model
from ..steppers import Multistep, State, Stepper
from ..steppers.multistep import require_flow
from ..time_grids import EvenLogSNR, EvenTimes, Karras, Quadratic

REFERENCE = 200
"""Times of the flow that stands for the true one."""

SHIFTS = (0.5, 0.2)
"""How far a time is moved in one trial, as a share of the distance to its neighbour in log-SNR."""


@dataclass(frozen=True)
class FlowPath:
    """The best times that were found, and the error of every start of the search.

    Args:
        times: rising to T, with shape (count,), for the `times` of sample.
        error: the root mean square error of x_0 along them, in units of x_0, to the flow along 200
            times from the same noise.
        starts: the same error of each known grid by its name.
    """

    times: Tensor
    error: float
    starts: dict[str, float]

    def __repr__(self) -> str:
        best = min(self.starts, key=lambda name: self.starts[name])
        return (
            f"times {self.times.tolist()}\n"
            f"  RMSE of x_0 {self.error:.3g}; the best known grid, {best}, has "
            f"{self.starts[best]:.3g}"
        )


@torch.no_grad()
def flow_path(
    model: Model,
    count: int,
    stepper: Stepper | None = None,
    n: int = 64,
    sweeps: int = 4,
    rng: Rng = 0,
) -> FlowPath:
    """Searches for the `count` times at which a stepper comes closest to the flow.

    It tries the known grids and moves the times of the best one by one in log-SNR, as long as the
    error falls. The error is that of the walk's end, so that it counts what later steps make of an
    earlier one, for any stepper and any scale of the data. It takes about 4 `count`^2 `sweeps`
    evaluations of n examples; no data are needed.

    Args:
        model: with a probability flow.
        count: the number of times.
        stepper: that draws no noise, by default `Multistep()`.
        n: how many examples are walked in each trial.
        sweeps: how often all times are tried, at most.
        rng: a seed, a generator or None, of the noise x_T.

    Raises:
        TypeError: if the model has no probability flow.
        ValueError: if there are not 3 to T times.
    """
    stepper = stepper or Multistep()
    require_flow(model, "flow_path")
    if not 3 <= count <= model.steps:
        raise ValueError(f"flow_path needs 3 to T = {model.steps} times, got {count}")
    start = stepper.start(model, n, model.steps, as_generator(rng)).x
    truth = _walked(model, Multistep(), EvenLogSNR(min(REFERENCE, model.steps))(model), start)

    def error(times: Tensor) -> float:
        return float((_walked(model, stepper, times, start) - truth).square().mean().sqrt())

    grids = {
        "the stepper's own": stepper.times(model, count),
        "EvenLogSNR": EvenLogSNR(count)(model),
        "EvenTimes": EvenTimes(count)(model),
        "Karras": Karras(count)(model),
        "Quadratic": Quadratic(count)(model),
    }
    errors = {name: error(times) for name, times in grids.items()}
    times = grids[min(errors, key=lambda name: errors[name])]
    least = min(errors.values())
    for _ in range(sweeps):
        before = least
        for k in range(count - 1):
            for moved in _moves(model, times, k):
                if (found := error(moved)) < least:
                    times, least = moved, found
        if least > 0.99 * before:
            break
    return FlowPath(times, least, errors)


def _moves(model: Model, times: Tensor, k: int) -> Iterator[Tensor]:
    """Rising times in which the one at place k is elsewhere between its neighbours."""
    table = half_log_snr(model.kernel, torch.arange(1, model.steps + 1)).detach()
    low = int(times[k - 1]) if k else 0
    for neighbour in (low, int(times[k + 1])):
        here, there = (table[max(t, 1) - 1] for t in (int(times[k]), neighbour))
        for share in SHIFTS:
            t = 1 + int((table - (here + share * (there - here))).abs().argmin())
            if low < t < times[k + 1] and t != times[k]:
                yield torch.cat([times[:k], torch.tensor([t]), times[k + 1 :]])


def _walked(model: Model, stepper: Stepper, times: Tensor, x_T: Tensor) -> Tensor:
    """x_0 (n, *) where a stepper carries x_T to."""
    for state in stepper.walk(model, State(x_T, model.steps), times.tolist()):
        x = state.x
    return x
