r"""One walk from noise to data. What differs between a sample and a posterior is the guide."""

__all__ = ["Free", "Guide", "State", "ancestral", "descend", "walk"]

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Family
from ..model import Model


@dataclass(frozen=True)
class State:
    """Where a walk is: x (n, *) at time t, and the log-weight (n,) of each walker."""

    x: Tensor
    t: int
    log_weight: Tensor


class Guide(abc.ABC):
    """How a walk draws x_s from p(x_s | x_t)."""

    @abc.abstractmethod
    def start(self, model: Model, p: Family, t: int, rng: torch.Generator | None) -> State:
        """The first state, from the prior p(x_T)."""

    @abc.abstractmethod
    def step(
        self, model: Model, state: State, p: Family, s: int, rng: torch.Generator | None
    ) -> State:
        """The next state, from p(x_s | x_t); s = 0 ends the walk."""


@dataclass(frozen=True)
class Free(Guide):
    """Ancestral sampling: whatever the model says."""

    def start(self, model: Model, p: Family, t: int, rng: torch.Generator | None) -> State:
        x = p.sample(rng)
        return State(x, t, x.new_zeros(len(x)))

    def step(
        self, model: Model, state: State, p: Family, s: int, rng: torch.Generator | None
    ) -> State:
        return State(p.sample(rng), s, state.log_weight)


@torch.no_grad()
def walk(
    model: Model,
    n: int,
    guide: Guide,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Iterator[State]:
    """The states of n walkers from x_T to x_0 along `times`, see :meth:`Model.times`."""
    model.eval()
    grid = model.times(times).tolist()
    state = guide.start(model, model.kernel.prior(model.blank(n)), grid[-1], rng)
    yield from descend(model, state, guide, grid, rng)


@torch.no_grad()
def descend(
    model: Model, state: State, guide: Guide, times: list[int], rng: torch.Generator | None = None
) -> Iterator[State]:
    """The states from one at the last of the rising `times` down to x_0, itself first."""
    model.eval()
    yield state
    at = torch.ones(len(state.x), dtype=torch.long, device=state.x.device)
    for s, t in zip(times[-2::-1], times[:0:-1], strict=True):
        state = guide.step(model, state, model.reverse(state.x, s * at, t * at), s, rng)
        yield state
    yield guide.step(model, state, model.last(state.x, times[0] * at), 0, rng)


def ancestral(
    model: Model,
    n: int,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Tensor:
    """n exact draws from the model as raw data, with shape (n, *) (SD15 Sec. 2.2, DDPM Alg. 2).

    Raises:
        ValueError: if n < 1, or the times do not make a chain.
    """
    if n < 1:
        raise ValueError(f"a sample needs at least one draw, got n = {n}")
    drawn = []
    for first in range(0, n, model.chunk_size):
        for state in walk(model, min(model.chunk_size, n - first), Free(), times, rng):
            x_0 = state.x
        drawn.append(model.space.decode(x_0))
    return torch.cat(drawn)
