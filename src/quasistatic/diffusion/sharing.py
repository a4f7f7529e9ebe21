"""A model on the hub, with a card."""

__all__ = ["Sharing"]

from pathlib import Path
from typing import Self

import torch
from torch import nn

from .._utils import files
from .._utils.naming import as_path
from ..hub import Card, Repository, publish, write_pretrained
from ..likelihood import Score
from .storing import Storing


class Sharing(Storing):
    """Loads a model from the hub, and uploads one."""

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        network: nn.Module | None = None,
    ) -> Self:
        """Loads a model from the hub, or from a folder; see :meth:`push_to_hub`.

        Args:
            source: a repository, as "user/model" or "user/model@revision", or a folder.
            revision: of the repository: a branch, a tag or a commit.
            network: see :meth:`load`.

        Returns:
            The model, in evaluation mode. Its files stay in the hub's cache, from which they are
            read where there is no network; a warning says so.

        Raises:
            ModuleNotFoundError: if huggingface_hub is not installed.
            FileNotFoundError: if there is no such folder, repository or revision, or the hub
                cannot be reached and the cache has no copy.
            ValueError: if a file came damaged, or holds another kind of model.
        """
        repository = Repository.parse(source, revision)
        if repository is None:
            return cls.load(source, network)
        return cls.load(repository.fetch(), network)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        run: str | Path | None = None,
        score: Score | None = None,
        license: str | None = None,
        command: str | None = None,
        name: str | None = None,
    ) -> Path:
        """Writes the model and a card, `README.md`, as :meth:`push_to_hub` uploads them.

        Args:
            folder: where.
            run: the model's own run, whose configuration and metrics go into the card: the data
                and their digests, the settings, the last validation.
            score: of test data, for the card: the bound with its error, units and cost.
            license: the identifier of the licence, "apache-2.0" for example.
            command: the command that trained the model, for the card.
            name: of the model, for the card; by default the folder's.

        Returns:
            The folder.

        Raises:
            ValueError: if `run` holds another model.
        """
        path = as_path("folder", folder)
        own = None if run is None else as_path("run", run)
        if own is not None:
            self._require_same(own)
        lines = () if score is None else (*str(score).splitlines(),)
        images = len(self.space.shape) > 1
        card = Card(repr(self), license, lines, command, images)
        return write_pretrained(path, self.save, own, card, name or path.resolve().name)

    def push_to_hub(
        self,
        repo: str,
        *,
        run: str | Path | None = None,
        score: Score | None = None,
        license: str | None = None,
        command: str | None = None,
        private: bool = False,
        message: str = "Upload a model of quasistatic",
    ) -> str:
        """Uploads the model with a card to the hub: `config.json`, `model.safetensors` with its
        digest, and `README.md`. Anybody then opens it by :meth:`from_pretrained`, and the command
        line takes its name where it takes a run.

        Args:
            repo: "user/model"; the repository is created if there is none. "user/model@branch"
                writes to a branch.
            run: see :meth:`save_pretrained`.
            score: see :meth:`save_pretrained`.
            license: see :meth:`save_pretrained`.
            command: see :meth:`save_pretrained`.
            private: whether a new repository is private.
            message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            ModuleNotFoundError: if huggingface_hub is not installed.
            PermissionError: if nobody is logged in, or may not write there.
            ConnectionError: if the hub cannot be reached.
            ValueError: if `repo` is no name of a repository, or `run` holds another model.
        """
        repository = Repository.parse(repo)
        if repository is None:
            raise ValueError(f"a repository is named as user/model, got {repo!r}")

        def write(folder: Path) -> object:
            return self.save_pretrained(
                folder,
                run=run,
                score=score,
                license=license,
                command=command,
                name=repository.name,
            )

        return publish(repository, write, private, message)

    def _require_same(self, run: Path) -> None:
        """ValueError unless a run's folder holds this model."""
        tensors, _ = files.load_tensors(run / "model.safetensors")
        own = {name: tensor.cpu() for name, tensor in self.state_dict().items()}
        same = tensors.keys() == own.keys() and all(
            torch.equal(tensor.to(own[name].dtype), own[name]) for name, tensor in tensors.items()
        )
        if not same:
            raise ValueError(
                f"{run} holds other weights than this model: give the run that this model was "
                "loaded from, or leave run out"
            )
