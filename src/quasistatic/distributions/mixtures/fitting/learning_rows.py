"""Rows prepared for expectation maximisation: their likelihoods and sums for many components."""

__all__ = ["Expectation", "LearningRows", "TableSums"]

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..mixture import Conditional, Mixture, Piece
from .block_fits import BlockFit, GaussianFit, Sums, parts_of

NEAR = 100.0
"""Rows with a value beyond it, in deviations, have no features: products of such values lose the
digits of components far from zero."""

AT_ONCE, TOGETHER = 2**22, 2048
"""The most numbers in the features of one piece of the rows, and the most rows of it."""

WIDE, KEPT = 2**17, 2**27
"""The most features of a row, and of all rows together, which are kept: one GiB in float64. Rows
that would have more have no features, but are multiplied by matrices of covariances."""


@dataclass(frozen=True, eq=False)
class TableSums:
    """Sufficient statistics of weighted rows.

    Args:
        count: the weight of each component, with shape (K,).
        each: the sums of each block.
    """

    count: Tensor
    each: tuple[Sums, ...]

    def __add__(self, other: "TableSums") -> "TableSums":
        pairs = zip(self.each, other.each, strict=True)
        each = (tuple(p + q for p, q in zip(a, b, strict=True)) for a, b in pairs)
        return TableSums(self.count + other.count, tuple(each))


class Expectation(abc.ABC):
    """Some of the rows, given a mixture.

    `index` (n,) tells which rows, and `log_joint` (K, n) is log w_k + log p(row | k).
    """

    index: Tensor
    log_joint: Tensor

    @abc.abstractmethod
    def sums(self, share: Tensor) -> TableSums:
        """The sufficient statistics, by the weight of each row for each component (K', n). K' may
        be any number if the mixture has one component."""


@dataclass(frozen=True, eq=False)
class WholeRows:
    """Rows in which no real value is missing.

    Given component k, log p of a row is linear in its features, which are the sufficient statistics
    of all blocks. So one product of matrices gives log p of all rows by all components, and another
    one the sums of the M-step.

    Args:
        index: which rows they are, with shape (n,).
        features: with shape (n, F).
        widths: how many features each block has.
    """

    index: Tensor
    features: Tensor
    widths: tuple[int, ...]

    @classmethod
    def of(cls, x: Tensor, index: Tensor, fits: Sequence[BlockFit]) -> "WholeRows":
        """Rows x (n, W) at these places."""
        each = [fit.features(part) for fit, part in parts_of(x, fits)]
        return cls(index, torch.cat(each, 1), tuple(part.shape[1] for part in each))

    def expectations(self, law: "_LinearLaw") -> "Iterator[Expectation]":
        yield _OfWhole(self, law)


class _LinearLaw:
    """A mixture with the coefficients of its components, which all rows share.

    Args:
        law: the mixture.
        fits: how its blocks are fitted.
    """

    def __init__(self, law: Mixture, fits: Sequence[BlockFit]) -> None:
        self.law, self.fits = law, fits

    @cached_property
    def linear(self) -> tuple[Tensor, Tensor]:
        """c (K, 1) and A (K, F), so that log w_k + log p(x | k) = c_k + A_k features(x)."""
        pairs = zip(self.fits, self.law.blocks, strict=True)
        each = [fit.coefficients(block) for fit, block in pairs]
        offset = self.law.log_weight + sum(constant for constant, _ in each)
        return offset[:, None], torch.cat([linear for _, linear in each], 1)


class _OfWhole(Expectation):
    def __init__(self, rows: WholeRows, law: _LinearLaw) -> None:
        self.rows, self.law, self.index = rows, law, rows.index
        offset, coefficients = law.linear
        self.log_joint = torch.addmm(offset, coefficients, rows.features.T)

    def sums(self, share: Tensor) -> TableSums:
        count = share.sum(1)
        found = torch.split(share @ self.rows.features, list(self.rows.widths), 1)
        parts = zip(self.law.fits, found, self.law.law.blocks, strict=True)
        each = (fit.sums_of_features(block, count, part) for fit, part, block in parts)
        return TableSums(count, tuple(each))


@dataclass(frozen=True, eq=False)
class OtherRows:
    """Rows with holes or with values far out, or rows of very many columns.

    Args:
        index: which rows they are, with shape (n,).
        x: their values, with shape (n, W).
    """

    index: Tensor
    x: Tensor
    _pieces: dict[int, list[Piece]] = field(default_factory=dict)

    def expectations(self, law: _LinearLaw) -> "Iterator[Expectation]":
        mixture, fits = law.law, law.fits
        size = mixture.components
        if size not in self._pieces:  # patterns of holes are the same in each round
            self._pieces[size] = mixture.pieces(self.x)
        for piece in self._pieces[size]:
            yield _OfOthers(self.index[piece.index], mixture.of_piece(piece), fits)


class _OfOthers(Expectation):
    def __init__(self, index: Tensor, given: Conditional, fits: Sequence[BlockFit]) -> None:
        self.index, self.given, self.fits = index, given, fits
        self.log_joint = given.log_joint

    def sums(self, share: Tensor) -> TableSums:
        given = self.given
        parts = torch.split(given.x, list(given.law.widths), 1)
        found = zip(self.fits, given.law.blocks, given.evidence, parts, strict=True)
        each = (fit.sums(block, says, x, share) for fit, block, says, x in found)
        return TableSums(share.sum(1), tuple(each))


@dataclass(frozen=True, eq=False)
class LearningRows:
    """Rows to which mixtures are fitted.

    Args:
        x: with shape (N, W), NaN a hole.
        fits: how each block of values is fitted.
    """

    x: Tensor
    fits: tuple[BlockFit, ...]

    @classmethod
    def of(cls, x: Tensor, fits: Sequence[BlockFit]) -> "LearningRows":
        return cls(x, tuple(fits))

    def __len__(self) -> int:
        return self.x.shape[0]

    def expectations(self, law: Mixture, fits: Sequence[BlockFit]) -> Iterator[Expectation]:
        """The rows, piece by piece, given a mixture."""
        shared = _LinearLaw(law, fits)
        for group in self._groups:
            yield from group.expectations(shared)

    @cached_property
    def whole(self) -> Tensor:
        """Which rows lack no real value, with shape (N,). A value that a row does not have, as its
        column is at an atom, is not lacking."""
        parts = parts_of(self.x, self.fits)
        each = [fit.missing(part, self.x) for fit, part in parts if isinstance(fit, GaussianFit)]
        return ~torch.cat([self.x[:, :0].bool(), *each], 1).any(1)

    @cached_property
    def points(self) -> tuple[Tensor, Tensor]:
        """The rows as k-means sees them, (N, W): in robust units, and with their real values
        whitened besides."""
        pairs = [fit.points(part) for fit, part in parts_of(self.x, self.fits)]
        plain, white = zip(*pairs, strict=True)
        return torch.cat(plain, 1), torch.cat(white, 1)

    @cached_property
    def _groups(self) -> tuple[WholeRows | OtherRows, ...]:
        x, fits = self.x, self.fits
        real = [part for fit, part in parts_of(x, fits) if isinstance(fit, GaussianFit)]
        whole = (torch.cat([x[:, :0], *real], 1).abs() <= NEAR).all(1)  # NaN is not
        width = sum(fit.features(part[:1]).shape[1] for fit, part in parts_of(x, fits))
        whole &= width <= WIDE and width * len(x) <= KEPT
        size = max(1, min(TOGETHER, AT_ONCE // max(1, width)))
        pieces = torch.split(whole.nonzero()[:, 0], size)
        found: list[WholeRows | OtherRows]
        found = [WholeRows.of(x[index], index, fits) for index in pieces if len(index)]
        if not whole.all():
            rest = (~whole).nonzero()[:, 0]
            found.append(OtherRows(rest, x[rest]))
        return tuple(found)
