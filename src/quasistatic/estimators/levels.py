"""Rows of small whole numbers: a network's prior over the levels of each value."""

__all__ = ["FittedLevels", "fit_levels", "levels_of", "plan_levels"]

from dataclasses import dataclass

import numpy as np
import torch

from ..diffusion import Diffusion
from ..heads import Levels
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..networks import MLP
from ..spaces import Quantized
from ..training.loop import Fit
from .fitted import OfNumbers, Plan, Story, evidence, generator, particle_sets

STEPS, WIDTH, MOST_LEVELS, LEAST_ROWS, LEAST_COLUMNS = 1000, 256, 32, 500, 2
"""T of the chain, hidden units; and the tables that are taken for whole numbers."""

LOOKS = 16
"""Evaluations of each validation row that tell what training won."""

TRAINED = Fit(steps=450, weight_decay=0.1, validations=9, patience=3, evaluations=12)


@dataclass(frozen=True, eq=False)
class FittedLevels(OfNumbers):
    """A chain on whole numbers."""

    about = "a lower bound on the log-probability of whole numbers"

    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        count = len(self.model.space.levels)  # type: ignore[arg-type]
        level = (x == np.round(x)) & (x >= 0) & (x < count)
        possible = (level | np.isnan(x)).all(1)
        found = np.full(len(x), -np.inf)
        found[possible] = super().log_prob(x[possible], evaluations, seed)
        return found

    def whole(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        return self.model.score(x, evaluations, rng=generator(seed)).nats.double().numpy()

    def holed(self, x: np.ndarray, seed: int) -> np.ndarray:
        """The evidence of what is there, by particles."""
        return evidence(self.model, x, seed)

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.model.sample(n, rng=generator(seed)).double().numpy()

    def complete(self, x: np.ndarray, draws: int, particles: int, seed: int) -> np.ndarray:
        found = self.model.impute(
            x, draws, 100, generator(seed), method=particle_sets(particles, draws)
        )
        return found.draws.double().cpu().numpy()


def levels_of(rows: np.ndarray) -> int | None:
    """How many levels rows (N, D) have, if all of their values are small whole numbers and there
    are enough of them to learn a table of levels from; else None."""
    if len(rows) < LEAST_ROWS or rows.shape[1] < LEAST_COLUMNS:
        return None
    whole = (rows == np.round(rows)).all() and rows.min() >= 0
    count = int(rows.max()) + 1 if whole and rows.max() < MOST_LEVELS else 0
    return count if count >= 2 else None


def plan_levels(plan: Plan, count: int) -> str:
    """What :func:`fit_levels` would do, in a sentence."""
    steps = TRAINED.steps if plan.steps is None else plan.steps
    width = plan.width or WIDTH
    return f"{count} levels a value, by an MLP of width {width}, {steps} steps at most"


def fit_levels(rows: np.ndarray, plan: Plan, count: int) -> FittedLevels:
    """Fits rows (N, D) of whole numbers below `count`."""
    train, valid = plan.split(len(rows))
    dims = rows.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = MLP(dims, plan.width or WIDTH, 3, outputs=count, dropout=0.4)
    share = np.stack([(rows[train] == level).mean(0) for level in range(count)], -1)
    network.start_at(torch.from_numpy(np.log(share + 1e-3)))
    kernel = GaussianKernel(linear_log_snr(STEPS, 7.0, -7.0))
    model = Diffusion(Quantized(dims, count, spread=2.0), kernel, Levels(), network)
    before = model.score(rows[valid], LOOKS, rng=generator(plan.seed)).nats
    steps = 0 if plan.steps == 0 else plan.train(model, rows[train], rows[valid], TRAINED)
    won = model.score(rows[valid], LOOKS, rng=generator(plan.seed)).nats - before
    return FittedLevels(model.eval(), Story({}, won.mean().item(), True, steps))
