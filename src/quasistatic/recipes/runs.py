"""A run is a folder: a command trains a recipe into it, the same command resumes it, and others
open it."""

__all__ = ["TrainedRun", "build", "open_run", "train"]

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from .._utils import files, serialization
from .._utils.json_files import read_json
from ..checkpoints import from_diffusers, is_diffusers
from ..diffusion import Diffusion, read_config
from ..training.callbacks import Callback
from ..training.checkpoints import FIRST_STAGE
from ..training.config import Fit
from ..training.fitting import fit
from ..training.train_state import TrainState
from . import RECIPES
from .experiments.experiment import Experiment
from .latent import LatentStage
from .locations import locate, naming_damage, result_path
from .own_images import OwnImages
from .own_signals import OwnSignals
from .recipe import Recipe

KNOWN = {kind.__name__: kind for kind in RECIPES.values()} | {
    "OwnImages": OwnImages,
    "OwnSignals": OwnSignals,
    "Fit": Fit,
}
"""The classes that a run's stored recipe may name."""


def build(recipe: Recipe) -> Experiment:
    """The recipe's experiment, with weights drawn from the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.fit.seed)
        return recipe.build()


def train(
    recipe: Recipe,
    folder: str | Path,
    callbacks: Sequence[Callback] = (),
    experiment: Experiment | None = None,
    progress: bool | None = None,
    device: str | None = None,
) -> TrainState:
    """Trains a recipe into a folder, or resumes an earlier call that was stopped.

    Args:
        recipe: what to train.
        folder: the run's folder.
        callbacks: functions that are called with the progress, see :func:`quasistatic.fit`.
        experiment: what :func:`build` made of the recipe, if it was called before.
        progress: whether to show a progress bar; by default on a terminal and in a notebook.
        device: where to train, see :func:`quasistatic.fit`.

    Returns:
        The finished run.

    Raises:
        ValueError: if the folder holds another run.
    """
    experiment = experiment or build(recipe)
    if experiment.first is not None:
        experiment = _second_stage(
            experiment, experiment.first, Path(folder), callbacks, progress, device
        )
    described = serialization.describe(recipe)
    described["fit"] = (
        recipe.fit.decisive()
    )  # settings that change no result may differ on resuming
    data, labels = experiment.data, experiment.given
    return fit(
        experiment.model,
        data.train,
        data.valid,
        given=None if labels is None else labels.train,
        valid_given=None if labels is None else labels.valid,
        objective=experiment.objective,
        run=folder,
        callbacks=callbacks,
        progress=progress,
        about={"recipe": described},
        settings=recipe.fit,
        device=device,
    )


def _second_stage(
    experiment: Experiment,
    stage: LatentStage,
    folder: Path,
    callbacks: Sequence[Callback],
    progress: bool | None,
    device: str | None,
) -> Experiment:
    """The experiment of the second stage. The first one is trained into a folder within the run's,
    or read from there; what follows from it is computed anew."""
    data, inner = experiment.data, folder / FIRST_STAGE
    stored = (inner / "model.safetensors").is_file()
    model = Diffusion.load(inner) if stored else stage.model
    if not stored:
        fit(
            model,
            data.train,
            data.valid,
            objective=stage.objective,
            run=inner,
            callbacks=callbacks,
            progress=progress,
            settings=stage.fit,
            device=device,
        )
    made, law = stage.second(model.cpu())
    return replace(experiment, model=made, law=law, first=None)


@dataclass(frozen=True)
class TrainedRun:
    """A trained run.

    Args:
        folder: the run's folder.
        model: its model, in eval mode.
        recipe: what it was trained from; None if it was trained by :func:`quasistatic.fit`.
    """

    folder: Path
    model: Diffusion
    recipe: Recipe | None

    def __repr__(self) -> str:
        origin = "no recipe" if self.recipe is None else type(self.recipe).__name__
        return f"TrainedRun({str(self.folder)!r}, {origin})"

    @cached_property
    def experiment(self) -> Experiment:
        """What the recipe builds: the run's data, figures and baselines.

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
        """Sets PyTorch's threads to the number that the run was trained with, within the block:
        what is fastest for training is fastest for the other verbs."""
        before = torch.get_num_threads()
        try:
            torch.set_num_threads((self.recipe and self.recipe.fit.threads) or before)
            yield
        finally:
            torch.set_num_threads(before)

    def result(self, name: str) -> Path:
        """The default path of a result of that name."""
        return result_path(self.folder, name)

    def keep_paths(self, paths: Mapping[int, Tensor]) -> Path:
        """Saves paths of few time steps beside the run, for :meth:`path`.

        Args:
            paths: for each number of steps, the times to visit.

        Returns:
            The file that was written.
        """
        file = self.result("grid.json")
        times = {str(count): path.tolist() for count, path in paths.items()}
        files.write_text(file, json.dumps({"paths": times}, indent=2) + "\n")
        return file

    def path(self, count: int) -> Tensor:
        """The times of the best path of `count` steps, as :meth:`keep_paths` saved them.

        Raises:
            FileNotFoundError: if no paths were saved.
            ValueError: if none has that length, or the file is damaged.
        """
        file = self.result("grid.json")
        again = f"`quasistatic grid {self.folder.name}` measures which times to visit"
        if not file.exists():
            raise FileNotFoundError(f"there is no {file}: {again}")
        paths = read_json(file, f"delete it; {again}").get("paths")
        if not isinstance(paths, dict):
            raise ValueError(f"{file} is damaged (it holds no paths): delete it; {again}")
        if str(count) not in paths:
            raise ValueError(
                f"{file} keeps paths of {', '.join(paths)} steps, and {count} were asked for: "
                f"`quasistatic grid ... --steps {count}` adds them"
            )
        return torch.tensor(paths[str(count)])

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The records of `metrics.jsonl`.

        Raises:
            ValueError: if a line of it is damaged: which.
        """
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        records = []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("it holds no JSON object")
                records.append({str(key): _number(value) for key, value in record.items()})
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{path} is damaged in line {number} ({error}): delete that line, or the file; "
                    "only the training curve of the report needs it"
                ) from None
        return records


def _number(value: object) -> float:
    """A value of a record of the training."""
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value


def open_run(run: str | Path) -> TrainedRun:
    """Opens the run in a folder, or the pretrained model of that name if there is no such folder. A
    folder that diffusers saved is opened as a run without a recipe.

    Raises:
        FileNotFoundError: if there is neither, a file is missing, or the run is not finished.
        ValueError: if it is damaged or from another version.
    """
    folder = locate(run)
    if is_diffusers(folder):
        return TrainedRun(folder, from_diffusers(folder), None)
    stored = read_config(folder)
    if not (folder / "model.safetensors").exists():
        raise FileNotFoundError(
            f"{folder} holds an unfinished run: the command that started it resumes it"
        )
    with naming_damage(folder / "config.json", "restore a copy, or train again"):
        recipe = serialization.build(stored["recipe"], KNOWN) if "recipe" in stored else None
        model = Diffusion.load(folder)
    if recipe is not None and not isinstance(recipe, Recipe):
        raise ValueError(
            f"{folder / 'config.json'} is damaged (its recipe is a {type(recipe).__name__}): "
            "restore a copy, or train again"
        )
    return TrainedRun(folder, model, recipe)
