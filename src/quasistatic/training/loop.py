r"""Training: a loop that fits on a page. It knows objectives and the engine, and no kernel.

Everything random in step i is drawn from generators seeded by (seed, i, part), where the parts of a
step are what processes share out, or take in turns. The weights, the optimiser's moments and the
number of the step are therefore the whole state of a run: a run that was killed goes on as the
run that was not, and several processes do what one would do by itself.
"""

__all__ = ["Fit", "NonFiniteLoss", "fit"]

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._utils import serialization
from ..data.sources import Rows, Source
from ..likelihood import bound
from ..likelihood.terms import count_terms
from ..model import Model
from .checkpoints import Folder
from .config import Fit
from .data_loader import VALIDATION, DataLoader, as_rows, as_source, mix
from .distributed import Engine
from .objectives import Bound, Objective
from .precision import ComputeMode
from .train_state import Progress, Run
from .train_step import NonFiniteLoss, TrainStep

LOOK = 64
"""Steps of a GPU between looks at their losses."""

SAMPLE = 4096
"""Training rows by which a loss is told as a person reads it."""

SCORED = 256
"""Validation rows that are scored together, at least."""


def fit(
    model: Model,
    x: object,
    valid: object | None = None,
    *,
    objective: Objective | None = None,
    run: str | Path | None = None,
    show: Callable[[Progress], None] | None = None,
    about: dict | None = None,
    engine: Engine | None = None,
    settings: Fit | None = None,
    **changes: Any,
) -> Run:
    """Trains a model on raw data x, in place; the model ends with its mean weights, the best of
    them on `valid` where that is given.

    Started by a launcher of several processes (`accelerate launch`), each takes its parts of every
    step, and one of them writes.

    Args:
        x: an array (N, *), or a `Source` that draws a view of each row anew at every step. Bytes
            stay bytes until a step takes them.
        valid: an array (M, *).
        objective: what to make small; by default the Bound.
        run: a folder for checkpoints and metrics. The same call on the same folder resumes.
        show: called now and then with how far the run is.
        about: more for the run's `config.json`: JSON values, which a resumed run must share.
        settings: how to train, and `changes` to it by name: `fit(model, x, steps=5000)`.

    Returns:
        The run: its metrics, and the step whose weights were kept.

    Raises:
        NonFiniteLoss: if the loss or a gradient is not finite: where, and what to try. The model,
            and the run's folder, keep the last good state.
        ValueError: if the data do not fit the space, the folder holds another run, or processes
            were given different data or settings.
    """
    how = replace(settings or Fit(), **changes)
    objective = objective or Bound()
    objective.check(model)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise TypeError(
            f"{type(model.network).__name__} has no weights to train: an oracle needs no fit, and "
            "a frozen network has to be unfrozen first"
        )
    engine = engine or Engine()
    engine.place(model)
    dtype = model.blank(1).dtype
    source = as_source(model.space, x, dtype)
    held_out = None if valid is None else as_rows(model.space, valid, dtype, "valid")
    loop = _Loop(model, objective, engine, how, source, held_out)
    folder = _folder(run, loop, about or {})
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(how.threads or before)
        with engine.isolated():
            loop.run(folder, show if engine.main else None)
    finally:
        torch.set_num_threads(before)
    return loop.kept


def _folder(path: str | Path | None, loop: "_Loop", about: dict) -> Folder | None:
    """The folder, claimed for this run; every process has the same run and the same data."""
    if path is None and loop.engine.ranks == 1:
        return None
    sources: list[Source] = [each for each in (loop.source, loop.valid) if each is not None]
    what = {
        "data": [source.fingerprint() for source in sources],
        "objective": serialization.describe_or_name(loop.objective),
    }
    settings = loop.how.decisive()
    loop.engine.agree("data", what["data"])
    loop.engine.agree("settings", [settings, what["objective"]])
    if path is None:
        return None
    folder = Folder(path, loop.model, settings, loop.batches.parts, what | about)
    loop.engine.once(folder.claim)
    return folder


class _Loop:
    """One training run: the state that a checkpoint holds, and the step that advances it."""

    def __init__(
        self,
        model: Model,
        objective: Objective,
        engine: Engine,
        how: Fit,
        source: Source,
        valid: Rows | None,
    ) -> None:
        self.model, self.objective, self.engine, self.how = model, objective, engine, how
        self.source, self.valid, self.dtype = source, valid, model.blank(1).dtype
        self.batches = DataLoader(
            source, how.batch, engine.ranks * how.accumulate, how.seed, engine
        )
        self.sample = model.space.check(self.batches.first(SAMPLE)).to(self.dtype)
        self.weights = list(model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=how.lr, weight_decay=how.weight_decay, fused=_can_fuse(self.weights)
        )
        self.gradients = TrainStep(model, objective, engine, self.batches, how.cuda_graphs)
        self.kept = Run.begin(self.weights)
        self.unseen: list[Tensor] = []
        self.good: list[list[Tensor]] = []
        self.careful = engine.device.type == "cpu"  # where to look costs nothing

    def run(self, folder: Folder | None, show: Callable[[Progress], None] | None) -> None:
        self.begin(folder)
        writer = folder if self.engine.main else None
        started, first, busy = time.monotonic(), self.kept.step, 0.0
        every = max(1, self.how.steps // max(self.how.validations, 1))
        shown = 0.0
        try:
            while self.kept.step < self.how.steps and not self.kept.finished:
                before = time.monotonic()
                self.step()
                now = time.monotonic()
                done = self.kept.step - first
                if done > 1:  # the first one compiles, and fills caches
                    busy += now - before
                    pace = self.batches.size * (done - 1) / max(busy, 1e-9)
                    self.kept.speed["examples_per_second"] = pace
                if self.kept.step % every == 0 or self.kept.step == self.how.steps:
                    self.validate()
                if writer is not None and writer.due(now, self.how.save_every):
                    self.look()
                    writer.save(self.kept, self.model, self.optimizer)
                if show is not None and (now - shown > 0.2 or self.kept.step == self.how.steps):
                    shown = now
                    show(self.kept.progress(self.how.steps, (now - started) / done))
        except NonFiniteLoss:
            if writer is not None:
                writer.save(self.kept, self.model, self.optimizer)
            raise
        self.look()
        self.kept.finish(self.model)
        if folder is not None:
            self.engine.once(lambda: folder.close(self.kept, self.model))

    def begin(self, folder: Folder | None) -> None:
        """Takes up what the folder holds, and chooses how the network computes."""
        if folder is not None:
            stored = self.engine.once(folder.read)
            if stored is not None:
                self.kept = stored.restore(self.kept, self.model, self.optimizer)
            self.kept.speed = self.engine.once(folder.speed)
        if self.kept.finished:
            return
        modes = ComputeMode.candidates(self.how.precision, self.how.compile)
        modes = [mode for mode in modes if str(mode) == self.kept.speed.get("arithmetic")] or modes
        left = self.how.steps - self.kept.step
        seconds = self.gradients.choose(modes, self.kept.step, left)
        self.kept.speed |= {
            "device": self.engine.hardware,
            "processes": self.engine.ranks,
            "threads": torch.get_num_threads(),
            "arithmetic": str(self.gradients.mode),
        }
        if seconds:
            self.kept.speed.setdefault("seconds_a_step", seconds)
            if folder is not None and self.engine.main:
                folder.write_speed(self.kept)

    def step(self) -> None:
        """One gradient step. Where a GPU is at work its loss is looked at later, see `look`."""
        step, how = self.kept.step, self.how
        if not self.unseen and not self.careful:
            self._remember()
        found = self.gradients.compute(step, step + 1 == how.steps, how.clip)
        if self.careful:
            loss, norm = found.tolist()
            self.gradients.require(step, loss, norm)
            self._count(loss)
        else:
            self.unseen.append(found)
        for group in self.optimizer.param_groups:
            group["lr"] = how.rate(step)
        self.optimizer.step()
        self.kept.advance(self.weights, how.ema)
        if len(self.unseen) >= LOOK:
            self.look()

    def look(self) -> None:
        """Takes in the losses of the steps since the last look. If one was not finite, they are
        taken again from there with eyes open: step for step the same, up to the one that fails."""
        if not self.unseen:
            return
        found, self.unseen = torch.stack(self.unseen).tolist(), []
        if all(math.isfinite(x) for pair in found for x in pair):
            for loss, _ in found:
                self._count(loss)
            return
        if not self.good[-1]:  # before the first step there were no moments
            self.optimizer.state.clear()
        with torch.no_grad():
            for now, before in zip(self._state(), self.good, strict=True):
                if now:
                    torch._foreach_copy_(now, before)
        self.kept.step -= len(found)
        self.careful = True
        for _ in found:
            self.step()

    def _count(self, loss: float) -> None:
        self.kept.loss_sum += loss
        self.kept.loss_count += 1

    def _state(self) -> list[list[Tensor]]:
        """All that a step changes: weights, their mean, the optimiser's moments, buffers."""
        of = [self.optimizer.state[w] for w in self.weights if w in self.optimizer.state]
        moments = [[s[name] for s in of] for name in ("exp_avg", "exp_avg_sq", "step")]
        weights: list[Tensor] = [w.detach() for w in self.weights]
        return [weights, self.kept.mean, list(self.model.buffers()), *moments]

    def _remember(self) -> None:
        self.good = [[t.clone() for t in each] for each in self._state()]

    def validate(self) -> None:
        """Notes the loss since the last time, and the bound of the mean weights on `valid`."""
        self.look()
        loss = self.kept.mean_loss()
        name, value = self.objective.reading(self.model, self.sample, loss)
        record: dict[str, float] = {"step": self.kept.step, "loss": loss, name: value}
        score = None
        if self.valid is not None:
            score = self.score(self.valid.array)
            record["valid_bits_per_dim"] = score
        self.kept.note(record, score, self.how.patience)

    def score(self, raw: Tensor) -> float:
        """The mean bits per dimension of rows under the mean weights. Processes share the rows,
        and what is drawn for a row is the same however many there are."""
        evaluations = min(self.how.evaluations, count_terms(self.model))
        size = max(self.batches.size, SCORED)
        pieces = raw.split(size)
        bits = torch.zeros(len(raw), dtype=self.dtype, device=self.engine.device)
        with self.kept.mean_weights(self.model):
            for i in range(self.engine.rank, len(pieces), self.engine.ranks):
                rng = self.engine.generator().manual_seed(mix(self.how.seed, i, VALIDATION))
                found = bound(self.model, pieces[i], evaluations, rng=rng).bits_per_dim
                bits[i * size : (i + 1) * size] = found
        return self.engine.sum(bits).mean().item()


def _can_fuse(weights: list) -> bool:
    return all(w.device.type in ("cpu", "cuda") and w.is_floating_point() for w in weights)
