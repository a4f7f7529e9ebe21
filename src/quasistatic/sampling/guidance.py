r"""The guided walks of SD15 Sec. 2.5: r multiplied into every step, without weights. They are
approximations: their draws do not have the law p r / Z, and they do not know the evidence Z."""

__all__ = ["RULES", "Guided"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.randomness import Rng, as_generator
from ..distributions import Family
from ..model import Model
from .factors import Factor
from .method import Drawn, PosteriorMethod
from .sampler import Times, walk
from .steppers import Ancestral, State, clock

Rule = Callable[[Factor, Model, Family, int], Family]


def _constant(factor: Factor, model: Model, p: Family, t: int) -> Family:
    return factor.update(p)


def _growing(factor: Factor, model: Model, p: Family, t: int) -> Family:
    share = (model.steps - t) / model.steps
    return p if share == 0 else factor.power(share).update(p)


def _matched(factor: Factor, model: Model, p: Family, t: int) -> Family:
    return factor.matched(model.kernel, p, clock(p.mean, t)) if t > 0 else factor.update(p)


RULES: dict[str, Rule] = {"constant": _constant, "growing": _growing, "matched": _matched}
"""What a step to time t is multiplied by: r (SD15 Eq. 23), r^((T - t) / T), or the mean of r(x_0)
given x_t if the data were the kernel's fixed point."""


@dataclass(frozen=True)
class Guided(PosteriorMethod):
    """SD15's walks with r multiplied into every step: fast, one network evaluation a step and draw,
    and approximate. They know no evidence; their draws are independent.

    Args:
        rule: "constant" multiplies every step by r (SD15 Eq. 23); "growing" by r^((T - t) / T);
            "matched" by the mean of r given x_t, if the data were the kernel's fixed point.

    Raises:
        ValueError: if there is no such rule.
    """

    rule: str = "matched"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(
                f"there is no rule {self.rule!r} of guided walks: choose one of {', '.join(RULES)}"
            )

    def __call__(
        self,
        model: Model,
        factor: Factor,
        examples: int,
        draws: int,
        times: Times,
        rng: Rng,
        together: int,
    ) -> Drawn:
        owner, source = torch.arange(examples).repeat_interleave(draws), as_generator(rng)
        found = []
        for rows in torch.split(owner, together):
            stepper = _Guided(factor, rows, RULES[self.rule])
            for state in walk(model.take(rows), len(rows), times, source, stepper):
                x_0 = state.x
            found.append(model.space.snap_to_levels(x_0))
        x_0 = torch.cat(found).reshape(examples, draws, *model.space.state)
        unknown = torch.full((examples,), math.nan, dtype=torch.float64)
        nothing = torch.zeros(examples, dtype=torch.long)
        return Drawn(x_0, unknown, unknown, unknown, nothing, repeats=0)


@dataclass(frozen=True)
class _Guided(Ancestral):
    """Every step, multiplied by what the rule makes of a factor at its time."""

    factor: Factor
    rows: Tensor
    rule: Rule

    def start(self, model: Model, n: int, t: int, rng: torch.Generator | None) -> State:
        return State(self._tilted(model, model.kernel.prior(model.blank(n)), t).sample(rng), t)

    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        p = model.reverse(state.x, clock(state.x, s), clock(state.x, state.t))
        return State(self._tilted(model, p, s).sample(rng), s)

    def last(self, model: Model, state: State, rng: torch.Generator | None) -> State:
        p = model.last(state.x, clock(state.x, state.t))
        x = self._tilted(model, p, 0).sample(rng)
        known = self._factor(len(x)).known
        if known is not None:
            known = known.to(x)
            x = torch.where(known.isnan(), x, known)
        return State(x, 0)

    def _tilted(self, model: Model, p: Family, t: int) -> Family:
        return self.rule(self._factor(len(p.mean)), model, p, t)

    def _factor(self, n: int) -> Factor:
        """The factor of n rows: a walk may have some more than there are, which it drops."""
        missing = n - len(self.rows)
        rows = torch.cat([self.rows, self.rows[-1:].expand(missing)]) if missing else self.rows
        return self.factor.take(rows)
