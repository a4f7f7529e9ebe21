"""The state of a training run: counters, the running mean of the weights, and the best weights."""

__all__ = ["Progress", "TrainState"]

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .._utils.printing import clock
from ..model import Model


@dataclass(frozen=True)
class Progress:
    """The progress of a run, which callbacks receive.

    Args:
        step: steps done.
        steps: steps of the whole run.
        latest: the latest record of the metrics, by name; empty before the first.
        seconds_left: an estimate of the time that the run still needs; None until available.
        examples_per_second: the mean speed so far; None until available.
    """

    step: int
    steps: int
    latest: dict[str, float]
    seconds_left: float | None
    examples_per_second: float | None = None

    @property
    def summary(self) -> str:
        """The latest figures, the speed and the time that is left, for a progress bar."""
        figures = [
            f"{label} {self.latest[key]:.4g}"
            for key, label in _LABELS.items()
            if key in self.latest
        ]
        if (speed := self.examples_per_second) is not None:
            figures.append(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s")
        if self.seconds_left is not None:
            figures.append(f"{clock(self.seconds_left)} left")
        return "  ".join(figures)


_LABELS = {
    "bits_per_dim": "bits/dim",
    "squared_error": "error",
    "hybrid_loss": "loss",
    "valid_bits_per_dim": "held-out",
}
"""Figures of a summary, and what they are called there."""


@dataclass(repr=False)
class TrainState:
    """The state of a training run, and what :func:`fit` returns.

    Args:
        step: steps done.
        mean: the running mean of each weight.
        best: the mean weights with the best validation score; None until there is one.
        best_step: the step of those.
        best_score: their score, in bits per dimension; lower is better.
        since_best: validations since then.
        finished: whether the run is over.
        loss_sum: sum of the losses since the last record, in the objective's unit.
        loss_count: how many those are.
        metrics: the records, one for each validation.
        speed: how fast the run is and on what, which has no influence on its results.
    """

    step: int
    mean: list[Tensor]
    best: list[Tensor] | None = None
    best_step: int = 0
    best_score: float = float("inf")
    since_best: int = 0
    finished: bool = False
    loss_sum: float = 0.0
    loss_count: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)
    speed: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        latest = self.metrics[-1] if self.metrics else {}
        figures = [f"{name} {value:.4g}" for name, value in latest.items() if name != "step"]
        lines = [f"{'finished' if self.finished else 'stopped'} at step {self.step}"]
        if self.finished:
            lines[0] += f", weights of step {self.best_step} kept"
        if figures:
            lines.append(f"at step {latest['step']:.0f}: {', '.join(figures)}")
        if "examples_per_second" in self.speed:
            where = self.speed.get("device", "this machine")
            mode = self.speed.get("arithmetic", "float32")
            lines.append(f"{self.speed['examples_per_second']:,.0f} examples/s, {mode}, {where}")
        return f"TrainState({'; '.join(lines)})"

    @classmethod
    def begin(cls, weights: Sequence[Tensor]) -> "TrainState":
        """The state at step 0."""
        return cls(0, [w.detach().clone() for w in weights])

    @torch.no_grad()
    def advance(self, weights: Sequence[Tensor], decay: float) -> None:
        """Counts a step, and moves the running mean towards the weights.

        Args:
            weights: the weights after the step.
            decay: the share of the old mean that is kept; less in the first steps.
        """
        self.step += 1
        share = 1 - min(decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.mean, [w.detach() for w in weights], share)

    def mean_loss(self) -> float:
        """The mean loss of the steps since the last call."""
        mean, self.loss_sum, self.loss_count = self.loss_sum / self.loss_count, 0.0, 0
        return mean

    def note(self, record: dict[str, float], score: float | None, patience: int) -> None:
        """Adds a record of the metrics.

        Args:
            record: its values by name.
            score: the validation score in bits per dimension; a better one keeps the mean weights.
            patience: validations without a better score after which the run ends; 0 never ends it.
        """
        self.metrics.append(record)
        if score is None:
            return
        if score < self.best_score:
            self.best = [m.clone() for m in self.mean]
            self.best_score, self.best_step, self.since_best = score, self.step, 0
        else:
            self.since_best += 1
        self.finished = 0 < patience <= self.since_best

    @contextlib.contextmanager
    def mean_weights(self, model: Model) -> Iterator[None]:
        """The model has its mean weights inside the block, and its own afterwards."""
        own = [w.detach().clone() for w in model.parameters()]
        _assign(model, self.mean)
        try:
            yield
        finally:
            _assign(model, own)

    def finish(self, model: Model) -> None:
        """Ends the run: the model gets the best mean weights, or the last ones where there is no
        validation score, and is in evaluation mode."""
        self.finished = True
        if self.best is None:
            self.best_step = self.step
        _assign(model, self.mean if self.best is None else self.best)
        model.eval()

    def progress(self, steps: int, seconds_a_step: float) -> Progress:
        """How far the run is, of `steps` steps."""
        latest, pace = (self.metrics or [{}])[-1], self.speed.get("examples_per_second")
        return Progress(self.step, steps, latest, seconds_a_step * (steps - self.step), pace)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint holds beside tensors and metrics, as JSON values."""
        return {
            "step": self.step,
            "best_step": self.best_step,
            "best_score": self.best_score if self.best is not None else None,
            "since_best": self.since_best,
            "finished": self.finished,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
        }


@torch.no_grad()
def _assign(model: Model, weights: list[Tensor]) -> None:
    held = [_held(weight.detach()) for weight in model.parameters()]
    torch._foreach_copy_(held, [_held(weight) for weight in weights])


def _held(x: Tensor) -> Tensor:
    """The share of a tensor that this process holds: all of it, unless it is split (FSDP)."""
    share: Any = x
    found: Tensor = share.to_local() if hasattr(x, "to_local") else x
    return found
