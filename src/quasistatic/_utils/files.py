"""Files that are whole or absent: written beside their place, then renamed into it."""

__all__ = ["load_tensors", "save_tensors", "sweep", "write_bytes", "write_text", "writing"]

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write `path` with, piece by piece; its folder is created. The old file stays
    until the block ends, and if it ends in an error.

    Raises:
        OSError: if it cannot be written (a full disk, no permission); nothing half-written stays.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = file.name
            yield file  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:  # an interrupt too leaves nothing half-written
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if not isinstance(error, OSError) or isinstance(error, FileNotFoundError):
            raise
        raise OSError(
            error.errno,
            f"could not be written ({error.strerror}): free some space or choose another folder; "
            "what was there before is untouched",
            str(path),
        ) from None


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all, as :func:`writing` does."""
    with writing(path) as file:
        file.write(data)


def sweep(folder: str | Path) -> None:
    """Removes what a process that was killed while it wrote left half-written in a folder."""
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes text in UTF-8, whole or not at all, as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes named tensors and a JSON object of facts about them as one safetensors file."""
    # Copies, as safetensors refuses tensors that share memory: a network may tie its weights.
    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    write_bytes(path, safetensors.torch.save(whole, metadata={"facts": json.dumps(facts)}))


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file and the facts saved with them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated or no safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is damaged or no safetensors file ({error}): delete it, and train again or "
            "restore a copy"
        ) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
