"""The newest weights of a run, also while it trains."""

__all__ = ["Newest", "newest_step", "open_newest"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from .._utils import files
from ..diffusion import Diffusion, read_config
from .locations import naming_damage

DONE, CHECKPOINT = "model.safetensors", "checkpoint.safetensors"


@dataclass(frozen=True)
class Newest:
    """The newest weights of a run.

    Args:
        model: with these weights, in eval mode: the mean weights of the checkpoint, or the weights
            that the finished run kept.
        step: of the training at which they were saved.
        done: whether the run is finished.
    """

    model: Diffusion
    step: int
    done: bool

    def __repr__(self) -> str:
        return f"Newest(step {self.step}, {'finished' if self.done else 'still training'})"


def open_newest(folder: str | Path, network: nn.Module | None = None) -> Newest:
    """Opens a run with its newest weights: those of its checkpoint while it trains, or was stopped.

    Args:
        folder: the run's folder.
        network: an instance of your own network class; None for the networks of this library.

    Raises:
        FileNotFoundError: if the run has saved nothing yet.
        ValueError: if a file is damaged, or the checkpoint is in shards.
    """
    folder = Path(folder)
    stored = read_config(folder)
    if not (folder / CHECKPOINT).is_file() and not (folder / DONE).is_file():
        if any(folder.glob("checkpoint-*")):
            raise ValueError(
                f"the checkpoint in {folder} is in shards: its weights can be opened when the run "
                "is finished"
            )
        raise FileNotFoundError(
            f"{folder} has no checkpoint yet: the first one is written after some seconds"
        )
    try:
        tensors, facts = files.load_tensors(folder / CHECKPOINT)
    except FileNotFoundError:  # the run is finished, perhaps since the line above
        step = files.load_facts(folder / DONE).get("step", 0)
        return Newest(Diffusion.load(folder, network), step, True)
    with naming_damage(folder / CHECKPOINT, "the run writes it anew, or delete it"):
        model = Diffusion.build(stored["model"], network)
        own = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        for i, weight in enumerate(model.parameters()):
            weight.data.copy_(tensors[f"mean.{i}"])
        return Newest(model.eval(), int(facts["step"]), False)


def newest_step(folder: str | Path) -> int | None:
    """The step at which the newest weights of a run were saved; None if there are none, or they
    cannot be read."""
    for name in (CHECKPOINT, DONE):
        try:
            step: Any = files.load_facts(Path(folder) / name).get("step")
        except (OSError, ValueError):
            continue
        return step if isinstance(step, int) else None
    return None
