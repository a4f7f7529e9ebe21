"""What a page asks for: the fields of a JSON object, checked one by one."""

__all__ = ["Asked", "Upload"]

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

MOST_FILES = 256
"""Files in one request."""


@dataclass(frozen=True)
class Upload:
    """A file that a reader dropped.

    Args:
        name: without a folder.
        data: its bytes.
    """

    name: str
    data: bytes


@dataclass(frozen=True)
class Asked:
    """The fields of a request.

    Args:
        fields: a JSON object.
    """

    fields: dict[str, Any]

    @classmethod
    def of(cls, body: bytes) -> "Asked":
        """The fields in the body of a request.

        Raises:
            ValueError: if it is no JSON object.
        """
        try:
            fields = json.loads(body, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the request is no JSON ({error})") from None
        if not isinstance(fields, dict):
            raise ValueError(f"the request is a JSON {type(fields).__name__}, and not an object")
        return cls(fields)

    def text(self, name: str, default: str = "", most: int = 500) -> str:
        """A text of at most `most` characters."""
        value = self.fields.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(f"{name} is a text of at most {most} characters")
        return value

    def choice(self, name: str, options: Sequence[str], default: str) -> str:
        """One of some texts."""
        value = self.text(name, default)
        if value not in options:
            raise ValueError(f"{name} is one of {', '.join(options)}, got {value!r}")
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number in a range."""
        value = self.fields.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} is a whole number from {least:,} to {most:,}, got {value!r}")
        return value

    def perhaps(self, name: str, least: int, most: int) -> int | None:
        """A whole number in a range, or None."""
        return None if self.fields.get(name) is None else self.whole(name, least, least, most)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number in a range."""
        value = self.fields.get(name, default)
        if not _is_number(value) or not least <= value <= most:
            raise ValueError(f"{name} is a number from {least:g} to {most:g}, got {value!r}")
        return float(value)

    def flag(self, name: str) -> bool:
        """Yes or no; no by default."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false, got {value!r}")
        return value

    def values(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """One example as a flat list of numbers; null is a missing value, NaN in the result.

        Args:
            name: of the field.
            shape: of the example.

        Returns:
            An array (1, *shape) in float64.
        """
        value, count = self.fields.get(name), math.prod(shape)
        if not isinstance(value, list) or len(value) != count:
            got = f"{len(value)}" if isinstance(value, list) else "none"
            raise ValueError(f"{name} holds {count} numbers for this model, got {got}")
        good = (
            each is None or (isinstance(each, int | float) and math.isfinite(each))
            for each in value
        )
        if not all(good):
            raise ValueError(f"{name} holds numbers, and null where a value is missing")
        flat = [math.nan if each is None else float(each) for each in value]
        return np.array(flat).reshape(1, *shape)

    def cells(self, name: str) -> dict[str, str]:
        """Texts by the name of their column."""
        value = self.fields.get(name, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise ValueError(f"{name} is an object of texts, one for each column")
        return value

    def uploads(self, name: str = "files") -> list[Upload]:
        """The files of the request, each an object of its `name` and its bytes in base64."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_FILES:
            raise ValueError(f"give 1 to {MOST_FILES} files")
        return [_upload(each) for each in value]


def _upload(each: object) -> Upload:
    if not isinstance(each, dict):
        raise ValueError("a file is an object of its name and its data")
    name, data = each.get("name"), each.get("data")
    if not isinstance(name, str) or not isinstance(data, str):
        raise ValueError("a file is an object of its name and its data, both texts")
    try:
        held = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the bytes of {name[:100]!r} are no base64") from None
    return Upload(_plain(name), held)


def _plain(name: str) -> str:
    """The last part of a name, of harmless characters, so that no file lands in another folder."""
    last = name.replace("\\", "/").rpartition("/")[2][-100:]
    kept = "".join(c if c.isalnum() or c in "-_. " else "_" for c in last).strip(". ")
    return kept or "file"


def _is_number(value: object) -> bool:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and math.isfinite(value)  # type: ignore[arg-type]


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
