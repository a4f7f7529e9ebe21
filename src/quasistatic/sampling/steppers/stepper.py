"""The interface of steppers: one step of a walk from noise to data, and the whole walk."""

__all__ = ["Estimate", "State", "Stepper", "clock"]

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...model import Model


@dataclass(frozen=True)
class Estimate:
    """E[x_0 | x_t] as the network gave it.

    Args:
        t: the time, with shape (1,), or of each example, (n,).
        x: x_t, with shape (n, *).
        x_0: the estimate, with shape (n, *).
    """

    t: Tensor
    x: Tensor
    x_0: Tensor


@dataclass(frozen=True)
class State:
    """The state of a walk.

    Args:
        x: x_t of each example, with shape (n, *).
        t: the time, from T down to 0.
        seen: the estimates that the walk has made, the latest first, as far as its stepper keeps
            them.
        drawn: the noise that the last step added to x, with shape (n, *), if its stepper needs it
            again.
    """

    x: Tensor
    t: int
    seen: tuple[Estimate, ...] = ()
    drawn: Tensor | None = None


class Stepper(abc.ABC):
    """How a walk goes from x_t to x_s, s < t. A stepper holds no state and serves many walks.

    A subclass defines :meth:`step`. It may also replace :meth:`last`, the step to x_0, and
    :meth:`walk`, if its steps do not follow one after the other.
    """

    def require(self, model: Model, times: Tensor) -> None:  # noqa: B027 (most need nothing)
        """Checks that this stepper can walk the model's chain along `times`, rising to T.

        Raises:
            TypeError: if the model's kernel or head cannot serve: the message says what can.
            ValueError: if the times cannot.
        """

    def evaluations(self, count: int) -> int:
        """Network evaluations of a walk along `count` times."""
        return count

    def times(self, model: Model, count: int | None) -> Tensor:
        """The times that the stepper takes where a number of them is asked for, or none (None):
        rising to T."""
        return model.times(count)

    def start(self, model: Model, n: int, t: int, rng: torch.Generator | None) -> State:
        """The first state: n draws from the prior p(x_T), T = t."""
        return State(model.kernel.prior(model.blank(n)).sample(rng), t)

    @abc.abstractmethod
    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        """The state at time s, 1 <= s < state.t."""

    def last(self, model: Model, state: State, rng: torch.Generator | None) -> State:
        """The state at time 0, by p(x_0 | x_t)."""
        return State(model.last(state.x, clock(state.x, state.t)).sample(rng), 0)

    @torch.no_grad()
    def walk(
        self,
        model: Model,
        state: State,
        times: Sequence[int],
        rng: torch.Generator | None = None,
    ) -> Iterator[State]:
        """The states of a walk: `state`, those at the `times` below its own, falling, and x_0."""
        yield state
        with evaluating(model):
            for s in sorted((s for s in times if s < state.t), reverse=True):
                state = self.step(model, state, s, rng)
                yield state
            yield self.last(model, state, rng)


def clock(x: Tensor, t: int) -> Tensor:
    """Time t for each example of x (n, *), with shape (n,)."""
    return torch.full((len(x),), t, dtype=torch.long, device=x.device)
