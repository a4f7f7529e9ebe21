"""The mixtures that are tried for a table, and how each is fitted."""

__all__ = [
    "NUS",
    "Candidate",
    "candidates",
    "chain_of",
    "chains_for",
    "counts",
    "dense_cores",
    "log_p_of",
    "log_p_of_rows",
    "of_size",
    "real_values",
    "refined",
]

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..gaussian_block import GaussianBlock
from ..mixture import Mixture
from .block_fits import BlockFit, GaussianFit
from .clusters import clustered
from .dense_core import dense_core, law_of_rows
from .em import Batch, log_p_each, maximised
from .learning_rows import LearningRows

NUS = (math.inf, 1.0, 0.1, 0.01)
"""Shrinkage of each component's covariance to the pooled one, in pseudo-rows a dimension. The
values fall, and each fit starts from the result of the one before."""

SCALES = (1.0, 4.0, 25.0)
"""Factors of the covariances: a mixture of these copies has heavy tails, like a Student t."""

ROWS_EACH, NUMBERS = 5, 4e6
"""The fewest rows a component, and the most numbers in all covariances."""


class Candidate(NamedTuple):
    """Which mixture: its components, whether its clusters were whitened, nu and its scale; or the
    normal of a dense core."""

    components: int
    white: bool
    nu: float
    scale: float
    core: bool = False

    def __str__(self) -> str:
        start = ", whitened start" if self.white else ""
        start += ", dense core" if self.core else ""
        wide = f", covariance x {self.scale:g}" if self.scale != 1 else ""
        return f"{self.components} components, nu {self.nu:g}{start}{wide}"


def real_values(fits: Sequence[BlockFit]) -> int:
    """How many real values there are."""
    return sum(fit.width for fit in fits if isinstance(fit, GaussianFit))


def chain_of(name: Candidate) -> tuple[int, bool, bool]:
    """Those candidates that are fitted one after the other have this in common."""
    return name.components, name.white, name.core


def chains_for(dims: int) -> dict[bool, tuple[float, ...]]:
    """The amounts of shrinkage that are tried from each start, whitened or not."""
    nus = NUS if dims else NUS[:1]
    return {False: nus, True: nus} if dims > 1 else {False: nus}


def counts(rows: int, dims: int, most: int) -> list[int]:
    """1, 2, 4, ... components, as many as rows and memory allow."""
    found, k = [], 1
    while k <= most and (k == 1 or ROWS_EACH * k <= rows) and k * dims**2 <= NUMBERS:
        found.append(k)
        k *= 2
    return found or [1]


def of_size(
    rows: LearningRows,
    seen: Tensor,
    components: int,
    seed: int,
    chains: Mapping[bool, Sequence[float]],
) -> list[dict[Candidate, Mixture]]:
    """All candidates of one size from these starts, whitened or not, with falling amounts of
    shrinkage: each law starts where the one before has come to. They are fitted side by side to the
    rows that are `seen` (F, N): F of each."""
    fits, parts, dims = rows.fits, len(seen), real_values(rows.fits)
    found: list[dict[Candidate, Mixture]] = [{} for _ in seen]
    starts, weight = list(chains), seen.to(rows.x)
    batch = clustered(rows, components, starts, weight, seed)
    for nu in NUS:
        going = [white for white in starts if nu in chains[white]]
        if not going:
            continue
        if len(going) < len(starts):
            index = [starts.index(white) * parts + k for white in going for k in range(parts)]
            batch, starts = batch.picked(torch.tensor(index)), going
        each = weight.repeat(len(starts), 1)
        batch = maximised(rows, batch, _shrunk(fits, nu), each)
        for i, law in enumerate(batch.each()):
            for scale in SCALES if dims else SCALES[:1]:
                name = Candidate(components, starts[i // parts], nu, scale)
                found[i % parts][name] = _scaled(law, scale)
    return found


def dense_cores(
    rows: LearningRows, seen: Tensor, closer: float = 1.0
) -> list[dict[Candidate, Mixture]]:
    """The normals of the dense core of the rows that are `seen` (F, N), at all scales: F times.

    Args:
        rows: N of them.
        seen: which rows each part has.
        closer: how many times closer than others the rows of a core must be, or their part has no
            core. With 1 each has one, of all its rows if these are too few to tell.
    """
    found: list[dict[Candidate, Mixture]] = []
    for part in seen:
        own = LearningRows.of(rows.x[part], rows.fits)
        law = dense_core(own, closer)
        if law is None and closer > 1:
            found.append({})
            continue
        law = law_of_rows(own, torch.arange(len(own))) if law is None else law
        names = (Candidate(1, False, 0.0, scale, core=True) for scale in SCALES)
        found.append({name: _scaled(law, name.scale) for name in names})
    return found


def candidates(
    rows: LearningRows, seen: Tensor, seed: int, wanted: Collection[Candidate]
) -> list[dict[Candidate, Mixture]]:
    """Those candidates that are wanted, fitted to the rows that are `seen` (F, N): F of each."""
    found: list[dict[Candidate, Mixture]] = [{} for _ in seen]
    cores = [name for name in wanted if name.core]
    if cores:
        found = [{name: each[name] for name in cores} for each in dense_cores(rows, seen)]
    for k in {name.components: None for name in wanted if not name.core}:
        chains = {}
        for white in (False, True):
            last = [NUS.index(n.nu) for n in wanted if chain_of(n) == (k, white, False)]
            if last:
                chains[white] = NUS[: max(last) + 1]
        fitted = of_size(rows, seen, k, seed, chains)
        found = [
            a | {n: b[n] for n in wanted if n in b} for a, b in zip(found, fitted, strict=True)
        ]
    return found


def refined(
    rows: LearningRows,
    laws: Mapping[Candidate, Mixture],
    shares: Mapping[Candidate, float],
    rounds: int,
) -> Mixture:
    """The mixture of candidates with these shares, taken by some more rounds from a part of the
    rows to all of them."""
    found: dict[Candidate, Mixture] = {}
    plain = dict.fromkeys(name._replace(scale=1.0) for name in shares if not name.core)
    if any(name.core for name in shares):
        every = torch.ones(1, len(rows), dtype=torch.bool)
        found |= dense_cores(rows, every)[0]
    for size, nu in {(name.components, name.nu): None for name in plain}:
        names = [name for name in plain if (name.components, name.nu) == (size, nu)]
        batch = Batch.of([laws[name] for name in names])
        if rounds:
            batch = maximised(rows, batch, _shrunk(rows.fits, nu), rounds=rounds)
        found |= dict(zip(names, batch.each(), strict=True))
    each = [_scaled(found[name._replace(scale=1.0)], name.scale) for name in shares]
    return Mixture.joined(each, list(shares.values()))


def log_p_of(x: Tensor, fits: Sequence[BlockFit], laws: Mapping[Candidate, Mixture]) -> Tensor:
    """log p of rows x (N, W) by each law, with shape (N, laws)."""
    return log_p_of_rows(LearningRows.of(x, fits), laws)


def log_p_of_rows(rows: LearningRows, laws: Mapping[Candidate, Mixture]) -> Tensor:
    """log p of rows by each law, with shape (N, laws)."""
    by_size: dict[int, list[int]] = {}
    for i, name in enumerate(laws):
        by_size.setdefault(name.components, []).append(i)
    each, out = list(laws.values()), rows.x.new_empty(len(rows), len(laws))
    for index in by_size.values():
        out[:, index] = log_p_each(rows, Batch.of([each[i] for i in index]))
    return out


def _shrunk(fits: Sequence[BlockFit], nu: float) -> list[BlockFit]:
    """The same fits with nu rows' worth of the pooled covariance for each real value, and one
    more."""
    return [_with_nu(fit, nu * (real_values(fits) + 1)) for fit in fits]


def _with_nu(fit: BlockFit, nu: float) -> BlockFit:
    return replace(fit, nu=nu) if isinstance(fit, GaussianFit) else fit


def _scaled(law: Mixture, scale: float) -> Mixture:
    """The same law with all covariances that many times as large."""
    if scale == 1:
        return law
    blocks = [
        replace(block, scale=block.scale * scale) if isinstance(block, GaussianBlock) else block
        for block in law.blocks
    ]
    return replace(law, blocks=tuple(blocks))
