"""The losses of a flow map."""

__all__ = ["MeanFlowLoss", "ProgressiveLoss"]

from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ..._utils.randomness import below
from ...kernels import SignalNoise
from ...likelihood.flow_map import (
    flow_map_of,
    has_flow_map,
    map_outputs,
    mean_velocity,
    places,
    turned,
)
from ...model import Model
from ..objectives import Objective
from .trajectories import Trajectories


@dataclass(frozen=True)
class MeanFlowLoss(Objective):
    r"""The squared error of the mean velocity of a step (Geng et al. 2025) and, times a weight, of
    the mean divergence (F2D2), against those along a trajectory of the teacher's flow.

    MeanFlow's own target is an identity that the network meets with itself; here the teacher's
    flow has been followed, so that no error of one step enters the target of another. The data
    that `fit` gives are not used.

    Args:
        trajectories: of the teacher.
        weight: of the divergence; 0 if it is not trained.
    """

    trajectories: Trajectories
    weight: float = 1.0

    def check(self, model: Model) -> None:
        flow_map_of(model)

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        table, count = self.trajectories, len(raw)
        rows = below(table.x.shape[1], count, rng, table.x)
        start, end = self._steps(model, count, rng)
        times = torch.tensor(table.times, device=table.x.device)
        t, s, x_t, x_s, spread = (
            each.to(raw.device)
            for each in (
                times[start],
                times[end],
                table.x[start, rows],
                table.x[end, rows],
                table.spread[end, rows] - table.spread[start, rows],
            )
        )
        if table.codes is not None:
            model = model.with_codes(table.codes[rows].to(raw.device))
        found = map_outputs(model, x_t, t, s)
        loss = (found[..., 0] - mean_velocity(model, x_t, x_s, t, s)).square().flatten(1).mean(1)
        if not self.weight:
            return loss
        measure = places(model, s)[1] - places(model, t)[1]
        share = spread / measure.to(spread)
        off = found[..., 1].flatten(1).mean(1) - share / x_t[0].numel()
        return loss + self.weight * torch.where(s > 0, off, 0.0).square()

    def _steps(self, model: Model, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """From and to which of the trajectories' times the steps of `count` examples go."""
        counts = flow_map_of(model).counts
        pairs = [p for each in counts for p in self.trajectories.pairs(each, self.weight > 0)]
        table = self.trajectories.x
        chosen = torch.tensor(pairs, device=table.device)[below(len(pairs), count, rng, table)]
        return chosen[:, 0], chosen[:, 1]

    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        return "map_error", loss


@dataclass(frozen=True)
class ProgressiveLoss(Objective):
    r"""The squared error of the velocity of a step against two steps of a teacher (SH22 Alg. 2). In
    units of x_0 its weight is SNR + 1.

    Args:
        teacher: a model. If it has a flow map its steps are those of the map, else DDIM's.
        times: of the teacher's steps, rising to T: twice as many as the map has.
    """

    teacher: Model
    times: tuple[int, ...]

    def check(self, model: Model) -> None:
        if self.times[1::2] != flow_map_of(model).grid():
            raise ValueError(
                f"every second time of the teacher must be one of the map, "
                f"{list(flow_map_of(model).grid())}, got {list(self.times)}"
            )

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        grid = torch.tensor((0, *self.times), device=raw.device)
        x_0 = model.space.encode(raw, rng)
        k = 2 + 2 * below(len(grid) // 2, len(raw), rng, raw)
        t, u, s = grid[k], grid[k - 1], grid[k - 2]
        x_t = model.kernel.marginal(x_0, t).sample(rng)
        with torch.no_grad(), evaluating(self.teacher):
            teacher = self.teacher.with_codes(model.codes)
            x_s = _step(teacher, _step(teacher, x_t, t, u), u, s)
        off = map_outputs(model, x_t, t, s)[..., 0] - mean_velocity(model, x_t, x_s, t, s)
        return off.square().flatten(1).mean(1)

    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        return "map_error", loss


def _step(model: Model, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """A step of a teacher from x (B, *), each from its time t (B,) to its time s (B,)."""
    if has_flow_map(model):
        return turned(model, x, map_outputs(model, x, t, s)[..., 0], t, s)
    assert isinstance(model.kernel, SignalNoise)  # by require_flow
    signal, noise = model.kernel.signal(t, x), model.kernel.noise(t, x)
    return turned(model, x, (signal * x - model.estimate(x, t)) / noise, t, s)
