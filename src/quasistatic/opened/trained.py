"""What opened models of arrays and of images share: reading and writing data, and the times of the
chain."""

__all__ = ["Data", "TrainedModel", "as_path"]

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from .._utils.randomness import Rng, as_generator
from ..recipes.runs import TrainedRun, open_run
from ..reporting.console import Display
from .example_stream import ExampleStream, stamp
from .given import read_given
from .model import OpenedModel, model_stamp, placed

Data = str | Path | np.ndarray | Tensor
"""A file, a folder of images, or an array."""


class TrainedModel(OpenedModel, abc.ABC):
    """A model in a run folder of its own training.

    Args:
        run: the opened run.
        display: where progress is shown; None shows nothing.
    """

    def __init__(self, run: TrainedRun, display: Display | None = None) -> None:
        super().__init__(run.folder, display)
        self.run, self.model = run, run.model

    @classmethod
    def load(cls, folder: Path, device: torch.device | str | None, display: Display | None) -> Self:
        run = open_run(folder)
        placed(run.model, device)
        return cls(run, display)

    @property
    def device(self) -> torch.device:
        return self.model.blank(1).device

    @abc.abstractmethod
    def read(self, data: Data, exact: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
        """The examples in a file or a folder, or the array itself.

        Args:
            data: a .npy file, a folder of images where the model is one of images, or an array.
            exact: whether files must be decoded exactly as they are, so that nothing may be
                converted.

        Returns:
            The examples (N, *), and a name for each: the name of its file, or its number.
        """

    @abc.abstractmethod
    def write(self, path: Path, x: np.ndarray, names: tuple[str, ...] = ()) -> Path:
        """Writes examples (N, *) in the format that the ending of `path` asks for."""

    def _examples(
        self, data: Data | None, part: Literal["valid", "test"]
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """The examples of `data`, or the validation or test rows of the run's own data."""
        if data is not None:
            return self.read(data)
        whole = self.run.experiment.data
        x = {"valid": whole.valid, "test": whole.test}[part]
        return np.asarray(x), tuple(map(str, range(len(x))))

    def _stream(
        self, verb: str, target: Path | None, rows: int, x: np.ndarray, options: Sequence[Any]
    ) -> ExampleStream:
        """The examples x that a verb answers, so many at a time.

        Args:
            verb: its name.
            target: the file that is written; None keeps nothing of a run that is stopped.
            rows: examples of a piece.
            x: the examples.
            options: what else the answers depend on, as JSON values.
        """
        plan: dict[str, Any] = {}
        if target is not None and len(x) > rows:
            weights = self.folder / "model.safetensors"
            stored = model_stamp(self.folder) if weights.is_file() else [str(self.folder)]
            plan = {"model": stored, "options": list(options), "data": stamp(np.asarray(x))}
        where = None if target is None else Path(target)
        return ExampleStream(verb, where, max(rows, 1), len(x), plan, self.display)

    def _times(self, times: int | None, path: int | None) -> int | Tensor | None:
        """The time steps to visit: evenly spread ones, or a saved path of that length."""
        if times is not None and path is not None:
            raise ValueError(
                "--times asks for even steps and --path for the best: give one of them"
            )
        return times if path is None else self.run.path(path)

    def _given(self, words: Sequence[str], count: int | None, own: bool = False) -> Any:
        """The values of the condition that a verb was given, see :func:`read_given`.

        Args:
            words: of `--given`.
            count: of the examples.
            own: whether the examples are the run's own test rows, whose labels are known by name.
        """
        return read_given(self.model.condition, words, count, self._labels() if own else None)

    def _labels(self) -> dict[str, np.ndarray]:
        """The labels of the run's test rows, by their name."""
        labels = None if self.run.recipe is None else self.run.experiment.given
        return {} if labels is None else {"label": labels.test}

    def _generator(self, rng: Rng) -> torch.Generator:
        """The generator of a verb; None takes a random seed."""
        generator = as_generator(rng)
        if generator is None:
            generator = torch.Generator()
            generator.seed()
        return generator


def as_path(data: Data) -> Path | None:
    """The path that `data` is; None if it is an array."""
    return Path(data) if isinstance(data, str | Path) else None
