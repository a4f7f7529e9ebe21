"""A repository of models on the hub."""

__all__ = ["Repository", "hub_library"]

import hashlib
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

_ID = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")

RUN_FILES = ("*.json", "*.jsonl", "*.safetensors", "README.md")
"""What is fetched of a repository of this library: never a pickle."""


@dataclass(frozen=True)
class Repository:
    """A repository of models on the hub.

    Args:
        name: of the owner and the model, "user/model".
        revision: a branch, a tag or a commit; None for the main branch.
    """

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"

    @classmethod
    def parse(cls, text: object, revision: str | None = None) -> "Repository | None":
        """The repository that a text names, "user/model" or "user/model@revision"; None if it names
        none. A path whose first folder exists is a path and not a repository.

        Args:
            text: what the user gave.
            revision: in place of the one in the text.
        """
        match = _ID.fullmatch(str(text))
        if match is None or Path(str(text).split("/")[0]).exists():
            return None
        if set(match["name"].split("/")) & {".", ".."}:
            return None
        return cls(match["name"], revision or match["revision"])

    def fetch(self, patterns: Sequence[str] = RUN_FILES) -> Path:
        """The folder in the hub's cache with the repository's files, which are fetched if they are
        not there. Without a network the cache is used, and a warning says so.

        Args:
            patterns: which files, as "*.json".

        Returns:
            A folder that must not be written into.

        Raises:
            ModuleNotFoundError: if huggingface_hub is not installed.
            FileNotFoundError: if there is no such repository or revision, or the hub cannot be
                reached and the cache does not have the files.
            PermissionError: if the repository asks for a consent or a login first.
            ValueError: if a file came damaged: it is removed from the cache.
        """
        library = hub_library()
        errors = library.errors
        try:
            folder = library.snapshot_download(
                self.name,
                revision=self.revision,
                allow_patterns=list(patterns),
                local_files_only=not self._reachable(library),
                endpoint=_endpoint(),
                library_name="quasistatic",
            )
        except errors.GatedRepoError as error:
            raise PermissionError(
                f"{self} asks for a consent before it is fetched: give it at "
                f"https://huggingface.co/{self.name}, and log in by `hf auth login` ({error})"
            ) from None
        except errors.RepositoryNotFoundError:
            raise FileNotFoundError(
                f"the hub has no repository {self.name}, or it is private: log in by `hf auth "
                "login` if it is"
            ) from None
        except errors.RevisionNotFoundError:
            raise FileNotFoundError(
                f"the repository {self.name} has no revision {self.revision}: leave it out for the "
                "main branch"
            ) from None
        except errors.LocalEntryNotFoundError:
            raise FileNotFoundError(
                f"the hub cannot be reached, and its cache on this machine does not hold {self}: "
                "connect to a network (and unset HF_HUB_OFFLINE) and try again"
            ) from None
        except (errors.HTTPError, OSError) as error:
            if isinstance(error, FileNotFoundError | PermissionError):
                raise
            raise ConnectionError(f"{self} could not be fetched: {error}") from None
        path = Path(folder)
        for file in sorted(path.rglob("*")):
            if any(file.match(pattern) for pattern in patterns):
                _require_whole(file, self)
        return path

    def files(self) -> list[str]:
        """The names of all files in the repository; empty if the hub cannot be reached."""
        library = hub_library()
        try:
            api = library.HfApi(endpoint=_endpoint(), library_name="quasistatic")
            names: list[str] = api.list_repo_files(self.name, revision=self.revision)
            return names
        except (library.errors.HTTPError, OSError):
            return []

    def _reachable(self, library: Any) -> bool:
        """Whether the hub answers about the revision; a warning says so if it does not."""
        api = library.HfApi(endpoint=_endpoint(), library_name="quasistatic")
        try:
            api.repo_info(self.name, revision=self.revision, timeout=10)
            return True
        except (library.errors.HfHubHTTPError, library.errors.HFValidationError) as error:
            answer = getattr(error, "response", None)
            if answer is None or answer.status_code < 500:
                raise
            reason: Exception = error
        except (library.errors.HTTPError, OSError) as error:
            reason = error
        warnings.warn(
            f"the hub cannot be reached ({reason}): {self} is taken from the cache on this machine",
            stacklevel=4,
        )
        return False


def hub_library() -> Any:
    """The module huggingface_hub.

    Raises:
        ModuleNotFoundError: if it is not installed: how to install it.
    """
    try:
        library = import_module("huggingface_hub")
        import_module("huggingface_hub.errors")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "models of the hub need huggingface_hub: pip install 'quasistatic[hub]'"
        ) from None
    return library


def _endpoint() -> str | None:
    """The hub's address, if the environment has another than the usual one."""
    return os.environ.get("HF_ENDPOINT") or None


def _require_whole(file: Path, repository: Repository) -> None:
    """ValueError if a file in the cache is not what the hub has; it is removed then.

    The cache keeps each file under its digest: SHA-256, or that of git for small files.
    """
    if not file.is_symlink():
        return
    kept = file.resolve()
    digest = kept.name
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        found = hashlib.sha256()
    elif re.fullmatch(r"[0-9a-f]{40}", digest):
        found = hashlib.sha1(f"blob {kept.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return
    with kept.open("rb") as stream:
        while block := stream.read(2**20):
            found.update(block)
    if found.hexdigest() != digest:
        kept.unlink()
        file.unlink()
        raise ValueError(
            f"{file.name} of {repository} came damaged (its digest is not the one that the hub "
            "states) and was removed: fetch it again"
        )
