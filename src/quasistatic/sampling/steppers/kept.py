"""DDIM and its analogues for bits and classes: x_s keeps as much noise of x_t as possible."""

__all__ = ["Kept"]

from dataclasses import dataclass

import torch
from torch import Tensor

from ...distributions import Family
from ...heads import DenoisingHead
from ...kernels import Kernel, SignalNoise
from ...model import Model
from .limits import Limits
from .stepper import State, Stepper, clock


@dataclass(frozen=True)
class Kept(Stepper):
    r"""A law of x_s given x_t and x_0 that has the marginals q(x_s | x_0), averaged over the
    model's law of x_0 (DDIM Eq. 12). Serves every kernel; :func:`DDIM` is another name of it.

    For reals it is DDIM: the noise of x_t is kept, and a share of it is drawn anew. For bits and
    classes x_s is x_t, else x_0, else drawn from the fixed point; see :meth:`Kernel.kept`.

    Args:
        eta: from 0, where as much of x_t is kept as may be (no noise is drawn for reals), to 1,
            which is ancestral sampling.
        limits: of the estimates of x_0, for real values: `Clip(-1, 1)` for example. With it the
            draws leave the model's law.

    Raises:
        ValueError: if eta is not from 0 to 1.
    """

    eta: float = 0.0
    limits: Limits | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is a share, from 0 (DDIM) to 1 (ancestral), got {self.eta}")

    def require(self, model: Model, times: Tensor) -> None:
        head = model.head
        if self.limits is not None:
            self.limits.require(model)
        if not self._ancestral and not (isinstance(head, DenoisingHead) and head.jumps):
            raise TypeError(
                f"{type(head).__name__} defines the step between neighbours only, and Kept needs a "
                "law of x_0: use Ancestral(), or train a head that states one (Clean, Noise, "
                "Velocity, Levels, Classes)"
            )

    def step(self, model: Model, state: State, s: int, rng: torch.Generator | None) -> State:
        x, early, late = state.x, clock(state.x, s), clock(state.x, state.t)
        if self._ancestral:
            return State(model.reverse(x, early, late).sample(rng), s)
        assert isinstance(model.head, DenoisingHead)  # by require
        law = model.head.denoise(model.kernel, model.output(x, late), x, late)
        law = self._limited(model.kernel, law)
        return State(model.kernel.kept(x, law, early, late, self.eta).sample(rng), s)

    def last(self, model: Model, state: State, rng: torch.Generator | None) -> State:
        # Where the last step of real values is fixed in advance it adds noise: DDIM ends by the
        # estimate instead. Levels, bits and classes are drawn by the last step.
        if self._ancestral or not _reals(model).any():
            return super().last(model, state, rng)
        assert isinstance(model.head, DenoisingHead)  # by require
        kernel, x, at = model.kernel, state.x, clock(state.x, state.t)
        output = model.output(x, at)
        law = self._limited(kernel, model.head.denoise(kernel, output, x, at))
        p = model.space.last(kernel, x, at, lambda: model.head.last(kernel, output, x, at))
        ended = kernel.kept(x, law, torch.zeros_like(at), at, self.eta).sample(rng)
        return State(torch.where(_reals(model).to(x.device), ended, p.sample(rng)), 0)

    @property
    def _ancestral(self) -> bool:
        return self.eta == 1 and self.limits is None

    def _limited(self, kernel: Kernel, law: Family) -> Family:
        return law if self.limits is None else self.limits.law(kernel, law)


def _reals(model: Model) -> Tensor:
    """Where the values of x_0 have a last step that is fixed in advance, with shape (*)."""
    mask = torch.zeros(model.space.state, dtype=torch.bool)
    for part in model.space.independent_parts(model.kernel):
        if not part.space.learns_last_step and isinstance(part.kernel, SignalNoise):
            mask[part.values] = True
    return mask
