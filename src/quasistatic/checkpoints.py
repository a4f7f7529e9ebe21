r"""What a training run is at one moment, and the folder that keeps it.

A folder holds `config.json` (what is trained, and how), `model.safetensors` (the weights to use),
`checkpoint.safetensors` (everything needed to go on, gone when the run is done) and
`metrics.jsonl`. The checkpoint is one file, so that it is whole or the one before.
"""

__all__ = ["Folder", "Progress", "Run"]

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import config, files
from .model import Model

FORMAT = 1
"""The version of what a folder holds, in its `config.json`."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: `seconds_left` is None until it can be told."""

    step: int
    steps: int
    latest: dict[str, float]
    seconds_left: float | None


@dataclass
class Run:
    """The state of a run: the step, the mean weights, the best of them, and the metrics."""

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
        latest = self.metrics[-1] if self.metrics else {}
        return Progress(self.step, steps, latest, seconds_a_step * (steps - self.step))


class Folder:
    """The folder of a run of `model` trained as `how` says.

    Raises:
        ValueError: if the folder holds a run of another model or other settings.
    """

    def __init__(self, path: str | Path, model: Model, how: Any, about: dict | None = None) -> None:
        self.path, self.saved_at, self.cost = Path(path), time.monotonic(), 0.0
        settings = config.describe(how)
        settings.pop("save_every")
        self.config = {"format": FORMAT, "model": model.describe(), "fit": settings} | (about or {})
        self._claim()

    def _claim(self) -> None:
        target = self.path / "config.json"
        files.sweep(self.path)
        if not target.exists():
            if self.path.exists() and any(self.path.iterdir()):
                raise ValueError(
                    f"{self.path} is not empty and holds no run: choose another folder"
                )
            files.write_text(target, json.dumps(self.config, indent=2) + "\n")
            return
        try:
            stored = json.loads(target.read_text())
        except ValueError:
            raise ValueError(f"{target} is damaged: delete {self.path} to train anew") from None
        other = [key for key in self.config if stored.get(key) != self.config[key]]
        if other:
            raise ValueError(
                f"{self.path} holds a run with another {' and '.join(other)}: train into another "
                "folder, or delete that one; the same command resumes a run"
            )

    def resume(self, run: Run, model: Model, optimizer: torch.optim.Optimizer) -> Run:
        """The run as the folder has it, its weights put back; `run` itself if it has none."""
        done = self.path / "model.safetensors"
        checkpoint = self.path / "checkpoint.safetensors"
        if checkpoint.exists():
            tensors, facts = files.load_tensors(checkpoint)
        elif done.exists():
            tensors, facts = files.load_tensors(done)
            self._load(model, tensors)
            metrics = self._metrics(facts["step"])
            kept = [w.detach().clone() for w in model.parameters()]
            return Run(
                facts["step"], kept, kept, facts["best_step"], finished=True, metrics=metrics
            )
        else:
            return run

        def take(kind: str) -> list[Tensor]:
            return [tensors[f"{kind}.{i}"].to(mean) for i, mean in enumerate(run.mean)]

        moments: dict[int, dict[str, Tensor]] = {}
        weights = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "model":
                weights[rest] = tensor
            if kind == "moment":
                which, _, i = rest.rpartition(".")
                moments.setdefault(int(i), {})[which] = tensor
        self._load(model, weights)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        return Run(
            facts["step"],
            take("mean"),
            take("best") if "best.0" in tensors else None,
            facts["best_step"],
            facts["best_score"] if facts["best_score"] is not None else float("inf"),
            facts["since_best"],
            facts["finished"],
            facts["loss_sum"],
            facts["loss_count"],
            metrics=self._metrics(facts["step"]),
        )

    def due(self, now: float, every: float) -> bool:
        """Whether it is time for a checkpoint: not so often that writing takes a tenth."""
        return now - self.saved_at > max(every, 10 * self.cost)

    def save(self, run: Run, model: Model, optimizer: torch.optim.Optimizer) -> None:
        """Writes a checkpoint."""
        started = time.monotonic()
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        tensors |= {f"mean.{i}": value for i, value in enumerate(run.mean)}
        tensors |= {f"best.{i}": value for i, value in enumerate(run.best or [])}
        state = optimizer.state_dict()["state"]
        if not state:
            return  # stopped before the first step: there is nothing to go on from
        for i, moments in state.items():  # frozen weights have none
            tensors |= {f"moment.{which}.{i}": value for which, value in moments.items()}
        facts = {
            "step": run.step,
            "best_step": run.best_step,
            "best_score": run.best_score if run.best is not None else None,
            "since_best": run.since_best,
            "finished": run.finished,
            "loss_sum": run.loss_sum,
            "loss_count": run.loss_count,
        }
        self._write_metrics(run)
        files.save_tensors(self.path / "checkpoint.safetensors", tensors, facts)
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def close(self, run: Run, model: Model) -> None:
        """Writes the weights to use, and removes the checkpoint, which they make needless."""
        self._write_metrics(run)
        facts = {"step": run.step, "best_step": run.best_step}
        files.save_tensors(self.path / "model.safetensors", model.state_dict(), facts)
        (self.path / "checkpoint.safetensors").unlink(missing_ok=True)

    def _load(self, model: Model, weights: dict[str, Tensor]) -> None:
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(
                f"the weights in {self.path} are those of another network: train into another "
                f"folder, or delete that one ({error})"
            ) from None

    def _write_metrics(self, run: Run) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in run.metrics)
        files.write_text(self.path / "metrics.jsonl", lines)

    def _metrics(self, step: int) -> list[dict[str, float]]:
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        records = [json.loads(line) for line in path.read_text().splitlines()]
        return [record for record in records if record["step"] <= step]


@torch.no_grad()
def _assign(model: Model, weights: list[Tensor]) -> None:
    torch._foreach_copy_(list(model.parameters()), weights)
