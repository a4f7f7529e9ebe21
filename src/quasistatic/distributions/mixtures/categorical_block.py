"""Columns of classes as a block of a mixture."""

__all__ = ["CategoricalBlock"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..groups import OneHotGroups
from .block import Block, Evidence, Moments, NoiseLevel
from .given_others import ClassUnits
from .row_draws import Draws


@dataclass(frozen=True, eq=False)
class CategoricalBlock(Block):
    r"""The one-hot values of G columns of classes, independent of each other given the component.

    At the noise level where a class is kept with probability a and else drawn from pi, component k
    gives class i of x_t the probability a p_ki + (1 - a) pi_i.

    Args:
        log_p: log p_ki, with shape (K, V).
        sizes: how many classes each column has, G numbers that add up to V.
    """

    log_p: Tensor
    sizes: tuple[int, ...]

    @property
    def components(self) -> int:
        return self.log_p.shape[0]

    @property
    def width(self) -> int:
        return sum(self.sizes)

    @property
    def columns(self) -> int:
        return len(self.sizes)

    @cached_property
    def groups(self) -> OneHotGroups:
        """The classes of each column."""
        return OneHotGroups(self.sizes)

    def to(self, like: Tensor) -> "CategoricalBlock":
        return CategoricalBlock(self.log_p.to(like), self.sizes)

    def picked(self, index: Tensor) -> "CategoricalBlock":
        return CategoricalBlock(self.log_p[index], self.sizes)

    @classmethod
    def joined(cls, blocks: Sequence[Any]) -> "CategoricalBlock":
        return cls(torch.cat([block.log_p for block in blocks]), blocks[0].sizes)

    def arranged(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Which columns are not observed, and the place of each class, both (B, G)."""
        hidden = x[:, self.groups.first(x)].isnan()
        return hidden, self.groups.index(x.nan_to_num()).long() + self.groups.first(x)

    def evidence(
        self, x: Tensor, level: NoiseLevel | None = None, arranged: Any = None
    ) -> "_ClassEvidence":
        hidden, chosen = self.arranged(x) if arranged is None else arranged
        if level is None:
            log_p = self.log_p[:, chosen]
        else:
            fresh = (1 - level.keep) * level.log_pi.exp()[chosen]
            log_p = (level.keep * self.log_p.exp()[:, chosen] + fresh).log()
        if hidden.any():
            log_p = log_p.masked_fill(hidden, 0.0)
        return _ClassEvidence(log_p, self, x, hidden, level)

    def given_others(self, x: Tensor) -> ClassUnits:
        return ClassUnits.of(self, x)

    def complete(self, x: Tensor, k: Tensor, draws: Draws) -> Tensor:
        """The largest of log-probabilities with Gumbel noise is a draw."""
        u = draws.uniform((*k.shape, self.width), x).clamp(min=1e-300)
        noisy = self.log_p[k] - (-u.log()).log()
        drawn = self.groups.one_hot(self.groups.index(noisy).long()).to(x.dtype)
        return torch.where(x.isnan()[:, None], drawn, x[:, None])

    def table_size(self, x: Tensor) -> Tensor:
        return torch.full((len(x),), self.components * self.columns, dtype=torch.long)


@dataclass(frozen=True, eq=False)
class _ClassEvidence(Evidence):
    log_p: Tensor
    block: CategoricalBlock
    x: Tensor
    hidden: Tensor
    level: NoiseLevel | None

    def moments(self, log_joint: Tensor) -> Moments:
        block, groups = self.block, self.block.groups
        prior = []
        for g, log_p in enumerate(torch.split(block.log_p, list(block.sizes), 1)):
            others = (log_joint - self.log_p[:, :, g]).softmax(0)  # without the column itself
            prior.append((others.T @ log_p.exp()).log())
        log_prior = torch.cat(prior, 1)
        says = self._of_each_class().masked_fill(groups.expand(self.hidden), 0.0)
        mean = groups.log_softmax(log_prior + says).exp()
        return Moments(mean, mean * (1 - mean), log_prior)

    def _of_each_class(self) -> Tensor:
        """log q(x_t | x_0 = i) of each class i, (B, V)."""
        x, level = self.x.nan_to_num(), self.level
        if level is None:
            return x.log()
        groups = self.block.groups
        fresh = groups.expand(groups.sum(x * level.log_pi.exp()))
        return (level.keep * x + (1 - level.keep) * fresh).log()
