"""Files as their makers published them: found on this machine, or fetched and kept."""

__all__ = ["Archive", "Loose", "Mirror", "Published"]

import abc
import os
import shutil
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pooch

VARIABLE = "QUASISTATIC_DATA"
OFFLINE = "QUASISTATIC_OFFLINE"
"""The environment variable that, if it is set, forbids to fetch anything."""
# Seconds to connect, and between two pieces of an answer: without a network it fails at once.
TIMEOUT = (5.0, 30.0)


class Mirror(abc.ABC):
    """A place on the network that has published files."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where it is, for messages."""

    @abc.abstractmethod
    def fetch(self, name: str, folder: Path) -> None:
        """Puts the file `name` into the folder, whole and with its published hash.

        Raises:
            ValueError: if what came has another hash: it is removed.
            OSError: if nothing came, or it cannot be kept.
        """


@dataclass(frozen=True)
class Loose(Mirror):
    """Single files below one address, by the names under which they are kept.

    Attributes:
        base: the address, which ends in a slash.
        hashes: file name -> `algorithm:hex` of the file as it is sent.
        suffix: what the names end in there, `.gz` or nothing more.
    """

    base: str
    hashes: Mapping[str, str]
    suffix: str = ""

    @property
    def url(self) -> str:
        return self.base

    def fetch(self, name: str, folder: Path) -> None:
        _download(f"{self.base}{name}{self.suffix}", self.hashes[name], folder)


@dataclass(frozen=True)
class Archive(Mirror):
    """One archive that holds all the files, wherever in it they lie.

    Attributes:
        address: of the archive.
        hash: `algorithm:hex` of the archive.
        unpack: pooch's processor for this kind of archive.
        names: the files to keep, the rest is dropped.
    """

    address: str
    hash: str
    unpack: type[pooch.Untar] | type[pooch.Unzip]
    names: tuple[str, ...]

    @property
    def url(self) -> str:
        return self.address

    def fetch(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Unpacked beside their place and moved into it: a file there is whole.
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            archive = _download(self.address, self.hash, Path(beside))
            for member in self.unpack(extract_dir="members")(str(archive), "download", None):
                if Path(member).name in self.names:
                    shutil.move(member, folder / Path(member).name)


@dataclass(frozen=True)
class Published:
    """The files of one data set, which lie in one folder under :data:`VARIABLE` or the cache.

    Attributes:
        title: what people call the data set.
        folder: the folder that holds the files.
        names: the files, without the `.gz` that each may have.
        mirrors: where to fetch them, in the order to try.
    """

    title: str
    folder: str
    names: tuple[str, ...]
    mirrors: tuple[Mirror, ...] = ()

    def find(self, name: str) -> Path:
        """Where the file is, plain or gzipped: under the environment variable `QUASISTATIC_DATA`,
        else in the user's cache, else fetched into that cache.

        Raises:
            FileNotFoundError: if it is in neither and no mirror gave it: which files to put where.
        """
        found = self._present(name)
        failures = []
        for mirror in () if found or os.environ.get(OFFLINE) else self.mirrors:
            try:
                mirror.fetch(name, _cache() / self.folder)
            except OSError as error:  # those of requests are OSErrors too
                said = textwrap.shorten(str(error), 120, placeholder=" …")
                failures.append(f"{mirror.url}, which failed: {type(error).__name__}, {said}")
                continue
            except ValueError as error:
                failures.append(f"{mirror.url}, which {error}")
                continue
            found = self._present(name)
            if found:
                break
            failures.append(f"{mirror.url}, which does not hold it")
        if not found:
            raise FileNotFoundError(self._missing(name, failures))
        return found

    def _present(self, name: str) -> Path | None:
        """The first place that has the file."""
        folders = [root / self.folder for root in _roots()]
        paths = [folder / each for folder in folders for each in (name, f"{name}.gz")]
        return next((path for path in paths if path.is_file()), None)

    def _missing(self, name: str, failures: list[str]) -> str:
        given = os.environ.get(VARIABLE) or "not set"
        tried = "".join(f"\n  Tried {failure}." for failure in failures)
        first, last = self.names[0], self.names[-1]
        some = ", ".join(self.names) if len(self.names) < 10 else f"{first} to {last}"
        return (
            f"{self.title} is not on this machine: there is no {self.folder}/{name}, plain or with "
            f".gz, under {VARIABLE} ({given}) or in the cache ({_cache()}).{tried}\n"
            f"Put its {len(self.names)} files ({some}), plain or gzipped, into "
            f"{_cache() / self.folder}, or into a folder {self.folder} of your own and set "
            f"{VARIABLE} to the folder that holds it."
        )


def _download(url: str, known: str, folder: Path) -> Path:
    """Fetches one file under its own name; it is in the folder only if its hash is right."""
    name = url.rpartition("/")[2]
    try:
        # pooch writes beside the place, checks the hash, and removes the file if it is wrong.
        get = pooch.HTTPDownloader(timeout=TIMEOUT)
        found = pooch.retrieve(url, known, name, folder, downloader=get)  # type: ignore[arg-type,unused-ignore]
        return Path(found)
    except ValueError as error:
        if isinstance(error, OSError):  # an address that requests refuses is both
            raise
        raise ValueError(
            f"sent a file {name} that is not the published one, with hash {known}: it was removed"
        ) from None


def _cache() -> Path:
    return Path(pooch.os_cache("quasistatic"))


def _roots() -> list[Path]:
    """Where published files may lie, first the place that the user named."""
    given = os.environ.get(VARIABLE)
    return [Path(given).expanduser(), _cache()] if given else [_cache()]
