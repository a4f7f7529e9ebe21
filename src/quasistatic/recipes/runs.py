"""A run is a folder: trained from a recipe by a command, resumed by the same, opened by others."""

__all__ = ["Opened", "default_folder", "open_run", "train"]

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from .._utils import files, serialization
from ..diffusion import Diffusion, read_config
from ..training.loop import Fit, fit
from ..training.train_state import Progress, Run
from . import RECIPES, Experiment, OwnImages, Recipe
from .pretrained import WEIGHTS, locate

KNOWN = {kind.__name__: kind for kind in RECIPES.values()} | {"OwnImages": OwnImages, "Fit": Fit}


def default_folder(recipe: Recipe) -> Path:
    """Where a run of that recipe goes if nothing is said."""
    name = next(name for name, kind in RECIPES.items() if kind is type(recipe))
    return Path("runs") / name


def build(recipe: Recipe) -> Experiment:
    """The recipe's experiment with the weights that its seed draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.fit.seed)
        return recipe.build()


def train(
    recipe: Recipe,
    folder: str | Path,
    show: Callable[[Progress], None] | None = None,
    experiment: Experiment | None = None,
) -> Run:
    """Trains a recipe into a folder, or goes on where an earlier call was stopped; `experiment` is
    what :func:`build` made of the recipe, if it has been built."""
    experiment = experiment or build(recipe)
    described = serialization.describe(recipe)
    described["fit"] = recipe.fit.decisive()  # what changes no result may differ in a resumed run
    about = {"recipe": described}
    data = experiment.data
    return fit(
        experiment.model,
        data.train,
        data.valid,
        objective=experiment.objective,
        run=folder,
        show=show,
        about=about,
        settings=recipe.fit,
    )


@dataclass(frozen=True)
class Opened:
    """A trained run."""

    folder: Path
    model: Diffusion
    recipe: Recipe | None

    @cached_property
    def experiment(self) -> Experiment:
        """What the recipe builds: the run's data, pictures and baselines.

        Raises:
            ValueError: if the run was not trained from a recipe.
        """
        if self.recipe is None:
            raise ValueError(
                f"{self.folder} was not trained from a recipe and holds no data: give the data "
                "as a file"
            )
        return build(self.recipe)

    @contextlib.contextmanager
    def threads(self) -> Iterator[None]:
        """As many threads as the run trained on, for as long as the block lasts: what is fastest
        for training is so for the rest."""
        before = torch.get_num_threads()
        try:
            torch.set_num_threads((self.recipe and self.recipe.fit.threads) or before)
            yield
        finally:
            torch.set_num_threads(before)

    def result(self, name: str) -> Path:
        """Where a file goes if nothing else is said: into the run's folder; for a model that came
        with the library, to where one stands, under the model's name."""
        if self.folder.parent == WEIGHTS:
            return Path(f"{self.folder.name}-{name}")
        return self.folder / name

    def keep_paths(self, paths: Mapping[int, Tensor]) -> Path:
        """Keeps times for few steps beside the run, for :meth:`path`; says where."""
        file = self.result("grid.json")
        times = {str(count): path.tolist() for count, path in paths.items()}
        files.write_text(file, json.dumps({"paths": times}, indent=2) + "\n")
        return file

    def path(self, count: int) -> Tensor:
        """The `count` times of the best path that :meth:`keep_paths` kept.

        Raises:
            FileNotFoundError: if none were kept.
            ValueError: if none has that length.
        """
        file = self.result("grid.json")
        if not file.exists():
            raise FileNotFoundError(
                f"there is no {file}: `quasistatic grid {self.folder.name}` measures which times "
                "to visit"
            )
        paths = json.loads(file.read_text())["paths"]
        if str(count) not in paths:
            raise ValueError(
                f"{file} keeps paths of {', '.join(paths)} steps, and {count} were asked for: "
                f"`quasistatic grid ... --steps {count}` adds them"
            )
        return torch.tensor(paths[str(count)])

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The records of `metrics.jsonl`."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


def open_run(run: str | Path) -> Opened:
    """The run in a folder, or the pretrained model of that name where there is no such folder.

    Raises:
        FileNotFoundError: if there is neither, a file is missing, or the run is not finished.
        ValueError: if it is damaged or from another version.
    """
    folder = locate(run)
    stored = read_config(folder)
    if not (folder / "model.safetensors").exists():
        raise FileNotFoundError(
            f"{folder} holds an unfinished run: the command that started it goes on with it"
        )
    recipe = serialization.build(stored["recipe"], KNOWN) if "recipe" in stored else None
    return Opened(folder, Diffusion.load(folder), recipe)
