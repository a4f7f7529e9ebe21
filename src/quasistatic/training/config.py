"""The settings of a training run, checked when they are given."""

__all__ = ["Fit", "FitChanges"]

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from .._utils import serialization

MOST_THREADS = 1024
"""The largest number of threads; PyTorch crashes with very many."""


@dataclass(frozen=True)
class Fit:
    """The settings of a training run. The class shows the defaults, and a recipe may have others.

    Args:
        steps: number of gradient steps.
        batch: examples in a step, over all processes; fewer if there are fewer data.
        accumulate: number of parts of a step that each process computes one after the other, if
            they do not fit into its memory together. A step has processes x accumulate parts, each
            with its own times, noise and dropout, and its gradient is their mean. So two processes
            with one part each are the same run as one process with two.
        lr: AdamW's largest learning rate. It rises over `warmup` steps and then falls along a
            cosine.
        warmup: number of steps over which the learning rate rises.
        weight_decay: AdamW's weight decay.
        ema: decay of the running mean of the weights. The trained model has this mean.
        clip: largest norm of the gradient.
        validations: number of times that the validation data are scored, evenly over the run. The
            best mean weights are kept.
        patience: number of validations without an improvement after which the run stops; 0 never
            stops it.
        evaluations: network evaluations of each validation example, each time.
        seed: seed of the order of the data, of the times and of the noise.
        save_every: seconds between checkpoints.
        threads: PyTorch's CPU threads during training; 0 leaves their number as it is. A small
            network is fastest with one. A run repeats bit for bit only with the same number.
        precision: dtype of the network during training: float32 (the dtype of its weights), bf16
            (autocast), or auto, which times steps of both on this machine and uses bf16 if it is
            faster. Heads, losses, weights and validation keep the dtype of the weights.
        compile: whether torch.compile compiles the network, which needs a C++ compiler: no, yes, or
            auto, which times steps of both. The run's folder keeps the choice of auto, and a
            resumed run uses it.
        cuda_graphs: whether a step on a CUDA device is captured once and replayed, which saves the
            host from launching each kernel. The results are the same.
        condition_dropout: share of the examples of a step whose condition is removed, so that the
            network also learns p(x). It applies only to models with a condition.
    """

    steps: int = 2000
    batch: int = 256
    accumulate: int = 1
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
    precision: Literal["float32", "bf16", "auto"] = "float32"
    compile: Literal["no", "yes", "auto"] = "no"
    cuda_graphs: bool = True
    condition_dropout: float = field(default=0.1, metadata={"added": True})

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "accumulate": 1, "warmup": 0, "validations": 0}
        least |= {"patience": 0, "evaluations": 1, "weight_decay": 0, "save_every": 0, "threads": 0}
        for name, value in least.items():
            if getattr(self, name) == math.inf:
                raise ValueError(f"{name} must be a finite number, got {getattr(self, name)}")
            if not getattr(self, name) >= value:
                raise ValueError(f"{name} must be {value} or more, got {getattr(self, name)}")
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.threads > MOST_THREADS:
            raise ValueError(f"threads must be {MOST_THREADS} or fewer, got {self.threads}")
        if not 0 <= self.condition_dropout < 1:
            raise ValueError(
                f"condition_dropout is a share from 0 to less than 1, got {self.condition_dropout}"
            )
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be from 0 to less than 1, got {self.ema}")
        options = {"precision": ("float32", "bf16", "auto"), "compile": ("no", "yes", "auto")}
        for name, known in options.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be {', '.join(known[:-1])} or {known[-1]}, got "
                    f"{getattr(self, name)!r}"
                )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        return self.lr * rise * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def decisive(self) -> dict[str, Any]:
        """The settings that affect the result, as JSON values. A run resumes only with equal ones.
        `save_every`, `accumulate` and `cuda_graphs` do not affect it and are left out."""
        described = serialization.describe(self)
        return {
            k: v
            for k, v in described.items()
            if k not in ("save_every", "accumulate", "cuda_graphs")
        }


class FitChanges(TypedDict, total=False):
    """The settings of :class:`Fit` by name, for :func:`fit` to change some of them."""

    steps: int
    batch: int
    accumulate: int
    lr: float
    warmup: int
    weight_decay: float
    ema: float
    clip: float
    validations: int
    patience: int
    evaluations: int
    seed: int
    save_every: float
    threads: int
    precision: Literal["float32", "bf16", "auto"]
    compile: Literal["no", "yes", "auto"]
    cuda_graphs: bool
    condition_dropout: float
