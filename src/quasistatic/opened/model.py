"""What every opened model is."""

__all__ = ["OpenedModel", "model_stamp", "placed", "seed_of"]

import abc
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from .._utils.devices import find_device
from .._utils.randomness import Rng, as_generator
from ..diffusion import Diffusion
from ..recipes.locations import result_path
from ..reporting.answer import Answer
from ..reporting.console import Display
from ..reporting.html import Section, write_page


class OpenedModel(abc.ABC):
    """A model in a folder, with its verbs as methods. A verb reads files, writes files, and returns
    an :class:`Answer`.

    Args:
        folder: the run's folder.
        display: where progress is shown; None shows nothing.
    """

    kind: ClassVar[str]
    """The kind of data, for messages: "a table", for example."""

    def __init__(self, folder: Path, display: Display | None = None) -> None:
        self.folder = folder
        self.display = display or Display(quiet=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}): a model of {self.kind}"

    @property
    @abc.abstractmethod
    def device(self) -> torch.device:
        """Where the model computes."""

    @classmethod
    @abc.abstractmethod
    def load(cls, folder: Path, device: torch.device | str | None, display: Display | None) -> Self:
        """Opens the model in a folder of this kind."""

    @abc.abstractmethod
    def sections(self, *args: Any, **options: Any) -> list[Section]:
        """The sections of the model's page; the options are those of its :meth:`report`."""

    def result(self, name: str) -> Path:
        """The default path of a result: in the run's folder, or for a pretrained model in the
        current folder."""
        return result_path(self.folder, name)

    def page(self, out: Path | None, sections: list[Section], names: list[str]) -> Answer:
        """Writes a page of sections."""
        path = write_page(
            out or self.result("report.html"), "quasistatic: " + ", ".join(names), sections
        )
        return Answer({"report": str(path)}, [f"wrote {path}"])


def model_stamp(folder: Path) -> list[Any]:
    """What changes whenever the model in a run folder does, as JSON values."""
    status = (folder / "model.safetensors").stat()
    return [str(folder.resolve()), status.st_size, status.st_mtime_ns]


def placed(model: Diffusion, device: torch.device | str | None) -> Diffusion:
    """The model on a device of :func:`find_device`; None leaves it where it is.

    Raises:
        ValueError: if this machine has no such device; the message lists those that it has.
    """
    return model if device is None else model.to(find_device(device))


def seed_of(rng: Rng) -> int:
    """A seed for `rng`: an int itself, a seed drawn from a generator, or a random one for None."""
    if isinstance(rng, int) and not isinstance(rng, bool):
        return rng
    return int(torch.randint(2**31, (), generator=as_generator(rng)))
