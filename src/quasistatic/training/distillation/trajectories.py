"""Trajectories of a model's probability flow, which a flow map learns from."""

__all__ = ["Trajectories", "flow_trajectories"]

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...likelihood.probability_flow import follow, trace_vectors
from ...model import Model
from ...sampling.time_grids import EvenLogSNR


@dataclass(frozen=True, eq=False, repr=False)
class Trajectories:
    """M trajectories of the flow at the times where the steps of a flow map end.

    Args:
        times: 0, 1 and the times of the longest walk, rising to T: K of them.
        x: the points at these times, with shape (K, M, *). That at time 0 is E[x_0 | x_1].
        spread: log |det dx_t / dx_1|, with shape (K, M), in nats; zero at time 0.
        codes: of the condition, with shape (M, width); None without one.
    """

    times: tuple[int, ...]
    x: Tensor
    spread: Tensor
    codes: Tensor | None = None

    def __repr__(self) -> str:
        return (
            f"Trajectories({self.x.shape[1]} of shape {tuple(self.x.shape[2:])} at times "
            f"{list(self.times)})"
        )

    def pairs(self, count: int, up: bool) -> list[tuple[int, int]]:
        """The steps of a walk of `count` evaluations, from and to which of the times.

        Args:
            count: a power of two, at most the number of times after 0 and 1.
            up: also the steps from time 1 to T, by which data are scored.
        """
        longest = len(self.times) - 2
        every = longest // count
        ends = [k + 2 for k in range(every - 1, longest, every)]
        down = [(t, s) for s, t in itertools.pairwise([0, *ends])]
        return down + ([*itertools.pairwise([1, *ends])] if up else [])


@torch.no_grad()
def flow_trajectories(
    model: Model,
    grid: tuple[int, ...],
    count: int,
    evaluations: int,
    probes: int | None,
    density: bool,
    rng: torch.Generator,
    raw: Tensor | None = None,
) -> Trajectories:
    """Trajectories of a model's flow, half of them from noise down, and half from data up.

    Args:
        model: with a probability flow, and a given value for each trajectory, or none.
        grid: the times of the longest walk of the map, rising to T, without 1.
        count: how many trajectories.
        evaluations: of the model for each.
        probes: see :func:`.flow`.
        density: whether `spread` is computed.
        rng: a generator.
        raw: data with shape (N, *), of which each starts one trajectory; the others, up to `count`,
            start from noise.
    """
    fine = EvenLogSNR(min(evaluations, model.steps))(model).tolist()
    times = torch.tensor(sorted({1, *fine, *grid}))
    at = torch.searchsorted(times, torch.tensor([1, *grid]))
    started = 0 if raw is None else min(len(raw), count // 2)
    parts = []
    with evaluating(model):
        if raw is not None and started:
            x_0 = model.space.encode(raw[:started].to(model.blank(1)), rng).double()
            one = torch.ones(started, dtype=torch.long, device=x_0.device)
            x = model.kernel.marginal(x_0, one).sample(rng)
            rows = model.take(slice(0, started))
            parts.append(_points(rows, x, times, at, probes, density, rng))
        x = model.kernel.prior(model.blank(count - started).double()).sample(rng)
        rows = model.take(slice(started, count))
        down = _points(rows, x, times.flip(0), len(times) - 1 - at, probes, density, rng)
        parts.append((down[0], down[1], down[2] - down[2][:1]))
    ends = torch.cat([end for end, _, _ in parts])
    x = torch.cat([points for _, points, _ in parts], 1)
    spread = torch.cat([spread for _, _, spread in parts], 1)
    dtype = model.blank(1).dtype
    points = torch.cat([ends[None], x]).to(dtype)
    spread = torch.cat([torch.zeros_like(spread[:1]), spread]).to(dtype)
    return Trajectories((0, 1, *grid), points, spread, model.codes)


def _points(
    model: Model,
    x: Tensor,
    times: Tensor,
    at: Tensor,
    probes: int | None,
    density: bool,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """E[x_0 | x_1] (M, *), the points (K, M, *) at some of the times, in the order of `at`, and the
    spread since the first of the times (K, M)."""
    found = []
    for part, rows in model.chunks(x):
        vectors = list(trace_vectors(rows, probes, rng)) if density else []
        wanted = {int(k): n for n, k in enumerate(at)}
        kept: list[Any] = [None] * len(at)
        for k, point in enumerate(follow(part, rows, times, vectors)):
            if k in wanted:
                kept[wanted[k]] = (point.x, point.spread)
            if int(times[k]) == 1:
                end = point.estimate
        found.append(
            (end, torch.stack([x for x, _ in kept]), torch.stack([spread for _, spread in kept]))
        )
    ends, points, spreads = zip(*found, strict=True)
    return torch.cat(ends), torch.cat(points, 1), torch.cat(spreads, 1)
