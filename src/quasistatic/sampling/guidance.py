r"""The walks of SD15 Sec. 2.5: r multiplied into every step, and no weights. Approximations: what
they draw is not p r, and they know no evidence."""

__all__ = ["PLAIN", "Plain", "plain"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Family
from ..model import Model
from .ancestral import Guide, State, walk
from .factors import Factor

Tilt = Callable[[Factor, Model, Family, int], Family]


def _constant(factor: Factor, model: Model, p: Family, t: int) -> Family:
    return factor.update(p)


def _growing(factor: Factor, model: Model, p: Family, t: int) -> Family:
    share = (model.steps - t) / model.steps
    return p if share == 0 else factor.power(share).update(p)


def _matched(factor: Factor, model: Model, p: Family, t: int) -> Family:
    at = torch.full((len(p.mean),), t, dtype=torch.long, device=p.mean.device)
    return factor.matched(model.kernel, p, at) if t > 0 else factor.update(p)


PLAIN: dict[str, Tilt] = {"constant": _constant, "growing": _growing, "matched": _matched}
"""What r is at time t: r itself (SD15 Eq. 23), r^((T - t) / T), or r as x_t sees it through the
noise, if the data were the kernel's fixed point."""


@dataclass(frozen=True)
class Plain(Guide):
    """Every step, multiplied by r at its time."""

    factor: Factor
    tilt: Tilt

    def start(self, model: Model, p: Family, t: int, rng: torch.Generator | None) -> State:
        return State(self._tilted(model, p, t).sample(rng), t, p.mean.new_zeros(len(p.mean)))

    def step(
        self, model: Model, state: State, p: Family, s: int, rng: torch.Generator | None
    ) -> State:
        x = self._tilted(model, p, s).sample(rng)
        known = self.factor.known
        if s == 0 and known is not None:
            known = known.to(x)
            x = torch.where(known.isnan(), x, known)
        return State(x, s, state.log_weight)

    def _tilted(self, model: Model, p: Family, t: int) -> Family:
        return self.tilt(self.factor, model, p, t)


def plain(
    model: Model,
    factor: Factor,
    examples: int,
    draws: int,
    how: str = "constant",
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Tensor:
    """x_0 by one of SD15's walks, with shape (examples, draws, *): a name of :data:`PLAIN`."""
    owner = torch.arange(examples).repeat_interleave(draws)
    found = []
    for rows in owner.split(model.chunk_size):
        guide = Plain(factor.take(rows), PLAIN[how])
        for state in walk(model, len(rows), guide, times, rng):
            x_0 = state.x
        found.append(model.space.snap_to_levels(x_0))
    return torch.cat(found).unflatten(0, (examples, draws))
