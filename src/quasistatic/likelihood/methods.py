"""Ways to score, as objects: `model.score(x, method=Importance(16))`."""

__all__ = [
    "AdaptiveBound",
    "ContinuousTime",
    "Elbo",
    "Flow",
    "FlowMapDensity",
    "Importance",
    "Method",
]

import abc
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .._utils.randomness import Rng
from ..model import Model
from .adaptive_budget import bound_to
from .continuous_time import continuous
from .elbo import bound
from .flow_map import flow_map_score
from .importance import importance
from .probability_flow import flow
from .score import Score
from .terms import count_terms


class Method(abc.ABC):
    """A way to score raw data. Subclass it to add one: `Diffusion.score` takes any."""

    @abc.abstractmethod
    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> Score:
        """The score of each example.

        Args:
            model: the model to score.
            raw: raw data, with shape (N, *).
            times: the chain to score, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None; the same seed repeats the draws.

        Raises:
            TypeError: if the method does not apply to the model's kernel or network.
            ValueError: if the data or the times do not fit the model.
        """


@dataclass(frozen=True)
class Elbo(Method):
    """The bound K (SD15 Eq. 14) by a fixed number of evaluations: :func:`bound`.

    Args:
        evaluations: network evaluations of each example. None, or a number of at least the number
            of terms, sums every term.
    """

    evaluations: int | None = 64

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> Score:
        asked = self.evaluations
        whole = asked is None or asked >= count_terms(model, times)
        return bound(model, raw, None if whole else asked, times, rng)


@dataclass(frozen=True)
class AdaptiveBound(Method):
    """The bound K (SD15 Eq. 14) to a requested standard error: :func:`bound_to`.

    Args:
        stderr: the standard error to reach, in bits a value.
        each: whether `stderr` is for each example's own value, and not for the mean over the
            examples.
        most: the largest number of evaluations of an example; by default what the full sum takes.
    """

    stderr: float
    each: bool = False
    most: int | None = None

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> Score:
        return bound_to(model, raw, self.stderr, self.each, self.most, times, rng)


@dataclass(frozen=True)
class Importance(Method):
    """The log of the mean weight of several paths (SD15 Eq. 9): :func:`importance`.

    Args:
        paths: the number of paths for each example.
    """

    paths: int = 16

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> Score:
        return importance(model, raw, self.paths, times, rng)


@dataclass(frozen=True)
class Flow(Method):
    """The probability flow (SSDE21 Sec. 4.3): :func:`flow`.

    Args:
        probes: random vectors for Hutchinson's estimate of the trace; None computes it exactly.
        draws: the number of draws of x_1 for each example.
    """

    probes: int | None = 1
    draws: int = 1

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> Score:
        return flow(model, raw, times, self.probes, self.draws, rng)


@dataclass(frozen=True)
class FlowMapDensity(Method):
    """The learned flow map of a distilled model (F2D2): :func:`flow_map_score`. It is an estimate
    in few evaluations, and not a bound. It has times of its own, so `times` must be left out.

    Args:
        evaluations: steps of the map; None for the most that were trained.
        draws: the number of draws of x_1 for each example.
    """

    evaluations: int | None = None
    draws: int = 1

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> Score:
        if times is not None:
            raise ValueError(
                "a flow map has times of its own: leave them out, and give "
                "FlowMapDensity(evaluations) for the number of its steps"
            )
        return flow_map_score(model, raw, self.evaluations, self.draws, rng)


@dataclass(frozen=True)
class ContinuousTime(Method):
    """The bound in continuous time (VDM), for a network that corrects a known law:
    :func:`continuous`. It has no steps, so `times` must be left out.

    Args:
        evaluations: network evaluations of each example.
        by_row: whether the noise of an example depends only on one draw of `rng` and on its own
            values, so that its score does not depend on the other examples.
    """

    evaluations: int = 64
    by_row: bool = False

    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> Score:
        if times is not None:
            raise ValueError("the bound in continuous time visits no times: leave them out")
        return continuous(model, raw, self.evaluations, rng, self.by_row)
