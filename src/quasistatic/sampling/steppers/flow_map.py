"""Walks by a learned flow map: one to eight long steps from noise to data."""

__all__ = ["FlowMap"]

from dataclasses import dataclass

import torch
from torch import Tensor

from ...likelihood.flow_map import flow_map_of, map_step
from ...model import Model
from .stepper import State, Stepper


@dataclass(frozen=True)
class FlowMap(Stepper):
    """The learned steps of a distilled model, see :func:`.distill`: one evaluation for each. No
    noise is drawn after x_T. `times` is a number of evaluations that was trained, such as 1, 2, 4
    or 8, and by default the largest."""

    def require(self, model: Model, times: Tensor) -> None:
        network = flow_map_of(model)
        grid = tuple(times.tolist())
        if all(grid != network.grid(count) for count in network.counts):
            known = ", ".join(map(str, network.counts))
            raise ValueError(
                f"the steps of a flow map are trained at times of its own: give {known} for the "
                f"number of them, got times {list(grid)}"
            )

    def times(self, model: Model, count: int | None) -> Tensor:
        return torch.tensor(flow_map_of(model).grid(count))

    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        return State(map_step(model, state.x, state.t, s).x, s)

    def last(self, model: Model, state: State, rng: torch.Generator | None) -> State:
        return self.step(model, state, 0, rng)
