"""Training of a network that does not fit one device: FSDP2 and checkpoints in shards."""

__all__ = ["ShardedEngine", "ShardedFolder"]

import json
import shutil
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from .._utils import files
from ..model import Model
from .checkpoints import Folder
from .distributed import Engine
from .train_state import TrainState

FACTS = "facts.json"
"""The file of a checkpoint that is written last."""


class ShardedEngine(Engine):
    """Several processes of which each holds a share of the network: `fit(..., engine=
    ShardedEngine())`. The weights, their gradients, AdamW's moments and the mean weights are split;
    a layer is gathered while it computes.

    The losses are those of :class:`Engine` with as many parts a step, up to the rounding of sums.
    With one process it is the same bit for bit. A learned schedule is not split.

    Args:
        device: see :class:`Engine`.
    """

    described: dict[str, Any]
    """The description of the model that was placed."""

    def place(self, module: nn.Module) -> None:
        super().place(module)
        if isinstance(module, Model) and not isinstance(module.network, FSDPModule):
            self.described = module.describe()  # a split network has a class of another name
        network = getattr(module, "network", module)
        if self.ranks == 1 or isinstance(network, FSDPModule):
            return
        for blocks in [each for each in network.modules() if isinstance(each, nn.ModuleList)]:
            for block in blocks:
                if not isinstance(block, nn.ModuleList):
                    _split(block)
        _split(network)

    @property
    def fuses(self) -> bool:
        return self.ranks == 1

    def reduce(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        # The gradients of shards are summed while they are computed.
        others = [w for w in weights if not isinstance(w, DTensor)]
        return super().reduce(others, loss) if others else self.sum(loss)

    def clip(self, weights: Sequence[Tensor], most: float) -> Tensor:
        return whole(super().clip(weights, most))

    def share_out(self, count: int) -> range:
        # To gather a layer takes all processes, so that each evaluates all pieces.
        return range(count)

    def joined(self, x: Tensor) -> Tensor:
        return x

    def folder(
        self,
        path: str | Path,
        model: Model,
        settings: dict[str, Any],
        parts: int,
        about: dict[str, Any],
    ) -> Folder:
        made = ShardedFolder(self, path, model, settings, parts, about)
        made.config["model"] = self.described
        return made


def _split(module: nn.Module) -> None:
    # Also the outermost one: validation has no backward pass that would split it again.
    fully_shard(module, reshard_after_forward=True)
    assert isinstance(module, FSDPModule)  # as it was just made one
    module.set_gradient_divide_factor(1.0)  # the loss is a sum over the processes


def whole(x: Tensor) -> Tensor:
    """All of a tensor that may be split; to be called by all processes."""
    return x.full_tensor() if isinstance(x, DTensor) else x


class ShardedFolder(Folder):
    """The folder of a run whose checkpoint is in shards: each process writes its own.

    A checkpoint is a folder, which is renamed once it is whole. It is read by any number of
    processes. The final weights are one file as those of every run.

    Args:
        engine: of the run.
        args, named: of :class:`Folder`.
    """

    everywhere = True

    def __init__(self, engine: Engine, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.engine = engine

    def due(self, now: float, every: float) -> bool:
        return self.engine.once(lambda: super(ShardedFolder, self).due(now, every))

    def save(self, run: TrainState, model: Model, optimizer: torch.optim.Optimizer) -> None:
        started = time.monotonic()
        weights = list(model.parameters())
        if not optimizer.state:
            return  # stopped before the first step: there is nothing to continue from
        moments = [i for i, weight in enumerate(weights) if weight in optimizer.state]
        tensors = _tensors(run, model, optimizer, moments)
        target = self.path / f"checkpoint-{run.step:09}"
        part = self.path / f".{target.name}.part"
        self.engine.once(lambda: shutil.rmtree(part, ignore_errors=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # one process is what is meant
            save(tensors, checkpoint_id=part, no_dist=self.engine.ranks == 1)
        facts = run.facts() | {"moments": moments, "has_best": run.best is not None}

        def close() -> None:
            self._keep_config()
            self._write_metrics(run)
            files.write_text(part / FACTS, json.dumps(facts))
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
            for other in self.path.glob("checkpoint-*"):
                if other != target:
                    shutil.rmtree(other, ignore_errors=True)

        self.engine.once(close)
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - started

    def read(self) -> Any:
        """The checkpoint, whose shards each process reads when it restores its state; the result of
        a finished run; None if nothing has been saved yet."""
        found = sorted(path for path in self.path.glob("checkpoint-*") if (path / FACTS).is_file())
        if not found:
            return super().read()
        facts = json.loads((found[-1] / FACTS).read_text())
        return StoredShards(found[-1], facts, self._metrics(facts["step"]), self.engine.ranks)

    def finish(self, engine: Engine, run: TrainState, model: Model) -> None:
        weights = {name: whole(value) for name, value in model.state_dict().items()}

        def close() -> None:
            self._keep_config()
            self._write_metrics(run)
            self.write_speed(run)
            facts = {"step": run.step, "best_step": run.best_step}
            files.save_tensors(self.path / "model.safetensors", weights, facts)
            for path in self.path.glob("*checkpoint*"):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

        engine.once(close)


def _tensors(
    run: TrainState, model: Model, optimizer: torch.optim.Optimizer, moments: Sequence[int]
) -> dict[str, Tensor]:
    """All tensors of a run by name."""
    weights = list(model.parameters())
    found = {f"model.{name}": value for name, value in model.state_dict().items()}
    found |= {f"mean.{i}": value for i, value in enumerate(run.mean)}
    found |= {f"best.{i}": value for i, value in enumerate(run.best or [])}
    for i in moments:
        found |= {f"moment.{k}.{i}": v for k, v in optimizer.state[weights[i]].items()}
    return found


@dataclass(frozen=True)
class StoredShards:
    """A checkpoint in shards.

    Args:
        path: its folder.
        facts: of the run.
        metrics: of the run so far.
        ranks: processes of the run that reads it.
    """

    path: Path
    facts: dict[str, Any]
    metrics: list[dict[str, float]]
    ranks: int

    def restore(
        self, run: TrainState, model: Model, optimizer: torch.optim.Optimizer
    ) -> TrainState:
        """Restores the state and the weights of a run that has just begun; to be called by all
        processes.

        Raises:
            ValueError: if the weights are those of another network.
        """
        facts = dict(self.facts)
        moments, has_best = facts.pop("moments"), facts.pop("has_best")
        weights = list(model.parameters())
        for i in moments:
            each = {name: torch.zeros_like(weights[i]) for name in ("exp_avg", "exp_avg_sq")}
            optimizer.state[weights[i]] = each | {"step": torch.zeros(())}
        run.best = [torch.zeros_like(mean) for mean in run.mean] if has_best else None
        tensors = _tensors(run, model, optimizer, moments)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # one process is what is meant
                load(tensors, checkpoint_id=self.path, no_dist=self.ranks == 1)
        except (RuntimeError, ValueError, KeyError) as error:
            raise ValueError(
                f"the weights in {self.path} are those of another network, or damaged ({error}): "
                "train into another folder"
            ) from None
        score = facts["best_score"] if facts["best_score"] is not None else float("inf")
        counts: dict[str, Any] = facts | {"best_score": score}
        return TrainState(**counts, mean=run.mean, best=run.best, metrics=self.metrics)
