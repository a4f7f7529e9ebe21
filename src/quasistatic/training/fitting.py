r"""Training in one call: checks the arguments, places the model, and runs a :class:`Trainer`."""

__all__ = ["device_of", "fit"]

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch

from .._utils import serialization
from ..data.sources import Source
from ..model import Model
from .callbacks import Callback, ProgressBar, interactive
from .checkpoints import Folder
from .config import Fit, FitChanges
from .data_loader import Given, as_rows, as_source
from .distributed import Engine
from .loop import Trainer
from .objectives import Bound, Objective
from .time_limit import limit_steps
from .train_state import TrainState


def fit(
    model: Model,
    x: object,
    valid: object | None = None,
    *,
    given: object = None,
    valid_given: object = None,
    objective: Objective | None = None,
    run: str | Path | None = None,
    minutes: float | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    device: str | torch.device | None = None,
    about: dict[str, Any] | None = None,
    engine: Engine | None = None,
    settings: Fit | None = None,
    **changes: Unpack[FitChanges],
) -> TrainState:
    """Trains a model on raw data x, in place. The model ends with the running mean of its weights:
    with the best one on `valid` where that is given, else with the last.

    Where a launcher started several processes (`accelerate launch`), each takes its parts of every
    step, and one of them writes.

    Args:
        model: the model.
        x: training data, an array (N, *), or a `Source` that draws a view of each row anew at every
            step. Bytes stay bytes until a step takes them.
        valid: validation data, an array (M, *).
        given: y of each row of x, for a model with a condition: the network then learns p(x | y),
            and p(x) from a share of the examples (`condition_dropout`).
        valid_given: y of each row of `valid`.
        objective: the loss; by default the :class:`Bound`.
        run: a folder for checkpoints and metrics. The same call with the same folder resumes.
        minutes: how long training may take, in place of `steps`: the number of steps is measured
            when the run begins, and a resumed run keeps it.
        callbacks: functions of :class:`Progress`, called a few times a second, after each
            validation and at the end, on the main process.
        progress: whether to show a progress bar; by default on a terminal and in a notebook.
        device: where to train: "auto", "cpu", "cuda:1", ...; by default the device of the model if
            that is a GPU, else "auto". The model stays there.
        about: more for the run's `config.json`: JSON values, which a resumed run must share.
        engine: the device and processes, in place of `device`.
        settings: how to train; by default `Fit()`.
        changes: changes to the settings by name: `fit(model, x, steps=5000)`.

    Returns:
        The state of the run at its end: its metrics, and the step whose weights were kept.

    Raises:
        NonFiniteLoss: if the loss or a gradient is not finite; the message says where, and what to
            try. The model, and the run's folder, keep the last good state.
        TypeError: if the model has a condition and none is given, or the reverse.
        ValueError: if the data do not fit the space, there is not one condition for each row, the
            folder holds another run, processes got different data or settings, or there is no such
            device.
        torch.OutOfMemoryError: if a step does not fit into the memory of the GPU.
    """
    how = replace(settings or Fit(), **changes)
    if minutes is not None and not minutes > 0:
        raise ValueError(f"minutes must be positive, got {minutes}")
    if minutes is not None and "steps" in changes:
        raise ValueError("minutes and steps both say how long to train: give one of them")
    objective = objective or Bound()
    objective.check(model)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise TypeError(
            f"{type(model.network).__name__} has no weights to train: an oracle needs no fit, and "
            "a frozen network has to be unfrozen first"
        )
    engine = engine or Engine(device or device_of(model))
    engine.place(model)
    dtype = model.blank(1).dtype
    source = as_source(model.space, x, dtype)
    held_out = None if valid is None else as_rows(model.space, valid, dtype, "valid")
    conditions = Given.of(model, given, len(source), how.condition_dropout)
    held_given = None if valid is None else valid_given
    held = None
    if held_out is not None:
        held = Given.of(model, held_given, len(held_out), name="valid_given")
    trainer = Trainer(model, objective, engine, how, source, held_out, conditions, held)
    before = torch.get_num_threads()
    shown = interactive() and not callbacks if progress is None else progress
    try:
        torch.set_num_threads(how.threads or before)
        with engine.isolated(), contextlib.ExitStack() as stack:
            called = [*callbacks] if engine.main else []
            if shown and engine.main:
                called.append(stack.enter_context(ProgressBar()))
            if minutes is not None:
                limit_steps(trainer, 60 * minutes, run)
            trainer.run(_folder(run, trainer, about or {}), called)
    finally:
        torch.set_num_threads(before)
    return trainer.state


def device_of(model: Model) -> str | torch.device:
    """Where a model is trained by default: where it is if that is a GPU, else "auto"."""
    here = model.blank(1).device
    return "auto" if here.type == "cpu" else here


def _folder(path: str | Path | None, trainer: Trainer, about: dict[str, Any]) -> Folder | None:
    """The folder, claimed for this run. Checks that every process has the same run and data."""
    if path is None and trainer.engine.ranks == 1:
        return None
    sources: list[Source] = [each for each in (trainer.source, trainer.valid) if each is not None]
    what = {
        "data": [source.fingerprint() for source in sources],
        "objective": serialization.describe_or_name(trainer.objective),
    }
    conditions = [each for each in (trainer.given, trainer.valid_given) if each is not None]
    if conditions:
        what["given"] = [each.fingerprint() for each in conditions]
    settings = trainer.how.decisive()
    trainer.engine.agree("data", what["data"])
    trainer.engine.agree("settings", [settings, what["objective"]])
    if path is None:
        return None
    folder = trainer.engine.folder(path, trainer.model, settings, trainer.data.parts, what | about)
    trainer.engine.once(folder.claim)
    return folder
