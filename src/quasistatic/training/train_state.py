r"""What a training run is at one moment: counters, the mean of the weights, the best of them."""

__all__ = ["Progress", "Run"]

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..model import Model


@dataclass(frozen=True)
class Progress:
    """How far a run is; `seconds_left` and `examples_per_second` are None until they can be
    told."""

    step: int
    steps: int
    latest: dict[str, float]
    seconds_left: float | None
    examples_per_second: float | None = None


@dataclass
class Run:
    """The state of a run: the step, the mean weights, the best of them, the metrics, and how fast
    it was (`speed`, which is no part of what it computes)."""

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

    @classmethod
    def begin(cls, weights: list) -> "Run":
        """A run at step 0."""
        return cls(0, [w.detach().clone() for w in weights])

    @torch.no_grad()
    def advance(self, weights: list, decay: float) -> None:
        """One step further; the mean forgets faster while it is young."""
        self.step += 1
        share = 1 - min(decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.mean, [w.detach() for w in weights], share)

    def mean_loss(self) -> float:
        """The mean loss of the steps since this was last asked."""
        mean, self.loss_sum, self.loss_count = self.loss_sum / self.loss_count, 0.0, 0
        return mean

    def note(self, record: dict[str, float], score: float | None, patience: int) -> None:
        """Adds a record; a better score keeps the mean weights, too many worse ones end the run."""
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
        """The model with its mean weights, for as long as the block lasts."""
        own = [w.detach().clone() for w in model.parameters()]
        _assign(model, self.mean)
        try:
            yield
        finally:
            _assign(model, own)

    def finish(self, model: Model) -> None:
        """Leaves the best mean weights in the model, or the last ones where none was scored."""
        self.finished = True
        if self.best is None:
            self.best_step = self.step
        _assign(model, self.mean if self.best is None else self.best)
        model.eval()

    def progress(self, steps: int, seconds_a_step: float) -> Progress:
        """How far the run is."""
        latest, pace = (self.metrics or [{}])[-1], self.speed.get("examples_per_second")
        return Progress(self.step, steps, latest, seconds_a_step * (steps - self.step), pace)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint holds of it beside tensors and metrics, as JSON values."""
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
    torch._foreach_copy_(list(model.parameters()), weights)
