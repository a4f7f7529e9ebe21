"""Sampling: walks from noise to data, many examples at once, by any stepper."""

__all__ = ["Batch", "Times", "batched_walks", "resolve_times", "sample", "walk"]

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from .._utils.randomness import ExampleStreams, Rng, as_generator, seed_from
from ..model import Model
from ..training.callbacks import Callback
from .drawing_progress import DrawingProgress
from .steppers import Ancestral, State, Stepper
from .time_grids import TimeGrid

Times: TypeAlias = int | Sequence[int] | Tensor | TimeGrid | None
"""The times of a chain: a number of them, the times themselves, a grid (`EvenLogSNR(10)`), or None
for the default."""


SMALL = 1024
"""Values of an example up to which seeded draws come in batches of a multiple of 16 rows."""

FOR_RAW = 0x5DEECE66D
"""Changes the seed of a walk to that of the draw of raw data from its end."""


def _multiple(model: Model) -> int:
    """The number that the rows of batches are a multiple of. Processors round rows differently at
    different places of a batch, and where it ends: an example should not depend on its place."""
    return 16 if math.prod(model.space.state) <= SMALL else 4


def _checked(stepper: Stepper | None) -> Stepper:
    """The stepper, or the default one; TypeError if it is something else."""
    stepper = stepper or Ancestral()
    if not isinstance(stepper, Stepper):
        raise TypeError(
            "a stepper is an object such as UniPC() or DDIM() of quasistatic.sampling, got "
            f"{stepper!r}"
        )
    return stepper


def _batch_size(model: Model) -> int:
    """How many walks are made at once."""
    rows = _multiple(model)
    return max(rows, model.chunk_size // rows * rows)


def resolve_times(model: Model, times: Times, stepper: Stepper) -> Tensor:
    """The times that a stepper visits, rising to T, with shape (k,).

    Raises:
        ValueError: if they make no chain.
    """
    if times is None or isinstance(times, int):
        return stepper.times(model, times)
    return model.times(times(model) if isinstance(times, TimeGrid) else times)


def walk(
    model: Model,
    n: int,
    times: Times = None,
    rng: Rng = None,
    stepper: Stepper | None = None,
    first: int = 0,
) -> Iterator[State]:
    """The states of n walks from x_T to x_0.

    Args:
        model: whose chain is walked.
        n: how many walks there are.
        times: the times to visit, see :meth:`Model.times`.
        rng: a seed, a generator or None. With the first two, walk i has the draws of example
            `first` + i of :func:`sample`.
        stepper: by default :class:`Ancestral`.
        first: the number of the first walk.
    """
    stepper = _checked(stepper)
    grid = resolve_times(model, times, stepper)
    stepper.require(model, grid)
    source, size = as_generator(rng), n
    model = model.given_each(None, n)
    if source is not None:
        rows = _multiple(model)
        size = -(-n // rows) * rows
        source = ExampleStreams(seed_from(source), first, size, source.device)
        model = model.take(torch.arange(size).clamp(max=n - 1))
    first_state = stepper.start(model, size, int(grid[-1]), source)
    for state in stepper.walk(model, first_state, grid.tolist(), source):
        yield State(state.x[:n], state.t)


def sample(
    model: Model,
    n: int,
    times: Times = None,
    rng: Rng = None,
    stepper: Stepper | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = False,
) -> Tensor:
    """n draws from the model as raw data, with shape (n, *).

    Args:
        model: to draw from.
        n: how many.
        times: the times to visit, see :meth:`Model.times`; by default what the stepper takes.
        rng: a seed, a generator, which moves on by one draw, or None. Example i of a seed is the
            same however many are drawn: its noise depends on the seed and on i only.
        stepper: by default :class:`Ancestral`, exact draws.
        callbacks: functions of :class:`.Progress`, called a few times a second and at the end; its
            steps are the times that all draws visit.
        progress: whether to show a progress bar; None shows one on a terminal and in a notebook.

    Raises:
        TypeError: if the stepper cannot serve the model: which can.
        ValueError: if n < 1, or the times make no chain, or weights or a draw are not finite.
    """
    model.require_known_weights()
    drawn: list[Tensor] = []
    batches = batched_walks(model, n, times, rng, stepper)
    steps = len(resolve_times(model, times, _checked(stepper)))
    whole = steps * -(-n // _batch_size(model))
    with DrawingProgress(whole, n, callbacks, progress) as report:
        for batch in batches:
            done = steps * len(drawn)
            for step, state in enumerate(batch.states):
                x_0 = state.x
                report(done + min(step, steps - 1))
            if not x_0.isfinite().all():
                raise ValueError(
                    "a draw is NaN or infinite: the network's output is not finite; look at the "
                    "weights, or take more steps if the stepper is not ancestral"
                )
            drawn.append(model.space.draw_raw(x_0, batch.for_raw))
            report(done + steps)
    return torch.cat(drawn)


class Batch(NamedTuple):
    """Walks that are made at once.

    Args:
        first: the number of the first walk.
        states: of the walks, one after the other.
        for_raw: the generator that draws raw values given x_0, where the space draws them.
    """

    first: int
    states: Iterator[State]
    for_raw: torch.Generator | None


def batched_walks(
    model: Model,
    n: int,
    times: Times = None,
    rng: Rng = None,
    stepper: Stepper | None = None,
) -> Iterator[Batch]:
    """The walks of :func:`sample`, in batches that fit into memory.

    Args:
        model, n, times, rng, stepper: those of :func:`sample`.

    Yields:
        One batch after the other. The last state of its walks has x_0.

    Raises:
        ValueError: if n < 1.
    """
    if n < 1:
        raise ValueError(f"a sample needs at least one draw, got n = {n}")
    model = model.given_each(None, n)
    source = as_generator(rng)
    before = None if source is None else source.get_state()
    batch = _batch_size(model)
    for first in range(0, n, batch):
        if source is not None and before is not None:
            source.set_state(before)  # one seed for all batches
        count = min(batch, n - first)
        part = model.take(slice(first, first + count))
        walks = walk(part, count, times, source, stepper, first)
        yield Batch(first, walks, _for_raw(before, source, first, count))


def _for_raw(
    before: Tensor | None, source: torch.Generator | None, first: int, count: int
) -> torch.Generator | None:
    """The generator of p(raw | x_0), for some examples of a seed: it depends on the seed and on the
    number of an example, as that of its walk."""
    if source is None or before is None:
        return None
    copied = torch.Generator(source.device)
    copied.set_state(before)
    walked = seed_from(copied)
    return ExampleStreams(walked ^ FOR_RAW, first, count, source.device)
