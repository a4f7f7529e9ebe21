"""Ways to score other than the bound, as objects: `model.score(x, method=Importance(16))`."""

__all__ = ["ContinuousTime", "Flow", "Importance", "Method"]

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model import Model
from .continuous_time import continuous
from .importance import importance
from .probability_flow import flow
from .score import Score


class Method(abc.ABC):
    """A way to score raw data (N, *)."""

    @abc.abstractmethod
    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None,
        rng: torch.Generator | None,
    ) -> Score:
        """The score of each example along the chain over `times`, see :meth:`Model.times`."""


@dataclass(frozen=True)
class Importance(Method):
    """The log-mean of weighted paths (SD15 Eq. 9): :func:`importance`.

    Args:
        paths: for each example.
    """

    paths: int = 16

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None,
        rng: torch.Generator | None,
    ) -> Score:
        return importance(model, raw, self.paths, times, rng)


@dataclass(frozen=True)
class Flow(Method):
    """The probability flow: :func:`flow`.

    Args:
        probes: of Hutchinson's estimate of the trace; None takes it exactly.
        draws: of x_1 for each example.
    """

    probes: int | None = 1
    draws: int = 1

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None,
        rng: torch.Generator | None,
    ) -> Score:
        return flow(model, raw, times, self.probes, self.draws, rng)


@dataclass(frozen=True)
class ContinuousTime(Method):
    """The bound as steps get shorter without end, for a network that corrects a known law:
    :func:`continuous`. It has no steps of its own: `times` must be left out.

    Args:
        evaluations: of the network, for each example.
        by_row: whether the noise of an example depends on one draw of `rng` and on its own values
            alone, so that its score does not depend on the examples beside it.
    """

    evaluations: int = 64
    by_row: bool = False

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None,
        rng: torch.Generator | None,
    ) -> Score:
        if times is not None:
            raise ValueError("the bound in continuous time visits no times: leave them out")
        return continuous(model, raw, self.evaluations, rng, self.by_row)
