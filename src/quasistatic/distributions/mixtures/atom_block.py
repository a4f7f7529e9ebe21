"""A real value that takes a few numbers only, as a block of a mixture."""

__all__ = ["AtomBlock"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .block import Block, Evidence, Moments, NoiseLevel
from .given_others import AtomUnits
from .row_draws import Draws


@dataclass(frozen=True, eq=False)
class AtomBlock(Block):
    r"""One real value, which is one of A numbers: component k gives atom a the probability p_ka.

    Without noise log p is that of a probability, minus infinity beside the atoms. With noise x_t
    has the density sum_a p_ka N(x_t; signal a, noise^2).

    Args:
        places: the numbers, with shape (A,).
        log_p: log p_ka, with shape (K, A).
    """

    places: Tensor
    log_p: Tensor

    @property
    def components(self) -> int:
        return len(self.log_p)

    @property
    def width(self) -> int:
        return 1

    @property
    def columns(self) -> int:
        return 1

    def to(self, like: Tensor) -> "AtomBlock":
        return AtomBlock(self.places.to(like), self.log_p.to(like))

    def picked(self, index: Tensor) -> "AtomBlock":
        return AtomBlock(self.places, self.log_p[index])

    @classmethod
    def joined(cls, blocks: Sequence[Any]) -> "AtomBlock":
        return cls(blocks[0].places, torch.cat([block.log_p for block in blocks]))

    def evidence(
        self, x: Tensor, level: NoiseLevel | None = None, arranged: Any = None
    ) -> "_AtomEvidence":
        if level is None:
            says = torch.where(x == self.places, 0.0, -math.inf).to(x.dtype)
        else:
            off = (x - level.signal * self.places) / level.noise
            says = -(off**2) / 2 - level.noise.log() - math.log(2 * math.pi) / 2
        says = torch.where(x.isnan(), 0.0, says)  # (B, A)
        joint = self.log_p[:, None] + says  # (K, B, A)
        return _AtomEvidence(joint.logsumexp(-1, keepdim=True), joint, self.places)

    def given_others(self, x: Tensor) -> AtomUnits:
        return AtomUnits.of(self, x)

    def complete(self, x: Tensor, k: Tensor, draws: Draws) -> Tensor:
        u = draws.uniform((*k.shape, len(self.places)), x).clamp(min=1e-300)
        chosen = (self.log_p[k] - (-u.log()).log()).argmax(-1)
        drawn = self.places[chosen][..., None]
        return torch.where(x.isnan()[:, None], drawn, x[:, None])

    def table_size(self, x: Tensor) -> Tensor:
        return torch.full((len(x),), self.log_p.numel(), dtype=torch.long)


@dataclass(frozen=True, eq=False)
class _AtomEvidence(Evidence):
    log_p: Tensor
    joint: Tensor
    places: Tensor

    def moments(self, log_joint: Tensor) -> Moments:
        share = log_joint.softmax(0)[..., None]
        atom = (share * (self.joint - self.log_p).exp()).sum(0)  # (B, A)
        mean = (atom @ self.places)[:, None]
        variance = (atom * (self.places - mean) ** 2).sum(1, keepdim=True)
        return Moments(mean, variance, torch.zeros_like(mean))
