"""Simple models of a table, to compare with: columns alone, and one normal distribution."""

__all__ = ["SIMPLE", "simple_scores"]

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..distributions.mixtures import Block, CategoricalBlock, GaussianBlock, Mixture
from ..distributions.mixtures.fitting.block_fits import oas
from ..spaces import Table
from .base import TableEstimator

LEAST_SHARE = 0.5
"""Rows that each class counts besides those that have it."""


def simple_scores(
    estimator: TableEstimator, train: object, test: object
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """log p of test rows by simple models of training rows, in nats of the columns' own units, and
    by which column of numbers.

    Args:
        estimator: a fitted one, whose description of the columns the simple models share.
        train: rows with its columns.
        test: rows with its columns.

    Returns:
        By the name of each model: log p of the rows (N,), and which rows are possible (N,).
    """
    table = estimator.table_
    x, new = (_known(table.read_with_unknowns(each).numpy()) for each in (train, test))
    possible = ~np.isinf(table.read_with_unknowns(test).numpy()).any(1)
    x_0, new_0 = (table.encode(torch.from_numpy(each)) for each in (x, new))
    volume = table.log_volume(new_0).flatten(1).sum(1)
    found = {}
    for name, fit in SIMPLE.items():
        log_p = fit(table, x_0).log_prob(new_0) + volume
        found[name] = log_p.numpy(), possible
    return found


def _known(x: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(x), np.nan, x)


def _alone(table: Table, x_0: Tensor) -> Mixture:
    """Every column by itself: a normal distribution, or the share of each class."""
    dims = _dims(table)
    blocks: list[Block] = []
    if dims:
        mean, variance = _moments(x_0[:, :dims])
        blocks.append(GaussianBlock.full(mean[None], variance.diag()[None]))
    return _mixture(table, x_0, blocks)


def _normal(table: Table, x_0: Tensor) -> Mixture:
    """One normal distribution of all numbers, shrunk (OAS); the shares of the classes."""
    dims = _dims(table)
    blocks: list[Block] = []
    if dims:
        real = x_0[:, :dims]
        mean, variance = _moments(real)
        filled = torch.where(real.isnan(), mean, real) - mean
        covariance = filled.T @ filled / len(filled)
        # A hole at the mean takes variance away: the scale is that of the known values.
        scale = (variance / covariance.diagonal().clamp(min=1e-12)).sqrt()
        blocks.append(
            GaussianBlock.full(
                mean[None], oas(covariance * scale[:, None] * scale, len(real))[None]
            )
        )
    return _mixture(table, x_0, blocks)


SIMPLE: Mapping[str, Callable[[Table, Tensor], Mixture]] = {
    "each column alone": _alone,
    "one normal distribution": _normal,
}
"""Simple models by name."""


def _dims(table: Table) -> int:
    return sum(len(block.lattices) for block in table.blocks)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the variance of the known values of each column."""
    mean = x.nanmean(0).nan_to_num()
    variance = ((x - mean) ** 2).nanmean(0).nan_to_num(1.0)
    return mean, variance.clamp(min=1e-6)


def _mixture(table: Table, x_0: Tensor, blocks: list[Block]) -> Mixture:
    sizes = tuple(size for block in table.blocks for size in block.sizes)
    if sizes:
        one_hot = x_0[:, _dims(table) :].nan_to_num()
        parts = torch.split(one_hot.sum(0) + LEAST_SHARE, list(sizes))
        log_p = torch.cat([(part / part.sum()).log() for part in parts])
        blocks = [*blocks, CategoricalBlock(log_p[None], sizes)]
    return Mixture(torch.zeros(1, dtype=torch.float64), tuple(blocks))
