r"""The training loop: a :class:`Trainer` takes steps, checks them, validates and saves. It uses
objectives and the engine, and no kernel.

All random numbers of step i come from generators seeded by (seed, i, part). The parts of a step are
distributed over processes, or computed one after the other. So the weights, the optimizer's moments
and the number of the step are the whole state of a run: a killed run resumes with the same results,
and several processes compute the same as one.
"""

__all__ = ["Trainer"]

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.sources import Rows, Source
from ..likelihood import bound
from ..likelihood.terms import count_terms
from ..model import Model
from .callbacks import Callback
from .checkpoints import Folder
from .config import Fit
from .data_loader import VALIDATION, DataLoader, Given, mix
from .distributed import Engine
from .objectives import Objective
from .precision import ComputeMode
from .train_state import TrainState
from .train_step import NonFiniteLoss, TrainStep

CHECK_EVERY = 64
"""On a GPU, the losses of this many steps are checked at once."""

SAMPLE = 4096
"""Training rows used to convert the loss to reported units."""

SCORED = 256
"""The smallest number of validation rows that are scored at once."""

REPORT_SECONDS = 0.2
"""The shortest time between two calls of a callback, except after a validation."""


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
            self.weights,
            lr=how.lr,
            weight_decay=how.weight_decay,
            fused=engine.fuses and _can_fuse(self.weights),
        )
        self.train_step = TrainStep(model, objective, engine, self.data, how.cuda_graphs)
        self.state = TrainState.begin(self.weights)
        self.unchecked: list[Tensor] = []
        self.good: list[list[Tensor]] = []
        self.careful = engine.device.type == "cpu"  # there, reading a loss costs nothing
        self.mode_is_chosen = False

    def run(self, folder: Folder | None, callbacks: Sequence[Callback] = ()) -> None:
        """Trains to the end, from the last checkpoint of the folder.

        Args:
            folder: where checkpoints and metrics are written.
            callbacks: functions that are called with the :class:`Progress` of the run.
        """
        self.begin(folder)
        writer = folder if folder is not None and (self.engine.main or folder.everywhere) else None
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
            folder.finish(self.engine, self.state, self.model)

    def begin(self, folder: Folder | None) -> None:
        """Restores the last checkpoint of the folder, and chooses how a step is computed."""
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

    def step(self) -> None:
        """One training step. On a GPU its loss is checked later, by :meth:`check`.

        Raises:
            NonFiniteLoss: if the loss or the gradient is not finite.
            torch.OutOfMemoryError: if the GPU has too little memory: what to set.
        """
        step, how = self.state.step, self.how
        if not self.unchecked and not self.careful:
            self.remember()
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
        self.restore()
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

    def remember(self) -> None:
        """Copies all that a step changes, for :meth:`restore`."""
        self.good = [[t.clone() for t in each] for each in self._state()]

    def restore(self) -> None:
        """Goes back to the state that :meth:`remember` copied."""
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
            score, error = self.score(self.valid.array)
            record["valid_bits_per_dim"] = score
            if math.isfinite(error):
                record["valid_bits_per_dim_stderr"] = error
        self.state.note(record, score, self.how.patience)

    @property
    def scored_at_once(self) -> int:
        """The number of validation rows that are scored at once."""
        return max(self.data.size, SCORED)

    def score(self, raw: Tensor) -> tuple[float, float]:
        """The mean bits per dimension of rows raw (M, *) under the mean weights, and its standard
        error, which is NaN for one row. Processes share the rows, and the draws for a row are the
        same however many processes there are."""
        evaluations = min(self.how.evaluations, count_terms(self.model))
        size = self.scored_at_once
        pieces = torch.split(raw, size)
        bits = torch.zeros(len(raw), dtype=self.dtype, device=self.engine.device)
        with self.state.mean_weights(self.model):
            for i in self.engine.share_out(len(pieces)):
                rng = self.engine.generator().manual_seed(mix(self.how.seed, i, VALIDATION))
                rows = slice(i * size, i * size + len(pieces[i]))
                held = self.valid_given
                model = self.model if held is None else self.model.with_codes(held.codes[rows])
                found = bound(model, pieces[i], evaluations, rng=rng).bits_per_dim
                bits[i * size : (i + 1) * size] = found
        every = self.engine.joined(bits)
        error = every.double().std().item() / len(every) ** 0.5 if len(every) > 1 else math.nan
        return every.mean().item(), error


def _can_fuse(weights: Sequence[Tensor]) -> bool:
    return all(w.device.type in ("cpu", "cuda") and w.is_floating_point() for w in weights)
