"""A recipe: the settings of an experiment, without the heavy parts that it builds."""

__all__ = ["Recipe", "require_calibration"]

import abc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..training.config import Fit

if TYPE_CHECKING:
    from .experiments.experiment import Experiment

_LEAST = {"steps": 2, "width": 1, "depth": 1, "hidden": 1, "mixtures": 1}
"""The smallest value of settings that several recipes have."""


@dataclass(frozen=True)
class Recipe(abc.ABC):
    """An experiment by name. The command line can override its fields.

    A recipe's module imports nothing heavy, so that `quasistatic train NAME --help` is fast: what
    it builds from stands in `recipes/experiments`.

    Args:
        fit: how to train.
    """

    fit: Fit = field(default_factory=Fit)

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name, least)
            if not value >= least:
                raise ValueError(
                    f"{type(self).__name__} needs at least {least} {name}, got {name} = {value}"
                )
        dropout = getattr(self, "dropout", 0.0)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be from 0 to less than 1, got {dropout}")

    @property
    def reading(self) -> tuple[int | tuple[int, int] | None, str | None]:
        """The size and the mode that image files are converted to before a verb uses them; None
        leaves them as they are."""
        return None, None

    @property
    def evaluations(self) -> int:
        """Network evaluations of each test row for a page."""
        return 100

    @property
    def frame(self) -> tuple[int, int] | None:
        """Height and width of the image that a flat example is; None if examples are no flat
        images."""
        return None

    @property
    @abc.abstractmethod
    def reaches(self) -> str:
        """The figure that the recipe should reach, and on which data."""

    @abc.abstractmethod
    def build(self) -> "Experiment":
        """The model, the data and the figures, with weights from torch's global generator."""


def require_calibration(held_back: float, examples: str) -> None:
    """Checks the share of a user's own examples that is held back.

    Args:
        held_back: the share.
        examples: what they are called, for the message.

    Raises:
        ValueError: if it is no share.
    """
    if not 0 <= held_back < 1:
        raise ValueError(
            f"--calibration is a share of the {examples}, from 0 to less than 1, got {held_back}"
        )
