r"""A mixture of mixtures whose shares held-out rows decide."""

__all__ = ["Stacked", "nested", "shares_of", "stacked"]

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from .candidates import Candidate, candidates
from .components import Part

FOLDS = 5
SMALL = 5000
"""Rows up to which every row is held out once; of more, one in five is."""

LEAST = 0.01
"""The share below which a candidate is left out."""

ENOUGH = 5
"""Rows for each value from which their covariance is taken as it is; of fewer, it is shrunk."""

MOST = 20_000
"""Rows that are looked at, and fewer of wide tables."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """A mixture of normals for a table.

    Args:
        law: its parts, in the units of the rows.
        shares: of the candidates, by name, the largest first.
        held_out: log p of rows by mixtures that had not seen them, in nats.
        rows: which rows these are, with shape (len(held_out),).
    """

    law: list[Part]
    shares: dict[str, float]
    held_out: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class _Whitener:
    """x = shift + turn z, where z has mean 0 and covariance 1."""

    shift: Tensor
    turn: Tensor
    back: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "_Whitener":
        shift = x.mean(0)
        centred = x - shift
        covariance = centred.T @ centred / len(x)
        if len(x) < ENOUGH * x.shape[1]:  # of few rows the empirical one is far too sure
            covariance = torch.from_numpy(ledoit_wolf(centred.numpy(), assume_centered=True)[0])
        variance, basis = torch.linalg.eigh(covariance)
        # Values that follow from others leave some directions empty.
        variance = variance.clamp(min=1e-6 * variance[-1].item() + 1e-12)
        scale = variance.sqrt()
        return cls(shift, basis * scale, (basis / scale).T)

    def white(self, x: Tensor) -> Tensor:
        return (x - self.shift) @ self.back.T

    @property
    def log_volume(self) -> float:
        """log |dz / dx|."""
        return torch.linalg.slogdet(self.back)[1].item()

    def colour(self, part: Part) -> Part:
        """The part in the units of x."""
        half = self.turn @ (part.basis * part.variance[: len(part.basis), None].sqrt())
        variance, basis = torch.linalg.eigh(half @ half.mT)
        mean = self.shift + part.mean @ self.turn.T
        return replace(part, mean=mean, variance=variance.expand_as(mean), basis=basis)


def stacked(x: Tensor, seed: int = 0) -> Stacked:
    """Candidates fitted to x (N, D), in float64, with shares that make held-out rows likeliest
    (stacking): each is fitted without a fifth of the rows and judged on that fifth, and in the end
    on all rows."""
    rng = np.random.default_rng(seed)
    most = int(max(200, min(MOST, 2**31 // x.shape[1] ** 2)))
    rows = rng.permutation(len(x))[:most]
    x = x[rows]
    fold = np.arange(len(x)) % FOLDS
    each = candidates(len(x) * (FOLDS - 1) // FOLDS, x.shape[1])
    held_out, log_p = [], []
    for k in range(FOLDS if len(x) <= SMALL else 1):
        out = fold == k
        held_out.append(np.flatnonzero(out))
        log_p.append(_judged(each, x[~out], x[out], seed))
    table, judged = np.concatenate(log_p), np.concatenate(held_out)
    law, shares = _joined(each, x, shares_of(table), seed)
    return Stacked(law, shares, nested(table), rows[judged])


def _judged(each: list[Candidate], x: Tensor, out: Tensor, seed: int) -> np.ndarray:
    """log p of rows (M, D) by each mixture fitted to others, (M, mixtures), in nats."""
    whitener = _Whitener.of(x)
    z, at = whitener.white(x), whitener.white(out)
    one = torch.ones_like(at[:, :1])
    found = [
        part.joint(at, one, 0 * one)[0].logsumexp(0) + whitener.log_volume
        for candidate in each
        for part in candidate.fit(z, seed).values()
    ]
    return torch.stack(found, 1).numpy()


def _joined(
    each: list[Candidate], x: Tensor, share: np.ndarray, seed: int
) -> tuple[list[Part], dict[str, float]]:
    """One mixture of all that have a share worth keeping, fitted to all rows, and those shares."""
    whitener = _Whitener.of(x)
    z = whitener.white(x)
    fitted = {name: part for one in each for name, part in one.fit(z, seed).items()}
    kept = {name: weight for name, weight in zip(fitted, share, strict=True) if weight > LEAST}
    shares = {name: float(weight / sum(kept.values())) for name, weight in kept.items()}
    law = []
    for name, weight in shares.items():
        part = whitener.colour(fitted[name])
        law.append(replace(part, log_weight=part.log_weight + math.log(weight)))
    return law, dict(sorted(shares.items(), key=lambda item: -item[1]))


def shares_of(log_p: np.ndarray, rounds: int = 300) -> np.ndarray:
    """The shares w that make sum over rows of log sum_j w_j p_j largest, by expectation
    maximisation; the function is concave."""
    p = np.exp(log_p - log_p.max(1, keepdims=True))
    share = np.full(p.shape[1], 1 / p.shape[1])
    for _ in range(rounds):
        joint = p * share
        share = (joint / joint.sum(1, keepdims=True)).mean(0)
    return share


def nested(log_p: np.ndarray) -> np.ndarray:
    """log p of each row by shares in which it had no say."""
    out, fold = np.empty(len(log_p)), np.arange(len(log_p)) % FOLDS
    for k in range(FOLDS):
        top = log_p[fold == k].max(1)
        p = np.exp(log_p[fold == k] - top[:, None])
        out[fold == k] = top + np.log(p @ shares_of(log_p[fold != k]))
    return out
