"""The options of distill."""

__all__ = ["Distill"]

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ..arguments import Kinds, Range, option
from . import shared
from .shared import ONE_OR_MORE, RUNS


@dataclass
class Distill:
    """Train a flow map beside a model, for draws in few evaluations.

    The new run has the same answers to all verbs. `sample --stepper flow-map --steps 4` draws from
    it in 4 evaluations, and `score --method flow-map` estimates log p in a few. The same command
    resumes a training that was stopped."""

    kinds: ClassVar[Kinds] = RUNS

    run: Path = shared.folder()
    steps: int | None = option(
        "Most network evaluations of a draw: 1, 2, 4, 8, ...", 8, "INT", within=ONE_OR_MORE
    )
    by: Literal["mean-flow", "progressive"] | None = option(
        "Method: `mean-flow` learns walks of 1 to --steps evaluations from trajectories of the "
        "model's flow; `progressive` learns --steps of them by halving the steps of DDIM.",
        "mean-flow",
        "mean-flow|progressive",
    )
    density: bool = option(
        "Leave out log p, which takes gradients of the model along the trajectories.", True
    )
    trajectories: int | None = option(
        "Trajectories of the model's flow to learn from, with mean-flow.",
        4096,
        "INT",
        within=Range(2),
    )
    updates: int | None = option("Gradient steps of the training.", 4000, "INT", within=ONE_OR_MORE)
    batch: int | None = option("Examples in each of them.", 512, "INT", within=ONE_OR_MORE)
    data: Path | None = option(
        "Examples from which half of the trajectories start: a .npy file or a folder of images.",
        "draws of the model",
        "PATH",
    )
    out: Path | None = option(
        "The run folder to write.", "runs/ and the name of the run", "FOLDER", "-o"
    )
    seed: int | None = shared.seed()
    device: str | None = shared.device()
    json: bool = shared.json()
