r"""Training: a loop that fits on a page. It knows objectives and the engine, and no kernel.

Everything random in step i is drawn from generators seeded by (seed, i). The weights, the
optimiser's moments and the number of the step are therefore the whole state of a run, and a run
that was killed goes on as the run that was not.
"""

__all__ = ["Fit", "NonFiniteLoss", "fit"]

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import config
from .checkpoints import Folder, Progress, Run
from .engine import Engine
from .likelihood import bound
from .model import Model
from .objectives import Bound, Objective


class NonFiniteLoss(RuntimeError):
    """The loss or its gradient became infinite or NaN; the weights are those of the step before."""


@dataclass(frozen=True)
class Fit:
    """How to train.

    Args:
        steps: gradient steps.
        batch: examples a step, over all processes; fewer if the data are fewer.
        lr: AdamW's largest learning rate; it rises over `warmup` steps and falls along a cosine.
        warmup: steps over which the learning rate rises.
        weight_decay: AdamW's.
        ema: decay of the running mean of the weights, which is what a trained model has.
        clip: largest norm of the gradient.
        validations: how often the validation data are scored, evenly over the run; the best mean
            weights are kept.
        patience: validations without a better one after which the run stops; 0 never stops.
        evaluations: network evaluations an example of validation data, each time.
        seed: of the order of the data, the times and the noise.
        save_every: seconds between checkpoints.
        threads: of PyTorch on the CPU while it trains; 0 leaves them as they are. A small network
            is fastest on one, and a run repeats bit for bit only on as many as before.
    """

    steps: int = 2000
    batch: int = 256
    lr: float = 1e-3
    warmup: int = 50
    weight_decay: float = 0.01
    ema: float = 0.99
    clip: float = 1.0
    validations: int = 20
    patience: int = 0
    evaluations: int = 20
    seed: int = 0
    save_every: float = 10.0
    threads: int = 0

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "warmup": 0, "validations": 0, "patience": 0}
        least |= {"evaluations": 1, "weight_decay": 0, "save_every": 0, "threads": 0}
        for name, value in least.items():
            if not getattr(self, name) >= value:
                raise ValueError(f"{name} must be {value} or more, got {getattr(self, name)}")
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be from 0 to less than 1, got {self.ema}")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        return self.lr * rise * 0.5 * (1 + math.cos(math.pi * step / self.steps))


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
    """Trains a model on raw data x (N, *), in place; the model ends with its mean weights, the
    best of them on `valid` where that is given.

    Args:
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
        ValueError: if the data do not fit the space, or the folder holds another run.
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
    module = engine.prepare(model)
    raw = model.space.check(x).to(model.blank(1))
    held_out = None if valid is None else model.space.check(valid, "valid").to(raw)
    loop = _Loop(model, module, objective, engine, how, raw, held_out)
    folder = None
    if run is not None and engine.main:
        parts = [raw] if held_out is None else [raw, held_out]
        what = {
            "data": [_fingerprint(part) for part in parts],
            "objective": config.describe_or_name(objective),
        }
        folder = Folder(run, model, how, what | (about or {}))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(how.threads or before)
        with torch.random.fork_rng(devices=[]):
            loop.run(folder, show)
    finally:
        torch.set_num_threads(before)
    return loop.kept


class _Loop:
    """One training run: the state that a checkpoint holds, and the step that advances it."""

    def __init__(
        self,
        model: Model,
        module: nn.Module,
        objective: Objective,
        engine: Engine,
        how: Fit,
        raw: Tensor,
        valid: Tensor | None,
    ) -> None:
        self.model, self.objective, self.engine, self.how = model, objective, engine, how
        self.raw, self.valid, self.sample = raw, valid, raw[:4096]
        self.order = _Order(len(raw), min(how.batch, len(raw)), how.seed, engine)
        self.weights = list(model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=how.lr, weight_decay=how.weight_decay, fused=_can_fuse(self.weights)
        )
        self.rng = torch.Generator(raw.device)
        self.module = module
        self.kept = Run.begin(self.weights)

    def run(self, folder: Folder | None, show: Callable[[Progress], None] | None) -> None:
        if folder is not None:
            self.kept = folder.resume(self.kept, self.model, self.optimizer)
        started, first = time.monotonic(), self.kept.step
        every = max(1, self.how.steps // max(self.how.validations, 1))
        shown = 0.0
        try:
            while self.kept.step < self.how.steps and not self.kept.finished:
                self.step()
                now = time.monotonic()
                if self.kept.step % every == 0 or self.kept.step == self.how.steps:
                    self.validate()
                if folder is not None and folder.due(now, self.how.save_every):
                    folder.save(self.kept, self.model, self.optimizer)
                if show is not None and (now - shown > 0.2 or self.kept.step == self.how.steps):
                    shown = now
                    pace = (now - started) / (self.kept.step - first)
                    show(self.kept.progress(self.how.steps, pace))
        except NonFiniteLoss:
            if folder is not None:
                folder.save(self.kept, self.model, self.optimizer)
            raise
        self.kept.finish(self.model)
        if folder is not None:
            folder.close(self.kept, self.model)

    def step(self) -> None:
        """One gradient step."""
        step, how = self.kept.step, self.how
        rows = self.order.rows(step)
        self.rng.manual_seed(_mix(how.seed, step, self.engine.rank))
        self.engine.seed(_mix(how.seed, step, self.engine.rank))
        self.module.train()
        each = self.objective(self.model, self.raw[rows], self.rng)
        loss = each.mean()
        value = loss.item()
        if not math.isfinite(value):
            bad = rows[(~each.isfinite()).cpu()].tolist()
            raise NonFiniteLoss(
                f"the loss is {value} at step {step + 1}, first on row {bad[0]} of the data "
                f"({len(bad)} of {len(rows)} in the batch): the weights of step {step} are kept; "
                "try a lower lr, a smaller clip, or look at that row"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.engine.backward(loss)
        norm = self.engine.clip(self.weights, how.clip)
        if not math.isfinite(norm.item()):
            raise NonFiniteLoss(
                f"the gradient has norm {norm.item()} at step {step + 1} though the loss is "
                f"{value:.4g}: the weights of step {step} are kept; try a lower lr"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = how.rate(step)
        self.optimizer.step()
        self.kept.advance(self.weights, how.ema)
        self.kept.loss_sum += value
        self.kept.loss_count += 1

    def validate(self) -> None:
        """Notes the loss since the last time, and the bound of the mean weights on `valid`."""
        loss = self.kept.mean_loss()
        name, value = self.objective.reading(self.model, self.sample, loss)
        record: dict[str, float] = {"step": self.kept.step, "loss": loss, name: value}
        score = None
        if self.valid is not None:
            terms = len(self.model.times()) - self.model.space.first_term
            rng = torch.Generator(self.raw.device).manual_seed(_mix(self.how.seed, 0, -1))
            with self.kept.mean_weights(self.model):
                result = bound(self.model, self.valid, min(self.how.evaluations, terms), rng=rng)
            score = result.bits_per_dim.mean().item()
            record["valid_bits_per_dim"] = score
        self.kept.note(record, score, self.how.patience)


class _Order:
    """Which rows a step sees: each epoch in an order of its own, every row once."""

    def __init__(self, n: int, batch: int, seed: int, engine: Engine) -> None:
        self.n, self.batch, self.seed, self.engine = n, batch, seed, engine
        self.epoch, self.permutation = -1, torch.empty(0, dtype=torch.long)

    def rows(self, step: int) -> Tensor:
        """The rows of this process at a step, counted from 0."""
        start = step * self.batch
        first, last = start // self.n, (start + self.batch - 1) // self.n
        rows = torch.cat([self._epoch(epoch) for epoch in range(first, last + 1)])
        rows = rows[start - first * self.n :][: self.batch]
        return rows[self.engine.rank :: self.engine.ranks]

    def _epoch(self, epoch: int) -> Tensor:
        if epoch != self.epoch:
            rng = torch.Generator().manual_seed(_mix(self.seed, epoch, -2))
            self.epoch, self.permutation = epoch, torch.randperm(self.n, generator=rng)
        return self.permutation


def _fingerprint(raw: Tensor) -> dict:
    """What tells one set of training data from another."""
    whole = raw.cpu().contiguous().view(torch.uint8)  # NumPy has no bfloat16
    digest = hashlib.sha256(whole.numpy().tobytes()).hexdigest()
    return {"rows": len(raw), "sha256": digest}


def _mix(seed: int, step: int, lane: int) -> int:
    """A seed for each (seed, step, lane), far apart in every one of them (splitmix64)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + lane * 0x8CB92BA72F3D8DD7) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1


def _can_fuse(weights: list) -> bool:
    return all(w.device.type in ("cpu", "cuda") and w.is_floating_point() for w in weights)
