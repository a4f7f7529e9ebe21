"""What the studio shows: a trained model, a fitted table, or a run that is still training. Each
names its views."""

__all__ = ["Subject", "Table", "Trained", "Unfinished", "frame_of", "opened"]

import abc
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .._utils import serialization
from ..checkpoints import from_diffusers, is_diffusers
from ..conditions import ClassLabel, Condition
from ..diffusion import Diffusion, read_config
from ..opened import TABLE, kind_of
from ..recipes import RECIPES
from ..recipes.locations import naming_damage
from .asked import Asked
from .jobs import Event, Job
from .looks import look_of
from .steppers import fitting_steppers

if TYPE_CHECKING:
    from ..diagnostics.anomalies import AnomalyDetector
    from ..opened.table import TableModel
    from ..recipes.runs import TrainedRun

View = Callable[[Any, Asked, Job], Event]
"""Answers a request about a subject; it sends events to the job, and returns the result."""


class Subject(abc.ABC):
    """A run that the studio shows.

    Args:
        word: that names it on the command line.
        folder: that holds it.
    """

    kind: ClassVar[str]
    """The kind of the data, as pages name it."""

    views: ClassVar[dict[str, str]]
    """For each view, the module and the function of `studio.views` that answers."""

    def __init__(self, word: str, folder: Path) -> None:
        self.word, self.folder = word, folder

    def facts(self) -> dict[str, Any]:
        """What a page has to know about the run."""
        return {"run": self.word, "kind": self.kind, "views": list(self.views)}

    def view(self, name: str) -> View:
        """The function of a view.

        Raises:
            ValueError: if the run has no such view.
        """
        if name not in self.views:
            raise ValueError(
                f"{self.word} is a run of {self.kind}, which has no view {name!r}: it has "
                f"{', '.join(self.views)}"
            )
        module, function = self.views[name].split(":")
        found: View = getattr(import_module(f".views.{module}", __package__), function)
        return found


class Trained(Subject):
    """A trained model of images or arrays.

    Args:
        word, folder: see :class:`Subject`.
        model: the model.
        recipe: the description of the recipe that it was trained from, if there is one.
    """

    views: ClassVar[dict[str, str]] = {
        "sample": "sample:draw",
        "examples": "examples:show",
        "read": "examples:read",
        "complete": "complete:fill",
        "score": "score:score",
        "anomaly": "score:judge",
        "sandwich": "sandwich:bracket",
        "chain": "chain:walk_both_ways",
        "compress": "compress:shrink",
        "train": "train:follow",
        "peek": "train:peek",
    }

    def __init__(
        self, word: str, folder: Path, model: Diffusion, recipe: dict[str, Any] | None = None
    ) -> None:
        super().__init__(word, folder)
        self.model, self.recipe = model, recipe
        self.look = look_of(model, frame_of(recipe))
        self.detectors: dict[int, AnomalyDetector] = {}
        """Calibrated detectors of anomalies, by their number of ordinary examples."""

    @cached_property
    def run(self) -> "TrainedRun":
        """The run with its recipe and data. They are not loaded before a view needs them."""
        from ..recipes.runs import open_run

        return open_run(self.folder)

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.look.kind

    @cached_property
    def steppers(self) -> list[str]:
        """The names of the steppers that can walk the model's chain."""
        return fitting_steppers(self.model)

    def facts(self) -> dict[str, Any]:
        model = self.model
        return super().facts() | {
            **self.look.facts(),
            "shape": list(model.space.shape),
            "steps": model.steps,
            "jumps": model.head.jumps,
            "weights": sum(weight.numel() for weight in model.parameters()),
            "about": repr(model).splitlines(),
            "steppers": self.steppers,
            "condition": condition_facts(model.condition),
            "layered": model.space.levels is not None,
            "data": self.recipe is not None,
        }


class Table(Subject):
    """A fitted table.

    Args:
        word, folder: see :class:`Subject`.
        model: the opened table.
    """

    kind = "table"
    views: ClassVar[dict[str, str]] = {
        "sample": "table_rows:draw",
        "complete": "table_rows:fill",
        "score": "table_files:score",
        "compress": "table_files:shrink",
    }

    def __init__(self, word: str, folder: Path, model: "TableModel") -> None:
        super().__init__(word, folder)
        self.table = model.table

    def facts(self) -> dict[str, Any]:
        from .views.table_rows import column_facts

        return super().facts() | {
            "columns": column_facts(self.table),
            "about": [str(self.table.summary), self.table.about],
        }


class Unfinished(Subject):
    """A run that is still training, or was stopped: its curves, and draws from its newest
    weights."""

    kind = "training"
    views: ClassVar[dict[str, str]] = {"train": "train:follow", "peek": "train:peek"}


def opened(word: str, folder: Path) -> Subject:
    """Opens a run for the studio.

    Raises:
        ValueError: if the run is damaged: what to do.
        OSError: if a file is missing.
    """
    if kind_of(folder) is TABLE:
        table: Any = TABLE.load(folder, None, None)
        return Table(word, folder, table)
    if is_diffusers(folder):
        return Trained(word, folder, from_diffusers(folder))
    if not (folder / "model.safetensors").is_file():
        return Unfinished(word, folder)
    stored = read_config(folder)
    with naming_damage(folder / "config.json", "restore a copy, or train again"):
        return Trained(word, folder, Diffusion.load(folder), stored.get("recipe"))


def frame_of(recipe: dict[str, Any] | None) -> tuple[int, int] | None:
    """Height and width of the images that flat examples are, by the recipe. Recipes of a user's own
    images have no flat examples, and are not built: that would load much."""
    kinds = {kind.__name__: kind for kind in RECIPES.values()}
    name = recipe.get("is") if isinstance(recipe, dict) else None
    if name not in kinds:
        return None
    from ..training.config import Fit

    frame: tuple[int, int] | None = serialization.build(recipe, kinds | {"Fit": Fit}).frame
    return frame


def condition_facts(condition: Condition | None) -> dict[str, Any] | None:
    """What a page has to know about y of p(x | y): its classes, or a hint how to write it."""
    if condition is None:
        return None
    if isinstance(condition, ClassLabel):
        return {"classes": [condition.name(k) for k in range(condition.classes)]}
    return {"hint": repr(condition), "classes": []}
