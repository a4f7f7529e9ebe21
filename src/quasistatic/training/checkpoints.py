r"""The folder that keeps a training run, and what it has of one that was stopped.

A folder holds `config.json` (what is trained, and how), `model.safetensors` (the weights to use),
`checkpoint.safetensors` (all that a stopped run needs, gone when it is done), `metrics.jsonl`,
and `speed.json` (how fast it was, and on what: the one file that differs from machine to machine).
The checkpoint is one file, so that it is whole or the one before.
"""

__all__ = ["FIRST_STAGE", "Folder", "Stored"]

import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._utils import files
from .._utils.serialization import FORMAT
from ..model import Model
from .distributed import Engine
from .train_state import TrainState

FIRST_STAGE = "autoencoder"
"""The folder within a run's that holds the first stage of its training, if it has two."""


@dataclass(frozen=True)
class Stored:
    """The stored state of a run: tensors and facts of its checkpoint, or of its result if the run
    is `done`, and its metrics so far."""

    path: Path
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    metrics: list[dict[str, float]]
    done: bool

    def restore(
        self, run: TrainState, model: Model, optimizer: torch.optim.Optimizer
    ) -> TrainState:
        """Restores the state and the weights of the run; `run` is a state that has just begun.

        Raises:
            ValueError: if the weights are those of another network.
        """
        facts, tensors = self.facts, self.tensors
        if self.done:
            self._load(model, tensors)
            kept = [w.detach().clone() for w in model.parameters()]
            state = {"best_step": facts["best_step"], "finished": True, "metrics": self.metrics}
            return TrainState(facts["step"], kept, kept, **state)

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
        score = facts["best_score"] if facts["best_score"] is not None else float("inf")
        best = take("best") if "best.0" in tensors else None
        counts: dict[str, Any] = {**facts, "best_score": score}
        return TrainState(**counts, mean=take("mean"), best=best, metrics=self.metrics)

    def _load(self, model: Model, weights: dict[str, Tensor]) -> None:
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(
                f"the weights in {self.path} are those of another network: train into another "
                f"folder, or delete that one ({error})"
            ) from None


class Folder:
    """The folder of a run of `model`. One process writes it, and reads it for all.

    Args:
        settings: how it is trained, as JSON values.
        parts: how many parts a step has, over all processes.
        about: more that a resumed run must share, as JSON values.
    """

    def __init__(
        self,
        path: str | Path,
        model: Model,
        settings: dict[str, Any],
        parts: int,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.path, self.saved_at, self.cost = Path(path), time.monotonic(), 0.0
        self.config = {"format": FORMAT, "model": model.describe(), "fit": settings}
        self.config |= {"parts": parts} | (about or {})

    @property
    def _config_text(self) -> str:
        return json.dumps(self.config, indent=2) + "\n"

    def _keep_config(self) -> None:
        """Makes sure that the folder still is this run's: without its config.json nothing can open
        it.

        Raises:
            ValueError: if the folder holds another run by now.
        """
        target = self.path / "config.json"
        try:
            stored = json.loads(target.read_text(encoding="utf-8")) if target.exists() else None
            gone = None if target.exists() else "removed"
        except (ValueError, RecursionError):
            stored, gone = None, "damaged"
        if gone is not None:
            what = target if self.path.exists() else self.path
            warnings.warn(
                f"{what} was {gone} while the run was training: it is written again, with all "
                "that the run knows",
                stacklevel=2,
            )
            files.write_text(target, self._config_text)
        elif stored != json.loads(self._config_text):
            raise ValueError(
                f"{target} was changed while the run was training, to that of another run: this "
                "run is not saved there; train into another folder"
            )

    def claim(self) -> None:
        """Makes the folder this run's.

        Raises:
            ValueError: if it holds a run of another model or other settings, or something else.
        """
        target = self.path / "config.json"
        files.sweep(self.path)
        if not target.exists():
            if self.path.exists() and {each.name for each in self.path.iterdir()} - {FIRST_STAGE}:
                raise ValueError(
                    f"{self.path} is not empty and holds no run: choose another folder"
                )
            files.write_text(target, self._config_text)
            return
        stored = _read(target, f"delete {self.path} to train anew")
        other = [key for key in self.config if stored.get(key) != self.config[key]]
        if other == ["parts"]:
            raise ValueError(
                f"{self.path} holds a run with {stored.get('parts')} parts a step (processes x "
                f"accumulate), and this would have {self.config['parts']}: set accumulate, or the "
                "number of processes, so that there are as many"
            )
        if other:
            raise ValueError(
                f"{self.path} holds a run with another {' and '.join(other)}: train into another "
                "folder, or delete that one; the same command resumes a run"
            )

    def read(self) -> Stored | None:
        """Reads the stored state of the run. None if nothing has been saved yet."""
        done = self.path / "model.safetensors"
        checkpoint = self.path / "checkpoint.safetensors"
        if not checkpoint.exists() and not done.exists():
            return None
        tensors, facts = files.load_tensors(checkpoint if checkpoint.exists() else done)
        metrics = self._metrics(facts["step"])
        return Stored(self.path, tensors, facts, metrics, not checkpoint.exists())

    @staticmethod
    def steps(path: str | Path | None) -> int | None:
        """How many steps the run in a folder has in all; None if there is no run."""
        target = None if path is None else Path(path) / "config.json"
        if target is None or not target.exists():
            return None
        stored = _read(target, f"delete {path} to train anew").get("fit", {})
        return int(stored["steps"]) if "steps" in stored else None

    def speed(self) -> dict[str, Any]:
        """What `speed.json` holds; nothing if there is none."""
        path, remedy = self.path / "speed.json", "delete it, and it is measured anew"
        found = _read(path, remedy) if path.exists() else {}
        wrong = [name for name, value in found.items() if not _is_speed(name, value)]
        if wrong:
            raise ValueError(f"{path} is damaged (its {wrong[0]} is {found[wrong[0]]!r}): {remedy}")
        return found

    def due(self, now: float, every: float) -> bool:
        """Whether it is time for a checkpoint: not so often that writing takes a tenth."""
        return now - self.saved_at > max(every, 10 * self.cost)

    def save(self, run: TrainState, model: Model, optimizer: torch.optim.Optimizer) -> None:
        """Writes a checkpoint."""
        started = time.monotonic()
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        tensors |= {f"mean.{i}": value for i, value in enumerate(run.mean)}
        tensors |= {f"best.{i}": value for i, value in enumerate(run.best or [])}
        state = optimizer.state_dict()["state"]
        if not state:
            return  # stopped before the first step: there is nothing to continue from
        for i, moments in state.items():  # frozen weights have none
            tensors |= {f"moment.{which}.{i}": value for which, value in moments.items()}
        self._keep_config()
        self._write_metrics(run)
        files.save_tensors(self.path / "checkpoint.safetensors", tensors, run.facts())
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def close(self, run: TrainState, model: Model) -> None:
        """Writes the final weights, and removes the checkpoint, which is no longer needed."""
        self._keep_config()
        self._write_metrics(run)
        self.write_speed(run)
        facts = {"step": run.step, "best_step": run.best_step}
        files.save_tensors(self.path / "model.safetensors", model.state_dict(), facts)
        (self.path / "checkpoint.safetensors").unlink(missing_ok=True)

    everywhere = False
    """Whether all processes write, each its share."""

    def finish(self, engine: Engine, run: TrainState, model: Model) -> None:
        """Ends the run: the main process calls :meth:`close`."""
        engine.once(lambda: self.close(run, model))

    def write_speed(self, run: TrainState) -> None:
        """Writes how fast the run is, and on what."""
        files.write_text(self.path / "speed.json", json.dumps(run.speed, indent=2) + "\n")

    def _write_metrics(self, run: TrainState) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in run.metrics)
        files.write_text(self.path / "metrics.jsonl", lines)

    def _metrics(self, step: int) -> list[dict[str, float]]:
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        records, damaged = [], []
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            try:
                record = json.loads(line)
                records += [record] if record["step"] <= step else []
            except (ValueError, KeyError, TypeError, RecursionError):
                damaged.append(number)
        if damaged:
            warnings.warn(
                f"{path} is damaged in line {', '.join(map(str, damaged[:5]))}: these records are "
                "dropped, and the run resumes without them",
                stacklevel=2,
            )
        return records


def _is_speed(name: str, value: object) -> bool:
    """Whether a value of `speed.json` has the type that its name asks for."""
    if name == "seconds_a_step":
        numbers = value.values() if isinstance(value, dict) else ["no numbers"]
        return all(each is None or isinstance(each, int | float) for each in numbers)
    if name in ("device", "arithmetic"):
        return isinstance(value, str)
    return name != "examples_per_second" or isinstance(value, int | float)


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from None
    if not isinstance(stored, dict):
        raise ValueError(f"{path} is damaged (it holds no JSON object): {remedy}")
    return stored
