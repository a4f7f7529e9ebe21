r"""Training: the loop. It knows objectives and the engine, and no kernel.

All random numbers of step i come from generators seeded by (seed, i, part), where the parts of a
step are shared out among processes, or taken in turns. So the weights, the optimizer's moments and
the number of the step are the whole state of a run: a run that was killed resumes as if it had not
been, and several processes compute what one would.
"""

__all__ = ["Fit", "NonFiniteLoss", "Trainer", "fit"]

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from .._utils import serialization
from ..data.sources import Rows, Source
from ..likelihood import bound
from ..likelihood.terms import count_terms
from ..model import Model
from .callbacks import Callback, ProgressBar, interactive
from .checkpoints import Folder
from .config import Fit, FitChanges
from .data_loader import VALIDATION, DataLoader, Given, as_rows, as_source, mix
from .distributed import Engine
from .objectives import Bound, Objective
from .precision import ComputeMode
from .train_state import TrainState
from .train_step import NonFiniteLoss, TrainStep

CHECK_EVERY = 64
"""Steps of a GPU after which their losses are checked, all at once."""

SAMPLE = 4096
"""Training rows used to convert the loss to reported units."""

SCORED = 256
"""The least number of validation rows that are scored at once."""

REPORT_SECONDS = 0.2
"""The least time between two calls of a callback, but for validations."""


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
    engine = engine or Engine(device or _device_of(model))
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
                trainer.limit(60 * minutes, run)
            trainer.run(_folder(run, trainer, about or {}), called)
    finally:
        torch.set_num_threads(before)
    return trainer.state


def _device_of(model: Model) -> str | torch.device:
    here = model.blank(1).device
    return "auto" if here.type == "cpu" else here


def _folder(path: str | Path | None, trainer: "Trainer", about: dict[str, Any]) -> Folder | None:
    """The folder, claimed for this run; every process has the same run and the same data."""
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
    folder = Folder(path, trainer.model, settings, trainer.data.parts, what | about)
    trainer.engine.once(folder.claim)
    return folder


class Trainer:
    """One training run: the state that a checkpoint holds, and the step that advances it.

    Args:
        model: the model, on the engine's device.
        objective: the loss.
        engine: the device and the processes.
        how: how to train.
        source: the training data.
        valid: the validation data.
        given: the conditions of the training data.
        valid_given: the conditions of the validation data.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        engine: Engine,
        how: Fit,
        source: Source,
        valid: Rows | None,
        given: Given | None = None,
        valid_given: Given | None = None,
    ) -> None:
        self.given, self.valid_given = given, valid_given
        self.model, self.objective, self.engine, self.how = model, objective, engine, how
        self.source, self.valid, self.dtype = source, valid, model.blank(1).dtype
        parts = engine.ranks * how.accumulate
        self.data = DataLoader(source, how.batch, parts, how.seed, engine, given)
        self.sample = model.space.check(self.data.first(SAMPLE)).to(self.dtype)
        self.weights = list(model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=how.lr, weight_decay=how.weight_decay, fused=_can_fuse(self.weights)
        )
        self.train_step = TrainStep(model, objective, engine, self.data, how.cuda_graphs)
        self.state = TrainState.begin(self.weights)
        self.unchecked: list[Tensor] = []
        self.good: list[list[Tensor]] = []
        self.careful = engine.device.type == "cpu"  # where to look at a loss costs nothing
        self.mode_is_chosen = False

    def run(self, folder: Folder | None, callbacks: Sequence[Callback] = ()) -> None:
        """Trains to the end, from what the folder holds.

        Args:
            folder: where checkpoints and metrics go.
            callbacks: what is called with how far the run is.
        """
        self.begin(folder)
        writer = folder if self.engine.main else None
        started, first, busy = time.monotonic(), self.state.step, 0.0
        every = max(1, self.how.steps // max(self.how.validations, 1))
        reported = 0.0
        try:
            while self.state.step < self.how.steps and not self.state.finished:
                before = time.monotonic()
                self.step()
                now = time.monotonic()
                done = self.state.step - first
                if done > 1:  # the first one compiles, and fills caches
                    busy += now - before
                    pace = self.data.size * (done - 1) / max(busy, 1e-9)
                    self.state.speed["examples_per_second"] = pace
                last = self.state.step == self.how.steps
                validated = self.state.step % every == 0 or last
                if validated:
                    self.validate()
                if writer is not None and writer.due(now, self.how.save_every):
                    self.check()
                    writer.save(self.state, self.model, self.optimizer)
                if callbacks and (validated or now - reported > REPORT_SECONDS):
                    reported = now
                    far = self.state.progress(self.how.steps, (now - started) / done)
                    for callback in callbacks:
                        callback(far)
        except NonFiniteLoss:
            if writer is not None:
                writer.save(self.state, self.model, self.optimizer)
            raise
        self.check()
        self.state.finish(self.model)
        if folder is not None:
            self.engine.once(lambda: folder.close(self.state, self.model))

    def begin(self, folder: Folder | None) -> None:
        """Restores what the folder holds, and chooses how a step is computed."""
        if folder is not None:
            stored = self.engine.once(folder.read)
            if stored is not None:
                self.state = stored.restore(self.state, self.model, self.optimizer)
            self.state.speed |= self.engine.once(folder.speed)
        if self.state.finished:
            return
        seconds = {} if self.mode_is_chosen else self.choose_mode(steps=self.how.steps)
        seconds = seconds or self.state.speed.get("seconds_a_step", {})
        self.state.speed |= {
            "device": self.engine.hardware,
            "processes": self.engine.ranks,
            "threads": torch.get_num_threads(),
            "arithmetic": str(self.train_step.mode),
        }
        if seconds:
            self.state.speed["seconds_a_step"] = seconds
            if folder is not None and self.engine.main:
                folder.write_speed(self.state)

    def choose_mode(
        self, steps: int | None = None, seconds: float | None = None
    ) -> dict[str, float | None]:
        """Chooses the precision, and whether to compile, where the settings leave that open. A
        resumed run keeps what it chose.

        Args:
            steps: the steps of the whole run; or
            seconds: the time that the run may take.

        Returns:
            The seconds a step of each mode that was tried.
        """
        modes = ComputeMode.candidates(self.how.precision, self.how.compile)
        modes = [mode for mode in modes if str(mode) == self.state.speed.get("arithmetic")] or modes
        left = None if steps is None else steps - self.state.step
        self.mode_is_chosen = True
        return self.train_step.choose(modes, self.state.step, left, seconds)

    def limit(self, seconds: float, run: str | Path | None) -> None:
        """Sets the number of steps to what fits into a time; a run that has begun keeps its number.

        Args:
            seconds: the time, from now.
            run: the folder of the run.
        """
        steps = self.engine.once(lambda: Folder.steps(run))
        if steps is None:
            deadline = time.monotonic() + seconds
            tried = self.choose_mode(seconds=seconds)
            self.state.speed |= {"seconds_a_step": tried} if tried else {}
            steps = self._steps_before(deadline)
        self.how = replace(self.how, steps=steps)

    def _steps_before(self, deadline: float) -> int:
        """Estimates how many steps fit before a deadline: times a few, then restores the state."""
        self._remember()
        self._timed(2)  # the first ones compile, and fill caches
        pace = self._timed(1)
        enough = self.engine.once(lambda: max(2, min(100, int(0.5 / max(pace, 1e-6)))))
        each = self._timed(enough - 1)
        self.unchecked.clear()
        self.state = TrainState(0, self.state.mean, speed=self.state.speed)
        self._restore()
        looks = 0.0
        if self.valid is not None and self.how.validations:
            size = min(len(self.valid), max(self.data.size, SCORED))
            self.score(self.valid.array[:size])
            started = time.monotonic()
            self.score(self.valid.array[:size])
            looks = (time.monotonic() - started) * len(self.valid) / size * self.how.validations
        left = deadline - time.monotonic() - looks
        return self.engine.once(lambda: max(1, int(0.97 * left / each)))

    def _timed(self, steps: int) -> float:
        """Takes so many steps; the seconds of each."""
        self.engine.finish()
        started = time.monotonic()
        for _ in range(steps):
            self.step()
        self.engine.finish()
        return (time.monotonic() - started) / steps

    def step(self) -> None:
        """One training step. On a GPU its loss is checked later, by :meth:`check`.

        Raises:
            NonFiniteLoss: if the loss or the gradient is not finite.
            torch.OutOfMemoryError: if the GPU has too little memory: what to set.
        """
        step, how = self.state.step, self.how
        if not self.unchecked and not self.careful:
            self._remember()
        try:
            found = self.train_step.compute(step, step + 1 == how.steps, how.clip)
        except torch.OutOfMemoryError as error:
            parts = self.data.parts
            raise torch.OutOfMemoryError(
                f"a step of {self.data.size} examples in {parts} part{'s' * (parts > 1)} does not "
                f"fit into the memory of {self.engine.hardware}: set "
                f"accumulate={2 * how.accumulate} to take half as many at a time, or a smaller "
                f"batch ({error})"
            ) from None
        if self.careful:
            loss, norm = found.tolist()
            self.train_step.require(step, loss, norm)
            self._count(loss)
        else:
            self.unchecked.append(found)
        for group in self.optimizer.param_groups:
            group["lr"] = how.rate(step)
        self.optimizer.step()
        self.state.advance(self.weights, how.ema)
        if len(self.unchecked) >= CHECK_EVERY:
            self.check()

    def check(self) -> None:
        """Checks the losses of the steps since the last check. If one was not finite, these steps
        are repeated one by one with a check after each, and give the same up to the one that
        fails."""
        if not self.unchecked:
            return
        found, self.unchecked = torch.stack(self.unchecked).tolist(), []
        if all(math.isfinite(x) for pair in found for x in pair):
            for loss, _ in found:
                self._count(loss)
            return
        self._restore()
        self.state.step -= len(found)
        self.careful = True
        for _ in found:
            self.step()

    def _count(self, loss: float) -> None:
        self.state.loss_sum += loss
        self.state.loss_count += 1

    def _state(self) -> list[list[Tensor]]:
        """All that a step changes: weights, their mean, the optimizer's moments, buffers."""
        of = [self.optimizer.state[w] for w in self.weights if w in self.optimizer.state]
        moments = [[s[name] for s in of] for name in ("exp_avg", "exp_avg_sq", "step")]
        weights: list[Tensor] = [w.detach() for w in self.weights]
        return [weights, self.state.mean, list(self.model.buffers()), *moments]

    def _remember(self) -> None:
        self.good = [[t.clone() for t in each] for each in self._state()]

    def _restore(self) -> None:
        """Goes back to the state that was remembered."""
        if not self.good[3]:  # before the first step there were no moments
            self.optimizer.state.clear()
        with torch.no_grad():
            for now, before in zip(self._state(), self.good, strict=True):
                if now:
                    torch._foreach_copy_(now, before)

    def validate(self) -> None:
        """Records the mean loss since the last time, and the bound of the mean weights on the
        validation data."""
        self.check()
        loss = self.state.mean_loss()
        name, value = self.objective.reading(self.model, self.sample, loss)
        record: dict[str, float] = {"step": self.state.step, "loss": loss, name: value}
        score = None
        if self.valid is not None:
            score = self.score(self.valid.array)
            record["valid_bits_per_dim"] = score
        self.state.note(record, score, self.how.patience)

    def score(self, raw: Tensor) -> float:
        """The mean bits per dimension of rows raw (M, *) under the mean weights. Processes share
        the rows, and the draws for a row are the same however many processes there are."""
        evaluations = min(self.how.evaluations, count_terms(self.model))
        size = max(self.data.size, SCORED)
        pieces = torch.split(raw, size)
        bits = torch.zeros(len(raw), dtype=self.dtype, device=self.engine.device)
        with self.state.mean_weights(self.model):
            for i in range(self.engine.rank, len(pieces), self.engine.ranks):
                rng = self.engine.generator().manual_seed(mix(self.how.seed, i, VALIDATION))
                rows = slice(i * size, i * size + len(pieces[i]))
                held = self.valid_given
                model = self.model if held is None else self.model.with_codes(held.codes[rows])
                found = bound(model, pieces[i], evaluations, rng=rng).bits_per_dim
                bits[i * size : (i + 1) * size] = found
        return self.engine.sum(bits).mean().item()


def _can_fuse(weights: Sequence[Tensor]) -> bool:
    return all(w.device.type in ("cpu", "cuda") and w.is_floating_point() for w in weights)
