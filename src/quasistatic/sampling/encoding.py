"""Encoding of data as noise along the probability flow, and decoding of noise."""

__all__ = ["decode", "encode"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..kernels import SignalNoise
from ..model import Model
from .sampler import Times, resolve_times
from .steppers import FlowMap, Kept, Multistep, State, Stepper
from .steppers.multistep import HIGH, require_flow
from .steppers.parallel import together
from .time_grids import EvenLogSNR

ROUNDS, MEMORY = 200, 8
"""Rounds after which :func:`encode` gives up, and how many of them Anderson's method looks back."""

TIMES = 50
"""Times of the flow by default, or all there are."""

FLOW = Multistep(2, corrected=False)
"""The stepper of :func:`encode` and :func:`decode` by default."""


@torch.no_grad()
def decode(
    model: Model, noise: Tensor, times: Times = None, stepper: Stepper | None = None
) -> Tensor:
    """Maps noise x_T (N, *) to raw data (N, *) along the probability flow.

    Args:
        model: with a probability flow.
        noise: x_T, as :func:`encode` gives it.
        times: the times to visit; by default 50, even in log-SNR, or what `FlowMap()` takes.
        stepper: that draws no noise, by default `Multistep(2, corrected=False)`.

    Raises:
        TypeError: if the stepper draws noise, or cannot serve the model.
    """
    require_flow(model, "decode")
    stepper = stepper if isinstance(stepper, FlowMap) else _flow(stepper, "decode")
    grid = _grid(model, times, stepper)
    stepper.require(model, grid)
    drawn = []
    for part, rows in model.chunks(noise.to(model.blank(1))):
        for state in stepper.walk(part, State(rows, int(grid[-1])), grid.tolist()):
            x_0 = state.x
        drawn.append(model.space.decode(x_0))
    return torch.cat(drawn)


@torch.no_grad()
def encode(
    model: Model,
    raw: object,
    times: Times = None,
    rng: Rng = None,
    stepper: Stepper | None = None,
    tolerance: float = 1e-5,
) -> Tensor:
    """The noise x_T (N, *) that :func:`decode` carries to raw data (N, *): its inverse, at the same
    times and by the same stepper, to within the tolerance.

    The equations of all steps are solved together. Estimates along the whole path give a new path,
    and Anderson's method finds the one that stays as it is.

    Args:
        model: with a probability flow.
        raw: data with shape (N, *).
        times: the times to visit; by default 50, even in log-SNR.
        rng: for spaces whose map is random (`Dequantized`).
        stepper: without correction, by default `Multistep(2, corrected=False)`.
        tolerance: the largest change of a value of x that counts as none.

    Raises:
        TypeError: if the model has no probability flow.
        ValueError: if the stepper corrects, draws noise or limits estimates, or the steps are too
            long to be solved for.
    """
    require_flow(model, "encode")
    stepper = _flow(stepper, "encode")
    if stepper.corrected:
        raise ValueError(
            f"{stepper} corrects its steps, which have no inverse that is known: give one without "
            "correction, such as Multistep(2, corrected=False) or DPMSolver(2)"
        )
    if stepper.eta or stepper.limits is not None:
        raise ValueError(
            f"{stepper} draws noise or limits the estimates, which cannot be undone: give a "
            "stepper with eta = 0 and without limits"
        )
    grid = _grid(model, times, stepper)
    stepper.require(model, grid)
    x_0 = model.space.encode(model.space.check(raw).to(model.blank(1)), as_generator(rng))
    with evaluating(model):
        pieces = model.chunks(x_0, len(grid))
        parts = [_encoded(part, x, grid, stepper, tolerance) for part, x in pieces]
    return torch.cat(parts)


def _grid(model: Model, times: Times, stepper: Stepper) -> Tensor:
    """The times to visit: a number of them goes down to little noise for levels too, as the way
    back from data starts there."""
    if isinstance(stepper, Multistep) and (times is None or isinstance(times, int)):
        times = EvenLogSNR(times or min(TIMES, model.steps), HIGH, stepper.lowest)
    return resolve_times(model, times, stepper)


def _flow(stepper: Stepper | None, verb: str) -> Multistep:
    """A stepper of the flow, DDIM as the step of order 1.

    Raises:
        TypeError: if it is another.
    """
    if stepper is None:
        return FLOW
    if isinstance(stepper, Kept) and stepper.eta == 0:
        return Multistep(1, corrected=False, limits=stepper.limits)
    if not isinstance(stepper, Multistep):
        raise TypeError(
            f"{verb} follows the probability flow by steps of fixed times, and {stepper!r} has "
            "none, or draws noise: give Multistep(2, corrected=False), DPMSolver(2) or DDIM()"
        )
    return stepper


@dataclass(frozen=True)
class _Path:
    """The equations that a path of the flow to x_0 (n, *) solves, along falling times (k,)."""

    model: Model
    x_0: Tensor
    down: Tensor
    stepper: Multistep

    def first_guess(self) -> Tensor:
        """A path (n, k, *): from the data up, each step by the estimate where it starts."""
        times, points = self.down.tolist(), [self._scales[0][-1] * self.x_0]
        for k in range(len(times) - 1, 0, -1):
            seen = together(self.model, points[:1], times[k : k + 1])
            step = times[k], times[k - 1]
            points.insert(0, self.stepper.move(self.model, points[0], *step, tuple(seen)))
        return torch.stack(points, 1)

    def renewed(self, path: Tensor) -> Tensor:
        """The path (n, k, *) by the estimates along one; the flow's path stays as it is."""
        points, times = list(path.unbind(1)), [*self.down.tolist(), 0]
        signal, noise = self._scales
        seen, zero = together(self.model, points, times[:-1]), torch.zeros_like(self.x_0)
        for k in range(len(points) - 1, -1, -1):
            known = tuple(seen[max(0, k + 1 - self.stepper.order) : k + 1][::-1])
            by_estimates = self.stepper.move(self.model, zero, times[k], times[k + 1], known)
            if k == len(points) - 1:
                points[k] = points[k] + signal[k] * (self.x_0 - by_estimates)
            else:
                points[k] = (points[k + 1] - by_estimates) * (noise[k] / noise[k + 1])
        return torch.stack(points, 1)

    @property
    def _scales(self) -> tuple[Tensor, Tensor]:
        kernel = self.model.kernel
        assert isinstance(kernel, SignalNoise)  # by require
        return kernel.signal(self.down, self.x_0), kernel.noise(self.down, self.x_0)


def _encoded(
    model: Model, x_0: Tensor, grid: Tensor, stepper: Multistep, tolerance: float
) -> Tensor:
    """x_T of x_0 (n, *)."""
    path = _Path(model, x_0, grid.flip(0).to(x_0.device), stepper)
    x, history = path.first_guess(), _Anderson()
    moved = math.inf
    for _ in range(ROUNDS):
        new = path.renewed(x)
        moved = float((new - x).abs().max())
        if moved <= tolerance:
            return new[:, 0]
        if not math.isfinite(moved):
            break
        x = history.next(x, new)
    raise ValueError(
        f"the flow along {len(grid)} times was not inverted to {tolerance:g} (a value still moves "
        f"by {moved:.2g}): give more times, or a larger tolerance"
    )


class _Anderson:
    """Anderson's method for fixed points x = g(x), for each example by itself."""

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []

    def next(self, x: Tensor, new: Tensor) -> Tensor:
        """The point to try after x (n, *), where g(x) = `new`: the mix of the last images whose
        residuals g(x) - x cancel best."""
        self.seen = [*self.seen[1 - MEMORY :], (x.flatten(1).double(), new.flatten(1).double())]
        images = torch.stack([image for _, image in self.seen], 2)
        residuals = images - torch.stack([point for point, _ in self.seen], 2)
        if images.shape[2] == 1:
            return new
        spread = residuals[..., 1:] - residuals[..., :-1]
        gram = spread.mT @ spread
        ridge = 1e-10 * gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-300)
        gram = gram + ridge[:, None, None] * torch.eye(gram.shape[1], device=gram.device)
        weights = torch.linalg.solve(gram, spread.mT @ residuals[..., -1:])
        steps = images[..., 1:] - images[..., :-1]
        limit: Tensor = images[..., -1:] - steps @ weights
        return limit[..., 0].to(x.dtype).reshape(x.shape)
