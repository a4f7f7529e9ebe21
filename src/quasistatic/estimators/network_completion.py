"""Missing values drawn from a network's law: rows in batches, each with random numbers of its own,
and whether the network changes the answer."""

__all__ = [
    "FEWEST_PARTICLES",
    "completed_by_row",
    "drawing_times",
    "informative_times",
    "network_fills_better",
]

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from .._utils.randomness import RowStreams
from ..diffusion import Diffusion
from ..distributions.mixtures import RowDraws
from ..kernels import GaussianKernel, ProductKernel
from ..sampling import SMC

FEWEST_PARTICLES = 16
"""Particles in a set that are resampled together, and a set for each so many."""

TOGETHER = 32
"""Rows that walk together. A batch always has as many, so that a row is computed alike in each."""

STEPS, LEAST_LOG_SNR = 20, -3.0
"""Time steps that particles visit, and the log-SNR below which hardly anything is left to decide:
one step goes there from pure noise."""

DRAWN, BEYOND = 40, 10
"""Time steps that draws visit down to that log-SNR and below it, where the first classes appear."""

PILOT, HIDDEN, PILOT_DRAWS = 128, 0.3, 32
"""Rows, the share of their values that is hidden, and draws of each, that show whether the network
fills missing values better than the closed form."""


def drawing_times(model: Diffusion) -> list[int]:
    """The time steps of draws: about fifty, where a chain has a thousand. Draws are as close to
    those of the whole chain as other draws of the whole chain are."""
    informative = informative_times(model, DRAWN)
    first = informative[-2] if len(informative) > 1 else 1
    beyond = np.linspace(first, model.steps, BEYOND + 1).round().astype(int).tolist()
    return sorted({*informative, *beyond})


def informative_times(model: Diffusion, steps: int = STEPS) -> list[int]:
    """Time steps evenly spread in log-SNR down to :data:`LEAST_LOG_SNR`, and the last one."""
    last, kernel = model.steps, model.kernel
    parts = kernel.parts if isinstance(kernel, ProductKernel) else (kernel,)
    real = [part for part in parts if isinstance(part, GaussianKernel)]
    if not real:
        return model.times(steps).tolist()
    log_snr = real[0].schedule.log_snr[1:]
    first = int((log_snr >= LEAST_LOG_SNR).sum())
    count = min(steps - 1, first)
    spread = np.linspace(1, max(first, 1), max(count, 1)).round().astype(int).tolist()
    return sorted({*spread, last})


def completed_by_row(
    model: Diffusion,
    rows: np.ndarray,
    draws: int,
    particles: int,
    seed: int,
    distinct: bool,
    times: int | Sequence[int],
    done: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Draws of the missing values of rows (N, C), with shape (N, draws, C). Each row has particles
    and a generator of its own, seeded by `seed` and by its values, so that its draws do not depend
    on the rows beside it.

    Args:
        particles: of each row, in sets of :data:`FEWEST_PARTICLES`, two at least.
        distinct: whether equal rows get different draws, of twice as many particles at least.
        times: of the chain.
        done: is called with the number of rows after each batch.
    """
    wanted = max(particles, 2 * draws if distinct else 0)
    size = min(particles, FEWEST_PARTICLES)
    method = SMC(size, max(2, math.ceil(wanted / size)))
    generators = RowDraws.of(rows, seed, distinct).generators
    each = size * (method.repeats or 1)
    together = max(1, min(TOGETHER, model.chunk_size // each))
    limit = max(model.chunk_size, together * each) if together > 1 else None
    out = np.repeat(np.asarray(rows, dtype=np.float64)[:, None], draws, 1)
    for first in range(0, len(rows), together):
        own = np.arange(first, min(first + together, len(rows)))
        index = np.resize(own, together)  # a part of a batch is filled up with rows again
        copies = [_copy(generators[k]) for k in index]
        found = model.impute(
            rows[index],
            draws,
            list(times) if not isinstance(times, int) else times,
            RowStreams(copies),
            method=method,
            together=limit,
        )
        out[own] = found.draws[: len(own)].double().cpu().numpy()
        if done is not None:
            done(len(own))
    return out


def _copy(generator: torch.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(generator.initial_seed())


def network_fills_better(
    rows: np.ndarray,
    scale: np.ndarray,
    by_law: Callable[[np.ndarray], np.ndarray],
    by_network: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
) -> tuple[bool, bool]:
    """Whether draws of hidden values by the network are better than those of the closed form, by
    more than a standard error over rows: as draws by their energy scores, and by their means.

    Args:
        rows: whole rows, with shape (N, C).
        scale: of each column, with shape (C,).
        by_law, by_network: rows with holes to draws (N, n, C).
        seed: of what is hidden.
    """
    hidden = np.random.default_rng(seed).random(rows.shape) < HIDDEN
    first = np.arange(len(rows)) % rows.shape[1]
    hidden[np.arange(len(rows)), first] = True  # one value at least, and one is left
    hidden[np.arange(len(rows)), first - 1] &= rows.shape[1] == 1
    holed = np.where(hidden, np.nan, rows)
    truth = rows / scale
    law, network = (fill(holed) / scale for fill in (by_law, by_network))
    by_score = _energy_scores(truth, law) - _energy_scores(truth, network)
    by_mean = _squared_errors(truth, law) - _squared_errors(truth, network)
    return _is_positive(by_score), _is_positive(by_mean)


def _is_positive(better: np.ndarray) -> bool:
    """Whether a mean over rows is above a standard error."""
    return bool(better.mean() > better.std() / len(better) ** 0.5)


def _energy_scores(truth: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """E|X - y| - E|X - X'| / 2 of draws X (N, n, C) about y (N, C), with shape (N,)."""
    n = draws.shape[1]
    near = np.linalg.norm(draws - truth[:, None], axis=2).mean(1)
    x = torch.from_numpy(draws)
    apart = torch.cdist(x, x).sum((1, 2)).numpy() / (n * (n - 1))
    return np.asarray(near - apart / 2)


def _squared_errors(truth: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The squared error of the mean of draws (N, n, C) about rows (N, C), with shape (N,)."""
    return np.asarray(((draws.mean(1) - truth) ** 2).sum(1))
