"""Certificates of steppers: the error of their draws on distributions whose probability flow is
known."""

__all__ = ["Certificate", "certify", "pinwheel", "ring", "true_flow"]

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels import GaussianKernel, SignalNoise
from ..kernels.flow import half_log_snr
from ..kernels.schedules import linear
from ..model import Model
from ..sampling.sampler import walk
from ..sampling.steppers import Stepper
from ..sampling.time_grids import TimeGrid
from .oracles import GaussianOracle, MixtureOracle

COUNTS = (5, 8, 10, 15, 20, 50)
"""Numbers of network evaluations at which a certificate measures the error."""

BEYOND = 12.0
"""log(signal / noise) at which the true flow ends: the remaining noise is e^-12 of the signal."""


@dataclass(frozen=True, repr=False)
class Certificate:
    """The errors of a stepper on a distribution whose probability flow is known.

    Args:
        stepper: the name of the stepper.
        law: its name.
        evaluations: of the network for each draw, one number a row.
        rmse: the root mean square difference of a value of x_0 from the true flow that starts at
            the same x_T. It has no meaning for a stepper that draws noise.
        nll: minus the mean log-density of the draws under the law, in nats. For exact draws it is
            the law's entropy.
        entropy: of the law, in nats.
        order: the slope of log rmse in log evaluations over the last rows, with its sign changed.
    """

    stepper: Stepper
    law: str
    evaluations: tuple[int, ...]
    rmse: tuple[float, ...]
    nll: tuple[float, ...]
    entropy: float
    order: float

    def __repr__(self) -> str:
        return (
            f"{self.stepper} on {self.law}: order {self.order:.2f}\n"
            f"evaluations  {'  '.join(f'{each:>6}' for each in self.evaluations)}\n"
            f"RMSE         {'  '.join(f'{each:6.4f}' for each in self.rmse)}\n"
            f"NLL, nats    {'  '.join(f'{each:6.2f}' for each in self.nll)}"
            f"  ({self.entropy:.2f} of exact draws)"
        )


def certify(
    stepper: Stepper,
    grid: Callable[[int], TimeGrid] | None = None,
    law: MixtureOracle | GaussianOracle | None = None,
    kernel: SignalNoise | None = None,
    *,
    counts: Sequence[int] = COUNTS,
    n: int = 1000,
    seed: int = 0,
) -> Certificate:
    """The error of a stepper's draws on a law whose true flow is known.

    Args:
        stepper: to certify.
        grid: makes the times of so many evaluations, :class:`EvenLogSNR` for example; by default
            the stepper's own.
        law: by default :func:`ring`, eight normals on a circle.
        kernel: by default `GaussianKernel(linear(1000))`.
        counts: network evaluations for each draw.
        n: how many draws.
        seed: of x_T.
    """
    law, kernel = law or ring(), kernel or GaussianKernel(linear(1000))
    model = Model(**law.parts(kernel)).double()
    truth = true_flow(law, kernel, _start(model, n, seed))
    rmse, nll = [], []
    for count in counts:
        size = max(2, (count + 1) // 2) if stepper.evaluations(9) > 9 else count
        times = stepper.times(model, size) if grid is None else grid(size)(model)
        for state in walk(model, n, times, seed, stepper):
            x_0 = state.x
        rmse.append((x_0 - truth).square().mean().sqrt().item())
        nll.append(-law.log_prob(x_0).mean().item())
    exact = law.sample(20_000, torch.Generator().manual_seed(seed))
    order = -_slope([math.log(each) for each in counts[-3:]], [math.log(e) for e in rmse[-3:]])
    return Certificate(
        stepper,
        f"{len(law.mixture.mean)} normals",
        tuple(counts),
        tuple(rmse),
        tuple(nll),
        -law.log_prob(exact).mean().item(),
        order,
    )


def _start(model: Model, n: int, seed: int) -> Tensor:
    """The x_T from which `n` draws of a seed start."""
    return next(iter(walk(model, n, 2, seed))).x


def true_flow(
    law: MixtureOracle | GaussianOracle,
    kernel: SignalNoise,
    x_T: Tensor,
    t: int = 0,
    steps: int = 2000,
) -> Tensor:
    """Solves the true probability flow of a law from x_T (n, D) at time t, by Runge-Kutta steps of
    order 4 in log-SNR, in float64."""
    h = half_log_snr(kernel, torch.tensor([kernel.steps, t]))
    places = torch.linspace(float(h[0]), min(float(h[1]), BEYOND), steps + 1).double().tolist()
    one = torch.ones(len(x_T), 1, dtype=torch.float64)

    def estimate(y: Tensor, place: float) -> Tensor:
        noise = 1 / math.sqrt(1 + math.exp(2 * place))
        scales = math.exp(place) * noise * one, noise * one
        return law.mixture.moments(y * noise, *scales)[..., 0]

    def slope(y: Tensor, place: float) -> Tensor:
        return estimate(y, place) * math.exp(place)

    y = x_T.double() * math.sqrt(1 + math.exp(2 * places[0]))
    for start, end in itertools.pairwise(places):
        step = end - start
        a = slope(y, start)
        b = slope(y + step / 2 * a, start + step / 2)
        c = slope(y + step / 2 * b, start + step / 2)
        y = y + step / 6 * (a + 2 * b + 2 * c + slope(y + step * c, end))
    if t == 0:
        return estimate(y, places[-1])
    return y / math.sqrt(1 + math.exp(2 * places[-1]))


def ring(deviation: float = 0.05) -> MixtureOracle:
    """Eight normals of equal weight on a circle, of variance 1 a value in all."""
    radius = math.sqrt(2 * (1 - deviation**2))
    angles = [2 * math.pi * k / 8 for k in range(8)]
    means = tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles)
    return MixtureOracle((1 / 8,) * 8, means, (deviation**2,) * 8)


def pinwheel(arms: int = 5, beads: int = 12) -> MixtureOracle:
    """Bent arms of small normals, wider and further apart outwards."""
    means, variances = [], []
    for arm in range(arms):
        for k in range(beads):
            radius = 0.25 + 1.6 * k / (beads - 1)
            angle = 2 * math.pi * arm / arms + 0.7 * radius
            means.append((radius * math.cos(angle), radius * math.sin(angle)))
            variances.append((0.03 + 0.05 * radius) ** 2)
    count = arms * beads
    return MixtureOracle((1 / count,) * count, tuple(means), tuple(variances))


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of the least-squares line through some points."""
    a, b = torch.tensor(x).double(), torch.tensor(y).double()
    off = a - a.mean()
    return float((off * b).sum() / (off**2).sum())
