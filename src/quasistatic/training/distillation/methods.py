"""Ways to distill a model, as objects for `distill(model, 8, method=MeanFlow())`."""

__all__ = ["Distillation", "MeanFlow", "ProgressiveDistillation"]

import abc
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.validation import whole_number
from ...likelihood.flow_map import flow_map_of
from ...model import Model
from ...sampling.time_grids import EvenLogSNR
from ..objectives import Objective
from .objectives import MeanFlowLoss, ProgressiveLoss
from .trajectories import flow_trajectories

LOW, HIGH = -2.0, 4.2
"""log(signal / noise) between which the times of a map are spread, those of a flow's steppers."""

EXACT = 16
"""Values of an example up to which the trace of a Jacobian is computed exactly by default."""

UNCONDITIONAL = 0.1
"""The share of trajectories of p(x) where values of y are given."""

Build = Callable[[tuple[int, ...], int, bool], Model]
"""Makes a model with a flow map from its times, its shortest walk and whether it has a density."""


@dataclass(frozen=True)
class Stage:
    """A training of a flow map.

    Args:
        model: with the map to train.
        objective: its loss.
        name: of the stage, for a folder.
    """

    model: Model
    objective: Objective
    name: str


class Distillation(abc.ABC):
    """A way to train a flow map."""

    @abc.abstractmethod
    def stages(
        self, teacher: Model, steps: int, raw: Tensor | None, build: Build, rng: torch.Generator
    ) -> Iterator[Stage]:
        """The trainings, one after the other: each is over when the next is asked for.

        Args:
            teacher: the model to distill, in eval mode.
            steps: the most evaluations of the map, a power of two.
            raw: checked data with shape (N, *), or None.
            build: makes a model with a map.
            rng: a generator.
        """


@dataclass(frozen=True)
class MeanFlow(Distillation):
    """One network for walks of 1, 2, 4, ... evaluations, in both directions, and their log-density.
    It learns from trajectories of the model's flow, which are followed once before the training,
    see :class:`.MeanFlowLoss`.

    Args:
        trajectories: how many.
        evaluations: of the model for each of them.
        probes: random vectors for each trajectory's trace (Hutchinson); None computes the trace
            exactly for examples of up to 16 values, and takes one vector beyond.
        density: whether the density is learned, for `score(method=FlowMapDensity())`. It takes the
            time of a gradient for each probe.
        weight: of the squared error of the mean divergence of a value.

    Raises:
        ValueError: if a number is not positive.
    """

    trajectories: int = 4096
    evaluations: int = 64
    probes: int | None = None
    density: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        whole_number("trajectories", self.trajectories, 2)
        whole_number("evaluations", self.evaluations, 2)
        if self.probes is not None:
            whole_number("probes", self.probes)
        if not self.weight > 0:
            raise ValueError(
                f"the weight of the divergence must be positive, got {self.weight}: for a map "
                "without a density give density=False"
            )

    def stages(
        self, teacher: Model, steps: int, raw: Tensor | None, build: Build, rng: torch.Generator
    ) -> Iterator[Stage]:
        grid = map_times(teacher, steps)
        small = teacher.blank(1).numel() <= EXACT
        probes = 1 if self.probes is None and not small else self.probes
        teacher, raw = _rows(teacher, raw, self.trajectories, rng)
        table = flow_trajectories(
            teacher, grid, self.trajectories, self.evaluations, probes, self.density, rng, raw
        )
        student = build(grid, 1, self.density)
        yield Stage(student, MeanFlowLoss(table, self.weight if self.density else 0.0), "")


@dataclass(frozen=True)
class ProgressiveDistillation(Distillation):
    """Half as many steps in each round, each trained to take two steps of the round before (SH22).
    The result walks in the one number of evaluations that was asked for, and has no density.

    Args:
        start: DDIM steps of the first teacher, a power of two times the steps of the map.

    Raises:
        ValueError: if `start` is below 2.
    """

    start: int = 32

    def __post_init__(self) -> None:
        whole_number("start", self.start, 2)

    def stages(
        self, teacher: Model, steps: int, raw: Tensor | None, build: Build, rng: torch.Generator
    ) -> Iterator[Stage]:
        rounds = self.start // steps
        if rounds < 2 or rounds & (rounds - 1) or self.start % steps:
            raise ValueError(
                f"progressive distillation halves the number of steps: start={self.start} must be "
                f"2, 4, 8, ... times the {steps} steps of the map"
            )
        grid = map_times(teacher, self.start)
        before, count = teacher, self.start
        while count > steps:
            count //= 2
            student = build(grid[1::2], count, False)
            if before is not teacher:
                _map(student).load_state_dict(_map(before).state_dict())
            name = "" if count == steps else f"{count}-steps"
            yield Stage(student, ProgressiveLoss(before, grid), name)
            before, grid = copy.deepcopy(student).eval(), grid[1::2]


def _rows(
    teacher: Model, raw: Tensor | None, count: int, rng: torch.Generator
) -> tuple[Model, Tensor | None]:
    """`count` random rows of the data and of the given values, which a tenth of the rows lose."""
    if raw is None:
        return teacher, None
    rows = torch.randint(len(raw), (count,), generator=rng)
    if teacher.codes is None:
        return teacher, raw[rows.to(raw.device)]
    codes = teacher.codes.expand(len(raw), -1)[rows.to(teacher.codes.device)]
    kept = torch.rand(count, 1, generator=rng) > UNCONDITIONAL
    return teacher.with_codes(codes * kept.to(codes)), raw[rows.to(raw.device)]


def _map(model: Model) -> torch.nn.Module:
    found: torch.nn.Module = flow_map_of(model).flow_map
    return found


def map_times(model: Model, count: int) -> tuple[int, ...]:
    """The times of the longest walk of a map, rising to T: even in log-SNR from the data's end down
    to one at log(signal / noise) = -2, and T.

    Raises:
        ValueError: if the chain has too few.
    """
    if count + 2 > model.steps:
        raise ValueError(
            f"a map of {count} steps needs a chain of at least {count + 2}, got T = {model.steps}"
        )
    if count == 1:
        return (model.steps,)
    return tuple(EvenLogSNR(count + 1, HIGH, LOW)(model)[1:].tolist())
