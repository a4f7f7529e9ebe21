"""Where runs are: a folder, or a pretrained model that comes with the library.

Imports nothing heavy: the command line finds a run before it loads PyTorch.
"""

__all__ = ["WEIGHTS", "locate", "naming_damage", "pretrained", "result_path"]

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .._utils.naming import as_path, nearest
from ..checkpoints.folders import fetched
from ..hub.repository import Repository

WEIGHTS = Path(__file__).parent.parent / "weights"
"""One folder for each pretrained model, which holds a run's `config.json`, `model.safetensors` and
`metrics.jsonl`. `README.md` there lists the command that trained each, and what it reached."""


def pretrained() -> list[str]:
    """The names of the models that come with the library."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/model.safetensors"))


def locate(run: str | Path) -> Path:
    """The folder of a run: `run` itself if that folder exists, else the pretrained model's, else
    that of a repository of the hub, which is fetched into the hub's cache.

    Raises:
        TypeError: if `run` is no path.
        FileNotFoundError: if there is neither a folder nor a pretrained model nor a repository of
            that name.
        NotADirectoryError: if `run` is a file.
    """
    folder, name = as_path("run", run), str(run)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise NotADirectoryError(
            f"{folder} is a file and not a run folder: give the folder that `quasistatic fit` or "
            "`quasistatic train` wrote"
        )
    if name in pretrained():
        return WEIGHTS / name
    repository = Repository.parse(name)
    missing = f"there is no folder {folder}, and no pretrained model of that name"
    if repository is None:
        raise FileNotFoundError(f"{missing}: {nearest(name, pretrained())}")
    try:
        return fetched(repository)
    except (ModuleNotFoundError, FileNotFoundError, ConnectionError) as error:
        raise FileNotFoundError(f"{missing}; as a repository of the hub: {error}") from None


def result_path(folder: Path, name: str) -> Path:
    """The default path of a result: in the run's folder, or for a pretrained model and one of the
    hub in the current folder with the model's name in front."""
    if folder.parent == WEIGHTS:
        return Path(f"{folder.name}-{name}")
    if folder.parent.name == "snapshots":  # the hub's cache: models--user--name/snapshots/commit
        return Path(f"{folder.parent.parent.name.split('--')[-1]}-{name}")
    return folder / name


@contextlib.contextmanager
def naming_damage(path: Path, remedy: str) -> Iterator[None]:
    """Turns the errors of building objects from a damaged file into one that names the file.

    Args:
        path: the file that the block builds objects from.
        remedy: what the user can do, for the error message.

    Raises:
        ValueError: in place of what the block raised, unless that names the folder already.
    """
    beneath = (KeyError, AttributeError, TypeError, IndexError, ArithmeticError, RecursionError)
    try:
        yield
    except beneath as error:
        raise ValueError(f"{path} is damaged ({error!r}): {remedy}") from None
    except ValueError as error:
        if str(path.parent) in str(error):
            raise
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from None
