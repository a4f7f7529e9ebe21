"""Ancestral sampling: every step is a draw from the model's own p(x_s | x_t)."""

__all__ = ["Ancestral"]

from dataclasses import dataclass

import torch

from ...model import Model
from .stepper import State, Stepper, clock


@dataclass(frozen=True)
class Ancestral(Stepper):
    """Draws x_s from p(x_s | x_t) as the head states it (SD15 Sec. 2.2, DDPM Alg. 2). Serves every
    model; the draws have exactly the law that `score` bounds."""

    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        p = model.reverse(state.x, clock(state.x, s), clock(state.x, state.t))
        return State(p.sample(rng), s)
