r"""Rows of real numbers: a mixture of normals, and a network that corrects it.

A small table is won by a good start and lost by a network. So the model starts as a mixture in
closed form, its shares and its space decided by held-out rows. A network then corrects it, if
there are rows enough to learn from, and what it learned is kept only if rows that it has not seen
are likelier for it: else the model is the mixture.
"""

__all__ = ["FittedMixture", "fit_mixture", "plan_mixture"]

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..diffusion import Diffusion
from ..distributions import total
from ..distributions.mixtures import Stacked, completed, drawn, marginal, stacked
from ..heads import Corrected
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..likelihood import ContinuousTime
from ..networks import MixtureMLP
from ..spaces import Continuous, Space
from ..spaces.yeo_johnson import YeoJohnson
from .fitted import OfNumbers, Plan, Story, evidence, generator, particle_sets
from .model_selection import JUDGES, TRAINED, is_kept, is_tried, words

STEPS, LAST = 1000, -8.0
"""T of the chain, and the log-SNR that it ends at."""

LOOKED_AT = 20_000
"""Rows that space and mixture are chosen by, at most."""


@dataclass(frozen=True, eq=False)
class FittedMixture(OfNumbers):
    """A chain that stands on a mixture of normals. Where nothing is corrected, its answers are the
    mixture's, in closed form."""

    about = (
        "a lower bound on log p(x) in continuous time; the exact density where nothing is corrected"
    )

    def whole(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        method = ContinuousTime(evaluations)
        return self.model.score(x, method=method, rng=generator(seed)).nats.numpy()

    def holed(self, x: np.ndarray, seed: int) -> np.ndarray:
        """The mixture's marginal, exactly; of a network's correction, evidence by particles."""
        if self._network.speaks:
            return evidence(self.model, x, seed)
        space, rows = self.model.space, torch.from_numpy(x)
        hidden = rows.isnan()
        x_0 = space.encode(torch.where(hidden, 0.0, rows))
        found = marginal(self._network.mixture.law, x_0.masked_fill(hidden, math.nan))
        return (found + torch.where(hidden, 0.0, _volumes(space, x_0)).sum(1)).numpy()

    def sample(self, n: int, seed: int) -> np.ndarray:
        rng = generator(seed)
        if self._network.speaks:
            return self.model.sample(n, rng=rng).double().numpy()
        return self.model.space.decode(drawn(self._network.mixture.law, n, rng).double()).numpy()

    def complete(self, x: np.ndarray, draws: int, particles: int, seed: int) -> np.ndarray:
        rng, space = generator(seed), self.model.space
        rows = torch.from_numpy(x)
        if self._network.speaks:
            found = self.model.impute(rows, draws, 100, rng, method=particle_sets(particles, draws))
            return found.draws.double().cpu().numpy()
        hidden = rows.isnan()
        x_0 = space.encode(torch.where(hidden, 0.0, rows)).masked_fill(hidden, math.nan)
        filled = completed(self._network.mixture.law, x_0, draws, rng)
        raw = space.decode(filled.flatten(0, 1)).reshape(filled.shape)
        return torch.where(hidden[:, None], raw, rows[:, None]).numpy()

    @property
    def _network(self) -> MixtureMLP:
        network = self.model.network
        assert isinstance(network, MixtureMLP)  # as it was built
        return network


def fit_mixture(rows: np.ndarray, plan: Plan) -> FittedMixture:
    """Fits rows (N, D) of finite numbers."""
    x = torch.from_numpy(rows)
    if is_tried(plan, len(x)):
        learned = _learned(rows, plan)
        if learned.story.kept:
            return learned
        story = learned.story  # and the rows that judged it may be learned from
    else:
        story = Story()
    start, space = _start(x, plan)
    model = _standing_on(start, space, plan)
    return FittedMixture(model.eval(), replace(story, start=start.shares))


def plan_mixture(rows: np.ndarray, plan: Plan) -> str:
    """What :func:`fit_mixture` would do, in a sentence."""
    spaces = type(plan.space).__name__ if plan.space else "Continuous or YeoJohnson"
    start = f"a mixture of normals in a {spaces} space, chosen by held-out rows"
    return words(plan, len(rows), start, _width(rows.shape[1], plan))


def _width(dims: int, plan: Plan) -> int:
    return plan.width or min(max(4 * dims, 128), 512)


def _learned(rows: np.ndarray, plan: Plan) -> FittedMixture:
    """A model of some rows, whose network is judged by the others."""
    train, valid = plan.split(len(rows))
    start, space = _start(torch.from_numpy(rows[train]), plan)
    model, judges = _standing_on(start, space, plan), rows[valid[:JUDGES]]
    steps = plan.train(model, rows[train], judges, TRAINED)
    won = model.score(judges, method=ContinuousTime(), rng=generator(plan.seed)).terms["correction"]
    return FittedMixture(model.eval(), Story(start.shares, *is_kept(won.numpy()), steps))


def _start(rows: Tensor, plan: Plan) -> tuple[Stacked, Space]:
    """The space in which held-out rows are likeliest, in raw units, and the mixture there."""
    if len(rows) > LOOKED_AT:  # so that memory does not grow with the table
        chosen = np.random.default_rng(plan.seed).permutation(len(rows))[:LOOKED_AT]
        rows = rows[np.sort(chosen)]
    spaces: list[Space] = [] if plan.space is None else [plan.space]
    found = []
    for space in spaces or [Continuous.standardize(rows), YeoJohnson.fit(rows)]:
        x_0 = space.encode(rows)
        start = stacked(x_0, plan.seed)
        score = start.held_out.mean() + _volume(space, x_0[start.rows]).mean().item()
        found.append((score, start, space))
    return max(found, key=lambda each: each[0])[1:]


def _volume(space: Space, x_0: Tensor) -> Tensor:
    """log |dx_0 / draw| of each row, with shape (N,)."""
    return total(_volumes(space, x_0))


def _volumes(space: Space, x_0: Tensor) -> Tensor:
    """The same value by value, (N, D)."""
    prior = GaussianKernel(linear_log_snr(2)).prior(x_0)
    return space.log_prob(prior, x_0) - prior.log_prob(x_0)


def _standing_on(start: Stacked, space: Space, plan: Plan) -> Diffusion:
    """The chain of that mixture, from where its narrowest direction is still to be seen."""
    narrowest = min(part.variance.min().item() for part in start.law)
    first = min(max(4 - math.log(narrowest), 7.0), 14.0)
    kernel = GaussianKernel(linear_log_snr(STEPS, first, LAST))
    sizes = [part.sizes for part in start.law]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        width = _width(space.dims, plan)
        network = MixtureMLP(space.shape, sizes, STEPS, width, depth=2, dropout=0.1)
    network.mixture.start_at(start.law, kernel.schedule.log_snr[1:])
    return Diffusion(space, kernel, Corrected(), network)
