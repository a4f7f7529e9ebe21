"""Writes files whole or not at all: into a temporary file, which is then renamed."""

__all__ = [
    "load_facts",
    "load_tensors",
    "save_tensors",
    "sha256_of",
    "sweep",
    "write_bytes",
    "write_text",
    "writing",
]

import contextlib
import hashlib
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

DIGEST = "sha256"
"""The entry of a file's metadata that holds the digest of its contents."""


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a temporary file that takes the place of `path` when the block ends. The folder of
    `path` is created. If the block raises an error, the old file stays as it was.

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
    """Removes the temporary files that a killed process left in a folder."""
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes text in UTF-8, whole or not at all, as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes named tensors and facts about them as one safetensors file with a digest.

    Args:
        path: the file.
        tensors: by name; they may share memory.
        facts: JSON values by name.

    Raises:
        OSError: if it cannot be written; what was there before is untouched.
    """
    # Copies, as safetensors refuses tensors that share memory: a network may tie its weights.
    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    text = json.dumps(facts)
    metadata = {"facts": text, DIGEST: _digest(whole, text)}
    write_bytes(path, _in_order(safetensors.torch.save(whole, metadata=metadata)))


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file and the facts saved with them.

    A file without a digest, as older releases wrote it, is read without that check.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is cut short, altered or no safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = metadata.get("facts", "{}")
        if DIGEST in metadata and metadata[DIGEST] != _digest(tensors, text):
            raise ValueError("its digest is not that of its contents")
        if "facts" in metadata and set(metadata) - {"facts", "format", DIGEST}:
            raise ValueError("its metadata have an unknown entry")
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError("its facts are no JSON object")
        return tensors, facts
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged or no safetensors file ({error}): delete it, and train again or "
            "restore a copy"
        ) from None


def load_facts(path: str | Path) -> dict[str, Any]:
    """The facts of a safetensors file, without its tensors and without a check of its digest.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
    except (safetensors.SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({error})") from None
    return facts if isinstance(facts, dict) else {}


def _in_order(data: bytes) -> bytes:
    """The bytes of a safetensors file, with its metadata sorted by name. The library itself writes
    them in another order at each call, so that equal contents would give different files.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[start:]


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """SHA-256 of facts and of the names, types, shapes and bytes of tensors."""
    found = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
