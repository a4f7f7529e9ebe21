"""Local folders and remote ones (s3, gs, ...) by the file systems of Arrow."""

__all__ = ["Place", "files_at", "is_remote", "local_copy"]

import contextlib
import fnmatch
import glob
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._utils import files

STAGING = ".staging-"
"""How the folders begin in which files are written before they get their name."""


def is_remote(uri: str) -> bool:
    """Whether a path names another file system than the local one."""
    return "://" in uri


def file_system(uri: str) -> tuple[Any, str]:
    """Arrow's file system of a URI, and the path there.

    Raises:
        ModuleNotFoundError: if pyarrow is not installed.
        ValueError: if Arrow knows no such file system.
    """
    try:
        from pyarrow import ArrowInvalid, fs
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{uri} is on another file system, which needs pyarrow: pip install "
            "'quasistatic[scale]'"
        ) from None
    try:
        system, path = fs.FileSystem.from_uri(uri)
    except (ArrowInvalid, OSError) as error:
        raise ValueError(f"{uri} is on no file system that Arrow knows: {error}") from None
    return system, path


def files_at(data: str) -> list[str]:
    """The files that a path names, in order: one file, a folder, or a pattern with * in its last
    part.

    Raises:
        FileNotFoundError: if there are none.
    """
    found = _remote_files(data) if is_remote(data) else _local_files(data)
    if not found:
        raise FileNotFoundError(f"there are no files {data}")
    return found


def _local_files(data: str) -> list[str]:
    path = Path(data)
    if path.is_dir():
        each = (p for p in path.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
        return sorted(str(p) for p in each if p.name != "manifest.json")
    if path.is_file():
        return [data]
    return sorted(p for p in glob.glob(data, recursive=True) if os.path.isfile(p))


def _remote_files(data: str) -> list[str]:
    from pyarrow import fs

    plain, mark, query = data.partition("?")
    head, _, last = plain.rpartition("/")
    pattern = last if "*" in last else None
    system, path = file_system(f"{head if pattern else plain}{mark}{query}")
    scheme = data.partition("://")[0]
    info = system.get_file_info(path)
    if info.type == fs.FileType.File:
        return [data]
    if info.type == fs.FileType.NotFound:
        return []
    entries = system.get_file_info(fs.FileSelector(path))
    names = [e.path for e in entries if e.type == fs.FileType.File]
    names = [n for n in names if not n.rpartition("/")[2].startswith((".", "_"))]
    if pattern:
        names = [n for n in names if fnmatch.fnmatch(n.rpartition("/")[2], pattern)]
    return sorted(f"{scheme}://{name}{mark}{query}" for name in names)


@contextlib.contextmanager
def local_copy(uri: str, beside: tuple[str, ...] = ()) -> Iterator[Path]:
    """A file on this machine: a remote one is copied for the time of the block.

    Args:
        uri: of the file.
        beside: endings of files beside it that are copied too, where there are any.
    """
    if not is_remote(uri):
        yield Path(uri)
        return
    system, path = file_system(uri)
    with tempfile.TemporaryDirectory(prefix="quasistatic-") as folder:
        target = Path(folder) / path.rpartition("/")[2]
        _fetch(system, path, target)
        for ending in beside:
            with contextlib.suppress(FileNotFoundError):
                _fetch(system, path + ending, target.with_name(target.name + ending))
        yield target


def _fetch(system: Any, path: str, target: Path) -> None:
    with system.open_input_stream(path) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 2**20)


def joined(uri: str, name: str) -> str:
    """The URI of a file in a folder; what follows a question mark stays at the end."""
    plain, mark, query = uri.partition("?")
    return f"{plain.rstrip('/')}/{name}{mark}{query}"


class Place:
    """A folder that a job writes, here or on another file system. Files appear in it whole.

    Args:
        uri: a path or a URI.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def names(self) -> list[str]:
        """The names of its files and folders; empty if there is no such folder."""
        if not is_remote(self.uri):
            return sorted(os.listdir(self.uri)) if os.path.isdir(self.uri) else []
        from pyarrow import fs

        system, path = file_system(self.uri)
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(each.path.rpartition("/")[2] for each in found)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none."""
        if not is_remote(self.uri):
            here = Path(self.uri) / name
            return here.read_bytes() if here.is_file() else None
        system, path = file_system(joined(self.uri, name))
        try:
            with system.open_input_stream(path) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all."""
        if not is_remote(self.uri):
            files.write_bytes(Path(self.uri) / name, data)
            return
        with self._writing(name) as file:
            file.write(data)

    def size(self, name: str) -> int | None:
        """The bytes of a file; None if there is none."""
        if not is_remote(self.uri):
            here = Path(self.uri) / name
            return here.stat().st_size if here.is_file() else None
        from pyarrow import fs

        system, path = file_system(joined(self.uri, name))
        info = system.get_file_info(path)
        return int(info.size) if info.type == fs.FileType.File else None

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder on this machine for files that are being written; what is left there when the
        block ends is removed."""
        if is_remote(self.uri):
            with tempfile.TemporaryDirectory(prefix="quasistatic-") as folder:
                yield Path(folder)
            return
        folder_here = Path(self.uri) / f"{STAGING}{uuid.uuid4().hex}"
        folder_here.mkdir(parents=True)
        try:
            yield folder_here
        finally:
            shutil.rmtree(folder_here, ignore_errors=True)

    def keep(self, path: Path) -> None:
        """Moves a file of the staging folder into this folder."""
        if not is_remote(self.uri):
            os.replace(path, Path(self.uri) / path.name)
            return
        with path.open("rb") as source, self._writing(path.name) as file:
            shutil.copyfileobj(source, file, 2**20)

    def _writing(self, name: str) -> Any:
        """A file of a remote folder, opened for writing. An object store shows it once it is
        closed."""
        system, path = file_system(joined(self.uri, name))
        if system.type_name == "local":
            system.create_dir(path.rpartition("/")[0], recursive=True)
        return system.open_output_stream(path)

    def sweep(self) -> None:
        """Removes what killed workers left behind."""
        if is_remote(self.uri) or not os.path.isdir(self.uri):
            return
        for name in os.listdir(self.uri):
            if name.startswith(STAGING):
                shutil.rmtree(Path(self.uri) / name, ignore_errors=True)
        files.sweep(self.uri)
