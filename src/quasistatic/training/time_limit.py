r"""A time limit for a training run: the number of steps that fit into it."""

__all__ = ["limit_steps"]

import time
from dataclasses import replace
from pathlib import Path

from .checkpoints import Folder
from .loop import Trainer
from .train_state import TrainState


def limit_steps(trainer: Trainer, seconds: float, run: str | Path | None) -> None:
    """Sets the number of steps of a run to what fits into a time. The learning rate follows a
    schedule whose end must be known, so the number is fixed when the run begins.

    Args:
        trainer: the run, before its first step.
        seconds: the time, from now.
        run: the folder of the run; if a run has begun there, its number of steps is kept.
    """
    steps = trainer.engine.once(lambda: Folder.steps(run))
    if steps is None:
        deadline = time.monotonic() + seconds
        tried = trainer.choose_mode(seconds=seconds)
        trainer.state.speed |= {"seconds_a_step": tried} if tried else {}
        steps = _steps_before(trainer, deadline)
    trainer.how = replace(trainer.how, steps=steps)


def _steps_before(trainer: Trainer, deadline: float) -> int:
    """Estimates how many steps fit before a deadline: times a few, then restores the state."""
    trainer.remember()
    _timed(trainer, 2)  # the first ones compile, and fill caches
    pace = _timed(trainer, 1)
    enough = trainer.engine.once(lambda: max(2, min(100, int(0.5 / max(pace, 1e-6)))))
    each = _timed(trainer, enough - 1)
    trainer.unchecked.clear()
    trainer.state = TrainState(0, trainer.state.mean, speed=trainer.state.speed)
    trainer.restore()
    left = deadline - time.monotonic() - _validation_seconds(trainer)
    return trainer.engine.once(lambda: max(1, int(0.97 * left / each)))


def _validation_seconds(trainer: Trainer) -> float:
    """Estimates the time that all validations of the run take."""
    if trainer.valid is None or not trainer.how.validations:
        return 0.0
    size = min(len(trainer.valid), trainer.scored_at_once)
    rows = trainer.valid.array[:size]
    trainer.score(rows)  # the first one compiles
    started = time.monotonic()
    trainer.score(rows)
    once = (time.monotonic() - started) * len(trainer.valid) / size
    return once * trainer.how.validations


def _timed(trainer: Trainer, steps: int) -> float:
    """Takes some steps, and returns the seconds of each."""
    trainer.engine.finish()
    started = time.monotonic()
    for _ in range(steps):
        trainer.step()
    trainer.engine.finish()
    return (time.monotonic() - started) / steps
