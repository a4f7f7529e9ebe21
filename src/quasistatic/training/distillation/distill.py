"""Distillation in one call."""

__all__ = ["distill"]

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..._utils import serialization
from ..._utils.validation import whole_number
from ...model import Model
from ...networks import FlowMapNetwork
from ...sampling import UniPC, sample
from ...sampling.steppers.multistep import require_flow
from ..callbacks import Callback
from ..config import Fit
from ..distributed import Engine
from ..fitting import device_of, fit
from .methods import Distillation, MeanFlow
from .student import student_of

M = TypeVar("M", bound=Model)

SETTINGS = Fit(steps=4000, batch=512, lr=2e-3, ema=0.999)
"""How a flow map is trained by default."""

DRAWS = 4096
"""Draws of the model that stand for data, where none are given."""


def distill(
    model: M,
    steps: int = 8,
    x: object = None,
    *,
    given: object = None,
    method: Distillation | None = None,
    network: nn.Module | None = None,
    run: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    device: str | torch.device | None = None,
    settings: Fit | None = None,
    about: dict[str, Any] | None = None,
) -> M:
    """A model with a flow map that draws in 1 to `steps` evaluations what the model's probability
    flow draws in many: `sample(n, 4, stepper=FlowMap())`. All other verbs give what they gave.

    Args:
        model: the teacher; it stays as it is.
        steps: the most evaluations of a walk: 1, 2, 4, 8, ...
        x: data with shape (N, *), from which half of the trajectories start; by default draws of
            the model alone are used.
        given: y of each row of x, for a model with a condition: the map then follows the flow of
            p(x | y), and of p(x) for a tenth of the trajectories. None for p(x) alone.
        method: by default `MeanFlow()`, which also learns the density in few evaluations;
            `ProgressiveDistillation()` for the draws of one number of steps.
        network: of the map, with outputs=2 and condition=networks.FlowMapNetwork.ENDS plus the
            numbers of the model's condition; by default one like the model's own, started from its
            weights.
        run: a folder for checkpoints, metrics and the trained model. The same call resumes. Rounds
            before the last one have folders beside it, as `run-16-steps`.
        callbacks: see :func:`fit`.
        progress: see :func:`fit`.
        device: see :func:`fit`.
        settings: how to train; by default `Fit(steps=4000, batch=512, lr=2e-3, ema=0.999)`.
        about: see :func:`fit`.

    Returns:
        A new model of the same class, in eval mode, with a copy of the teacher's network.

    Raises:
        TypeError: if the model has no probability flow, or its network cannot be built with other
            outputs.
        ValueError: if `steps` is no power of two, the chain is too short for it, or y is given
            without x.
    """
    require_flow(model, "distill")
    if whole_number("steps", steps) & (steps - 1):
        raise ValueError(f"distill halves the number of steps: give 1, 2, 4, 8, ..., got {steps}")
    how = settings or SETTINGS
    method = method or MeanFlow()
    engine = Engine(device or device_of(model))
    rng = torch.Generator().manual_seed(how.seed)
    teacher = copy.deepcopy(model).requires_grad_(False).eval()
    engine.place(teacher)
    if x is None and given is not None:
        raise ValueError("given is for the rows of x: give both, or none to distill p(x)")
    raw = None if x is None else model.space.check(x)
    data = sample(teacher, DRAWS, 20, rng, UniPC()) if raw is None else raw

    def build(times: tuple[int, ...], shortest: int, density: bool) -> M:
        own = network if network is not None else student_of(teacher)
        maps = FlowMapNetwork(teacher.network, own, times, shortest, density)
        return type(model)(model.space, teacher.kernel, model.head, maps, model.condition)

    facts = {"distilled": {"steps": steps, "by": serialization.describe(method)}}
    student = model
    for stage in method.stages(teacher.given_each(given, len(data)), steps, raw, build, rng):
        assert isinstance(stage.model, type(model))  # as build made it
        student = stage.model
        fit(
            student,
            data,
            given=given,
            objective=stage.objective,
            run=None if run is None else _beside(Path(run), stage.name),
            callbacks=callbacks,
            progress=progress,
            engine=engine,
            about=facts | (about or {}),
            settings=how,
        )
    return student.eval()


def _beside(run: Path, name: str) -> Path:
    """The folder of a stage: the run's own for the last one, and one beside it for the others."""
    return run.with_name(f"{run.name}-{name}") if name else run
