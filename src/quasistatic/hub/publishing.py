"""A model's folder with its card, and that folder on the hub."""

__all__ = ["publish", "write_pretrained"]

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from .._utils import files
from .card import Card
from .repository import Repository, _endpoint, hub_library

OF_RUN = ("config.json", "model.safetensors", "metrics.jsonl")
"""What a run's folder has for others to read."""


def write_pretrained(
    folder: Path, save: Callable[[Path], None], run: Path | None, card: Card, name: str
) -> Path:
    """Writes a model's files and its card.

    Args:
        folder: where.
        save: writes the model's files to a folder.
        run: the folder of the model's own run, whose files are copied instead; None for none.
        card: what the card says.
        name: of the model, for the card.
    """
    if run is None:
        save(folder)
    else:
        for each in OF_RUN:
            if (run / each).is_file() and (run / each).resolve() != (folder / each).resolve():
                files.write_bytes(folder / each, (run / each).read_bytes())
    files.write_text(folder / "README.md", card.text(folder, name))
    return folder


def publish(
    repository: Repository, write: Callable[[Path], object], private: bool, message: str
) -> str:
    """Uploads a model's folder to the hub; the repository is created if there is none.

    Args:
        repository: where; its revision is a branch.
        write: writes the files to a folder.
        private: whether a new repository is private.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        ModuleNotFoundError: if huggingface_hub is not installed.
        PermissionError: if nobody is logged in, or may not write there.
        ConnectionError: if the hub cannot be reached.
    """
    library = hub_library()
    api = library.HfApi(endpoint=_endpoint(), library_name="quasistatic")
    folder = Path(tempfile.mkdtemp(prefix="quasistatic-"))
    try:
        write(folder)
        api.create_repo(repository.name, private=private, exist_ok=True)
        if repository.revision is not None:
            api.create_branch(repository.name, branch=repository.revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository.name,
            folder_path=folder,
            revision=repository.revision,
            commit_message=message,
        )
        return str(done.commit_url)
    except library.errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise PermissionError(
                f"the hub does not let you write to {repository} ({status}): log in by `hf auth "
                "login` with a token that may write"
            ) from None
        raise ConnectionError(f"{repository} could not be written: {error}") from None
    except library.errors.HTTPError as error:
        raise ConnectionError(
            f"the hub cannot be reached, and nothing was uploaded: {error}"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
