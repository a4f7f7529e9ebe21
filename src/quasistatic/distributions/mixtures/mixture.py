"""A mixture of independent blocks: log p, conditioning, denoising and draws in closed form."""

__all__ = ["Conditional", "Mixture", "Piece"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .block import Block, Evidence, Moments, NoiseLevel
from .row_draws import Draws, SharedDraws

LARGEST = 2**22
"""The most numbers in a table over rows, components and values; more rows are split into pieces."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Some rows of a table, few enough that their intermediate results fit into memory.

    Args:
        index: which rows they are, with shape (b,).
        x: their values, with shape (b, W).
        arranged: what each block precomputed for them (:meth:`Block.arranged`).
    """

    index: Tensor
    x: Tensor
    arranged: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Mixture:
    r"""p(x) = sum_k w_k prod_b p_b(x_b | k): given the component, the blocks of values are
    independent.

    A row x (W values) holds the blocks side by side. NaN marks a hole; the distribution of the
    other values is the marginal. After noise of the forward process, which acts on each value by
    itself, the distribution is again such a mixture.

    Args:
        log_weight: log w_k, with shape (K,).
        blocks: with K components each.

    Raises:
        ValueError: if a block has another number of components.
    """

    log_weight: Tensor
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        counts = [block.components for block in self.blocks]
        if not self.blocks or set(counts) != {self.components}:
            raise ValueError(
                f"a mixture of {self.components} components needs blocks of as many, got {counts}"
            )

    @property
    def components(self) -> int:
        """K, the number of components."""
        return self.log_weight.shape[0]

    @property
    def width(self) -> int:
        """W, the number of values of a row."""
        return sum(self.widths)

    @property
    def widths(self) -> list[int]:
        """How many values each block has."""
        return [block.width for block in self.blocks]

    def to(self, like: Tensor) -> "Mixture":
        """The same numbers in the type and on the device of a tensor; this mixture, with what its
        blocks have computed, if it has both."""
        log_weight = self.log_weight.to(like)
        if log_weight is self.log_weight:
            return self
        return Mixture(log_weight, tuple(block.to(like) for block in self.blocks))

    def picked(self, index: Tensor) -> "Mixture":
        """The components of an index (k,), with the weights that they have here."""
        return Mixture(self.log_weight[index], tuple(block.picked(index) for block in self.blocks))

    @classmethod
    def joined(cls, laws: Sequence["Mixture"], shares: Sequence[float]) -> "Mixture":
        """The mixture of several laws with these shares, which sum to 1."""
        pairs = zip(laws, shares, strict=True)
        log_weight = torch.cat([law.log_weight + math.log(share) for law, share in pairs])
        blocks = zip(*(law.blocks for law in laws), strict=True)
        return cls(log_weight, tuple(type(each[0]).joined(each) for each in blocks))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of the observed values of each row of x (B, W): (B,), in nats."""
        return self.log_joint(x).logsumexp(0)

    def log_joint(self, x: Tensor) -> Tensor:
        """log w_k + log p(observed values | k), with shape (K, B), in nats."""
        out = x.new_empty(self.components, len(x))
        for piece in self.pieces(x):
            out[:, piece.index] = self.of_piece(piece).log_joint.to(out.dtype)
        return out

    def condition(self, x: Tensor) -> "Conditional":
        """The law of a row given the observed values of x (B, W), any of which may be NaN."""
        return self._given(x, None, (None,) * len(self.blocks))

    def of_piece(self, piece: Piece) -> "Conditional":
        """As :meth:`condition`, for a piece whose patterns of holes were found before."""
        return self._given(piece.x, None, piece.arranged)

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """n independent draws, with shape (n, W)."""
        blank = self.log_weight.new_full((n, self.width), math.nan)
        return self.complete(blank, 1, SharedDraws(rng))[:, 0]

    def complete(self, x: Tensor, n: int, draws: Draws) -> Tensor:
        """Draws n rows given the observed values of each row, which are copied.

        Args:
            x: rows with shape (B, W), NaN a hole.
            n: draws of each row.
            draws: the source of random numbers.

        Returns:
            Shape (B, n, W).
        """
        each = max(self.components, n * self.width, 1)
        hidden = x.isnan()
        if len(x) and (hidden != hidden[:1]).any():  # each pattern has matrices of its own
            sizes = torch.stack([block.table_size(part) for block, part in self._split(x)])
            each = max(each, int(sizes.sum(0).max()))
        size = max(1, LARGEST // (4 * each))
        pieces = [slice(first, first + size) for first in range(0, len(x), size)]
        found = [self.condition(x[piece]).sample(n, draws.rows(piece)) for piece in pieces]
        return torch.cat(found) if found else x[:, None].expand(-1, n, -1)

    def denoise(self, x_t: Tensor, level: NoiseLevel) -> Moments:
        """E[x_0 | x_t] and Var[x_0 | x_t] of noisy rows x_t (B, W), and the log-probabilities of
        classes given the other columns."""
        sizes = torch.stack([b.table_size(x) for b, x in self._split(x_t)]).sum(0)
        rows = max(1, LARGEST // max(int(sizes.max()) if len(sizes) else 1, 1))
        none = (None,) * len(self.blocks)
        pieces = range(0, max(len(x_t), 1), rows)
        found = [
            self._given(x_t[i : i + rows], level.rows(slice(i, i + rows)), none).moments()
            for i in pieces
        ]
        names = Moments.__dataclass_fields__
        return Moments(*(torch.cat([getattr(one, name) for one in found]) for name in names))

    def pieces(self, x: Tensor) -> list[Piece]:
        """Splits the rows of x (B, W) into pieces whose intermediate results fit into memory. If
        there are several, rows with the same holes are put next to each other."""
        cost = torch.stack([block.table_size(part) for block, part in self._split(x)]).sum(0)
        order = torch.arange(len(x))
        if cost.sum() > LARGEST and x.isnan().any():
            _, which = torch.unique(x.isnan(), dim=0, return_inverse=True)
            order = which.cpu().argsort(stable=True)
        number = (cost[order].cumsum(0) - cost[order]) // LARGEST
        counts = torch.unique_consecutive(number, return_counts=True)[1].tolist()
        pieces = []
        for index in torch.split(order.to(x.device), counts):
            rows = x[index]
            arranged = tuple(block.arranged(part) for block, part in self._split(rows))
            pieces.append(Piece(index, rows, arranged))
        return pieces

    def _split(self, x: Tensor) -> list[tuple[Block, Tensor]]:
        return list(zip(self.blocks, torch.split(x, list(self.widths), 1), strict=True))

    def _given(self, x: Tensor, level: NoiseLevel | None, arranged: Sequence[Any]) -> "Conditional":
        pairs = zip(self._split(x), arranged, strict=True)
        evidence = [block.evidence(part, level, known) for (block, part), known in pairs]
        return Conditional(self, x, tuple(evidence))


@dataclass(frozen=True, eq=False)
class Conditional:
    """The law of x_0 given observed or noisy values of B rows.

    Args:
        law: of x_0.
        x: the values, with shape (B, W).
        evidence: the likelihood of each component by each block.
    """

    law: Mixture
    x: Tensor
    evidence: tuple[Evidence, ...]

    @cached_property
    def log_joint(self) -> Tensor:
        """log p(k, x), with shape (K, B)."""
        joint = self.law.log_weight[:, None]
        for each in self.evidence:
            joint = joint + each.total
        return joint

    @property
    def share(self) -> Tensor:
        """p(k | x), with shape (K, B)."""
        return self.log_joint.softmax(0)

    @property
    def log_prob(self) -> Tensor:
        """log p(x), with shape (B,), in nats."""
        return self.log_joint.logsumexp(0)

    def moments(self) -> Moments:
        """The mean and the variance of each value of x_0, and priors of classes."""
        return Moments.side_by_side([each.moments(self.log_joint) for each in self.evidence])

    def sample(self, n: int, draws: Draws) -> Tensor:
        """n draws of each row, with shape (B, n, W), where x is x_0 with holes. Observed values are
        copied."""
        whole = self.share.T.double().cumsum(1)
        u = draws.uniform((len(self.x), n), self.x)
        k = torch.searchsorted(whole, u * whole[:, -1:], right=True)
        k = k.clamp(max=self.law.components - 1)
        parts = zip(self.law.blocks, torch.split(self.x, list(self.law.widths), 1), strict=True)
        return torch.cat([block.complete(x, k, draws) for block, x in parts], -1)
