"""What a job writes about itself: the plan, and a record of each part."""

__all__ = ["Manifest", "Part", "Plan", "Record"]

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .places import Place

NAME, RECORDS, FORMAT = "manifest.json", ".records", 1


@dataclass(frozen=True)
class Part:
    """A part of the work, which becomes one file.

    Args:
        name: of the file that is written.
        sources: the files that are read.
        first: the number of rows before it in its file; of draws, the first number.
        count: its rows or draws; None for all rows of the file.
    """

    name: str
    sources: tuple[str, ...]
    first: int = 0
    count: int | None = None

    @property
    def about(self) -> str:
        """The part for a message."""
        if not self.sources:
            return f"draws {self.first} to {self.first + (self.count or 0) - 1}"
        first, *others = self.sources
        more = f" and {len(others)} more" if others else ""
        rows = f", rows {self.first + 1} to {self.first + self.count}" if self.count else ""
        return f"{first}{more}{rows}"


@dataclass(frozen=True)
class Record:
    """What became of a part.

    Args:
        part: the part.
        rows: of the answer.
        bytes: of the file.
        sha256: of the file.
        seconds: CPU time that it took.
        facts: sums over the answer, by name.
        attempts: how often it was tried.
        error: why it failed; empty if it did not.
    """

    part: Part
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    seconds: float = 0.0
    facts: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 1
    error: str = ""

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        found = dataclasses.asdict(self)
        found |= {**found.pop("part"), "sources": list(self.part.sources)}
        return found

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Record":
        """The record that :meth:`described` described."""
        own = dict(stored)
        part = Part(own.pop("name"), tuple(own.pop("sources")), own.pop("first"), own.pop("count"))
        return cls(part, **own)


@dataclass(frozen=True)
class Plan:
    """What the answers of a job depend on.

    Args:
        verb: the verb.
        options: of the verb.
        model: the digest of the model's files.
        parts: the parts, with the sizes of their files.
    """

    verb: str
    options: Mapping[str, Any]
    model: str
    parts: Sequence[Part]
    sizes: Mapping[str, int]

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "verb": self.verb,
            "options": dict(self.options),
            "model": self.model,
            "sources": dict(self.sizes),
            "parts": [
                dataclasses.asdict(part) | {"sources": list(part.sources)} for part in self.parts
            ],
        }

    @property
    def digest(self) -> str:
        """What tells this plan from others."""
        text = json.dumps(self.described(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Manifest:
    """The manifest of a job in its folder.

    Args:
        place: the folder.
        plan: of the job.
    """

    def __init__(self, place: Place, plan: Plan) -> None:
        self.place, self.plan = place, plan

    def begin(self) -> dict[str, Record]:
        """Claims the folder, and returns the records of parts that an earlier run finished, by
        name.

        Raises:
            FileExistsError: if the folder holds something else.
        """
        stored = self.place.read(NAME)
        if stored is None:
            other = [name for name in self.place.names() if not name.startswith(".")]
            if other:
                raise FileExistsError(
                    f"{self.place.uri} exists and holds {other[0]}, and no manifest of a job: "
                    "choose another folder with --out"
                )
            self._write("running", {})
            return {}
        try:
            before = json.loads(stored)
            digest, parts = before["digest"], before["done"]
        except (ValueError, KeyError, TypeError):
            raise FileExistsError(
                f"{self.place.uri}/{NAME} is damaged: delete the folder, or choose another"
            ) from None
        if digest != self.plan.digest:
            raise FileExistsError(
                f"{self.place.uri} holds the answers of another job ({_differs(before, self.plan)})"
                ": choose another folder with --out, or delete this one"
            )
        self.place.sweep()
        done = {each["name"]: Record.of(each) for each in parts}
        for part in self.plan.parts:
            record = self._recorded(part)
            if record is not None:
                done[part.name] = record
        return {name: each for name, each in done.items() if self.place.size(name) == each.bytes}

    def _recorded(self, part: Part) -> Record | None:
        data = self.place.read(f"{RECORDS}/{part.name}.json")
        try:
            return None if data is None else Record.of(json.loads(data))
        except (ValueError, KeyError, TypeError):
            return None  # it is made again

    def end(self, records: Iterable[Record]) -> None:
        """Writes the records of all parts, finished and failed."""
        each = {record.part.name: record for record in records}
        complete = all(not record.error for record in each.values())
        self._write("complete" if complete else "incomplete", each)
        if complete:
            _forget(self.place)

    def _write(self, status: str, records: Mapping[str, Record]) -> None:
        in_order = [records[part.name] for part in self.plan.parts if part.name in records]
        facts: dict[str, Any] = {"status": status, "digest": self.plan.digest}
        facts |= self.plan.described()
        facts["done"] = [each.described() for each in in_order if not each.error]
        facts["failed"] = [each.described() for each in in_order if each.error]
        self.place.write(NAME, (json.dumps(facts, indent=1) + "\n").encode())


def keep_record(place: Place, record: Record) -> None:
    """Notes that a part is finished; to be called once its file is in its place."""
    data = json.dumps(record.described()).encode()
    place.write(f"{RECORDS}/{record.part.name}.json", data)


def _forget(place: Place) -> None:
    """Removes the records of parts, which the manifest holds now."""
    import shutil

    from .places import is_remote

    if not is_remote(place.uri):
        shutil.rmtree(Path(place.uri) / RECORDS, ignore_errors=True)


def _differs(before: Mapping[str, Any], plan: Plan) -> str:
    now = plan.described()
    for name in ("verb", "options", "model", "sources", "parts"):
        if before.get(name) != now[name]:
            return f"another {name.removesuffix('s') if name != 'sources' else 'list of files'}"
    return "another format"
