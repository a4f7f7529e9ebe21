r"""A learned flow map: the flow of a model in few long steps, and the density that goes with it.

With the angle a = atan(signal / noise) the flow is dx / da = -v(x, a), where v = signal eps -
noise x_0 is the velocity (SH22). A step from t to s, D = a_s - a_t, is
    x_s = cos(D) x_t - sin(D) V,    log |det dx_s / dx_t| = (m_s - m_t) sum_i W_i,
where a network gives V and W for x_t, t and s: the mean velocity (MeanFlow, Geng et al. 2025), and
the mean of dE[x_0]_i / dx_i - signal over the measure m = asinh(signal / noise) (F2D2, Ai et al.
2026). Where V is the velocity at t the step is DDIM's. For data that are standard normal both V and
W are zero at any s.
"""

__all__ = [
    "FlowMapScore",
    "MapStep",
    "flow_map_of",
    "flow_map_score",
    "has_flow_map",
    "map_outputs",
    "map_step",
    "mean_velocity",
    "places",
    "turned",
]

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..distributions import total
from ..kernels import SignalNoise
from ..kernels.flow import half_log_snr
from ..model import Model
from ..networks import FlowMapNetwork
from .path_weights import last
from .score import Score


@dataclass(frozen=True)
class MapStep:
    """A step of a flow map.

    Args:
        x: where it ends, with shape (B, *).
        spread: log |det dx_s / dx_t|, with shape (B,), in nats. It has no meaning for s = 0.
    """

    x: Tensor
    spread: Tensor


def flow_map_of(model: Model) -> FlowMapNetwork:
    """The model's flow map.

    Raises:
        TypeError: if it has none.
    """
    for module in model.network.modules():  # compiled and autocast networks wrap it
        if isinstance(module, FlowMapNetwork):
            return module
    raise TypeError(
        f"{type(model.network).__name__} has no flow map: distill(model) trains one, or walk by "
        "UniPC() or DDIM()"
    )


def has_flow_map(model: Model) -> bool:
    """Whether the model has a flow map."""
    return any(isinstance(module, FlowMapNetwork) for module in model.network.modules())


def places(model: Model, t: Tensor) -> tuple[Tensor, Tensor]:
    """The angle atan(signal / noise) of times t (n,), and the measure asinh(signal / noise), which
    is infinite at t = 0; each with shape (n,), in float64."""
    rho = half_log_snr(model.kernel, t).exp()
    return rho.atan(), rho.asinh()


def map_outputs(model: Model, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """V and W (B, *, 2) of steps from x (B, *), each from its time t (B,) to its time s (B,)."""
    start, end = (
        (half_log_snr(model.kernel, each) / 2).sigmoid().to(x.dtype).expand(len(x))
        for each in (t, s)
    )
    time = (t / model.steps).to(x.dtype).expand(len(x))
    return flow_map_of(model).velocity(x, time, start, end, *model.code_of(x))


def turned(model: Model, x: Tensor, velocity: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """x_s of steps from x (B, *) with a mean velocity (B, *), each from its time t (B,) or (1,) to
    its time s."""
    turn = _turn(model, x, t, s)
    return turn.cos() * x - turn.sin() * velocity


def mean_velocity(model: Model, x_t: Tensor, x_s: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The velocity (B, *) of which :func:`turned` makes x_s (B, *) from x_t (B, *)."""
    turn = _turn(model, x_t, t, s)
    return (turn.cos() * x_t - x_s) / turn.sin()


def _turn(model: Model, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The angle from t to s, to multiply x (B, *) with."""
    turn = places(model, s)[0] - places(model, t)[0]
    return turn.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def map_step(model: Model, x: Tensor, t: int, s: int) -> MapStep:
    """The step of a model's flow map from x (B, *) at time t to time s, in either direction.

    Raises:
        TypeError: if the model has no flow map.
    """
    ends = torch.tensor([t, s], device=x.device)
    found = map_outputs(model, x.to(model.blank(1).dtype), ends[:1], ends[1:]).to(x.dtype)
    measure = places(model, ends)[1]
    moved = turned(model, x, found[..., 0], ends[:1], ends[1:])
    return MapStep(moved, (measure[1] - measure[0]).to(x.dtype) * total(found[..., 1]))


@dataclass(frozen=True, repr=False)
class FlowMapScore(Score):
    r"""The likelihood by a learned flow map in few evaluations (F2D2). It is not a bound, and its
    error is that of the training: nothing in the number says how large it is. Its terms are those
    of :class:`.FlowScore`."""

    about = "log p(x) by a learned flow map (F2D2), an estimate and not a bound"


@torch.no_grad()
def flow_map_score(
    model: Model, raw: object, evaluations: int | None = None, draws: int = 1, rng: Rng = None
) -> FlowMapScore:
    """log p(raw) by the steps of a flow map from t = 1 to T, and by the chain's own last step
    before t = 1, as :func:`.flow` has it.

    Args:
        model: with a flow map whose density was trained.
        raw: raw data, with shape (N, *).
        evaluations: steps of the map; by default the most that were trained.
        draws: draws of x_1 for each example, whose weights are averaged.
        rng: a seed, a generator or None.

    Raises:
        TypeError: if the model has no flow map, or one without a density.
        ValueError: if another number of evaluations was trained, or `draws` is below 1.
    """
    network = flow_map_of(model)
    if not network.density:
        raise TypeError(
            "the flow map was trained for draws only, and gives no density: distill the model by "
            "MeanFlow(), or score by the bound or Flow()"
        )
    if draws < 1:
        raise ValueError(f"draws must be 1 or more, got {draws}")
    grid = network.grid(evaluations)
    rng = as_generator(rng)
    checked = model.space.check(raw).to(model.blank(1))
    with evaluating(model):
        rows = checked.repeat_interleave(draws, 0)
        pieces = model.repeated(draws).chunks(rows)
        parts = [_mapped(part, each, grid, rng) for part, each in pieces]
    density, edge = (torch.cat(each).reshape(-1, draws) for each in zip(*parts, strict=True))
    weights = density + edge
    terms = {"density": density.mean(1), "edge": edge.mean(1)}
    terms["reweighting"] = weights.logsumexp(1) - math.log(draws) - weights.mean(1)
    x_0 = model.space.encode(checked, rng)
    null = total(model.space.log_prob(model.kernel.prior(x_0), x_0))
    share = ((weights.softmax(1) ** 2).sum(1) - 1 / draws).clamp(min=0).sqrt()
    noise = share if draws > 1 else torch.full_like(share, math.nan)
    freedom = torch.full_like(noise, draws - 1)
    spent = draws * (len(grid) + model.space.learns_last_step)
    return FlowMapScore(terms, null, noise, model.space.dims, spent, freedom=freedom)


def _mapped(
    model: Model, raw: Tensor, grid: tuple[int, ...], rng: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """log p(x_1) by the flow map and the last step's part, each (B,), in nats."""
    assert isinstance(model.kernel, SignalNoise)  # as it has a flow map
    x_0 = model.space.encode(raw, rng).double()
    one = torch.ones(len(x_0), dtype=torch.long, device=x_0.device)
    q = model.kernel.marginal(x_0, one)
    x = q.sample(rng)
    edge = total(model.space.log_prob(last(model, x, one), x_0)) - total(q.log_prob(x))
    spread = torch.zeros_like(edge)
    for t, s in itertools.pairwise((1, *grid)):
        step = map_step(model, x, t, s)
        x, spread = step.x, spread + step.spread
    return total(model.kernel.prior(x).log_prob(x)) + spread, edge
