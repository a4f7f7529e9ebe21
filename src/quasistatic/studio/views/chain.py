"""The chain in both directions: noise is added to data, and the model removes noise."""

__all__ = ["walk_both_ways"]

import math
from typing import Any

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...heads import DenoisingHead
from ...model import Model
from ...sampling import walk
from ...sampling.steppers.stepper import clock
from ..asked import Asked
from ..jobs import Event, Job
from ..looks import Points
from ..snippets import Snippet, opening
from ..subjects import Trained
from ..watching import watched

FRAMES, STEPS = 33, 100
"""Times that are shown, and steps of the way back, where the chain may skip times."""

POINTS, WALKS, ARROWS, CELLS = 300, 600, 15, 32
"""For data of the plane: points that are drawn, walks behind the density, and arrows and cells a
side."""


@torch.no_grad()
def walk_both_ways(subject: Trained, asked: Asked, job: Job) -> Event:
    """Pictures of both directions at some times. For images, of one example; for points of the
    plane, of many."""
    seed, model = asked.whole("seed", 0, 0, 2**31 - 1), subject.model
    plane = isinstance(subject.look, Points)
    rng = torch.Generator().manual_seed(seed)
    steps = min(STEPS, model.steps) if model.head.jumps else model.steps
    grid = model.times(steps)
    shown = grid[torch.linspace(0, len(grid) - 1, min(FRAMES, len(grid))).round().long()]
    watching, _ = watched(model, job, steps * (2 if plane else 1) + 3 * len(shown))
    if plane:
        data = watching.sample(POINTS, steps, seed + 1)
    else:
        x = asked.values("values", subject.look.shape)
        data = model.space.check(x).to(model.blank(1))
    x_0 = model.space.encode(data.to(model.blank(1)), rng)
    with evaluating(watching):
        frames = _forward(subject, watching, x_0, shown.tolist(), rng)
        back = _backward(subject, watching, WALKS if plane else 1, steps, shown.tolist(), seed)
    lines = ["import torch", *opening(subject.word)]
    lines += [
        "from quasistatic.sampling import walk",
        "",
        f"x_0 = model.space.encode(model.sample(1, {steps}, {seed}))",
        f"for state in walk(model, 1, {steps}, {seed}):",
        "    if state.t > 0:",
        "        t = torch.full((1,), state.t)",
        "        forward = model.kernel.marginal(x_0, t).sample()  # noise is added to data",
        "        estimate = model.estimate(state.x, t)  # of x_0, on the way back",
    ]
    note = "No command shows the chain: `quasistatic report` draws pictures of it."
    return {
        "times": [0, *shown.tolist()],
        "log_snr": [None, *model.kernel.schedule.log_snr[shown].tolist()],
        "forward": frames,
        "backward": back,
        "data": subject.look.pack(data),
        "snippet": Snippet("\n".join(lines), note=note).facts(),
    }


def _forward(
    subject: Trained, model: Model, x_0: Tensor, times: list[int], rng: torch.Generator
) -> list[Event]:
    """x_t of the data at each time with the same random numbers, the estimate of x_0 and its
    uncertainty."""
    seed = int(torch.randint(2**31, (), generator=rng))
    frames: list[Event] = [{"x": subject.look.pack(model.space.in_raw_units(x_0))}]
    for t in times:
        same = torch.Generator().manual_seed(seed)
        x_t = model.kernel.marginal(x_0, clock(x_0, t)).sample(same)
        frames.append(_frame(subject, model, x_t, t))
    return frames


def _backward(
    subject: Trained, model: Model, n: int, steps: int, times: list[int], seed: int
) -> list[Event]:
    """x_t of the model's walks at each time, from the data to the noise."""
    found: dict[int, Event] = {}
    for state in walk(model, n, steps, seed):
        if state.t == 0:
            found[0] = _points(subject, model, model.space.encode(model.space.decode(state.x)))
        elif state.t in times:
            found[state.t] = _frame(subject, model, state.x, state.t)
    return [found[t] for t in (0, *times)]


def _frame(subject: Trained, model: Model, x_t: Tensor, t: int) -> Event:
    """What is seen of x_t, and for images the model's estimate and its uncertainty."""
    frame = _points(subject, model, x_t)
    if isinstance(subject.look, Points):
        return frame | {"arrows": _arrows(subject, model, t)}
    at = clock(x_t, t)
    output = model.output(x_t, t=at)
    frame["estimate"] = subject.look.pack(
        model.space.in_raw_units(model.head.estimate(model.kernel, output, x_t, at))
    )
    if isinstance(model.head, DenoisingHead):
        belief = model.head.denoise(model.kernel, output, x_t, at)
        one = model.space.in_raw_units(torch.ones_like(x_t)) - model.space.in_raw_units(x_t * 0)
        frame["deviation"] = subject.look.spread(belief.variance.clamp(min=0).sqrt() * one.abs())
    return frame


def _points(subject: Trained, model: Model, x_t: Tensor) -> dict[str, Any]:
    raw = model.space.in_raw_units(x_t)
    look = subject.look
    if not isinstance(look, Points):
        return {"x": look.pack(raw)}
    facts: dict[str, Any] = {"x": look.pack(raw[:POINTS])}
    if len(raw) > POINTS:
        facts["density"] = _density(raw, look.reach)
    return facts


def _density(raw: Tensor, reach: float) -> list[list[float]]:
    """The smoothed share of points in the cells of a square, rows from below."""
    edges = torch.linspace(-reach, reach, CELLS + 1).double()
    counts = torch.histogramdd(raw.detach().cpu().double(), [edges, edges]).hist.T
    kernel = torch.tensor([0.25, 0.5, 0.25]).double()
    smooth = torch.nn.functional.conv2d(
        counts[None, None], kernel.outer(kernel)[None, None], padding=1
    )
    return [[round(each, 3) for each in row] for row in smooth[0, 0].tolist()]


def _arrows(subject: Trained, model: Model, t: int) -> list[list[float]]:
    """Where a point of the plane is drawn to at time t: towards the model's estimate of x_0."""
    look = subject.look
    assert isinstance(look, Points)
    line = torch.linspace(-0.92, 0.92, ARROWS) * look.reach
    raw = torch.cartesian_prod(line, line).to(model.blank(1))
    zero = model.space.in_raw_units(model.blank(1))
    scale = model.space.in_raw_units(torch.ones_like(model.blank(1))) - zero
    x = (raw - zero) / scale
    drift = (model.estimate(x, clock(x, t)) - x) * scale
    longest = 0.18 * look.reach
    length = drift.norm(dim=1, keepdim=True)
    drift = drift * torch.where(length > 0, longest / length * torch.tanh(length / look.reach), 0.0)
    rows = torch.cat([raw, drift], 1).double()
    return [
        [float(f"{each:.3g}") for each in row] for row in rows.tolist() if math.isfinite(sum(row))
    ]
