"""Values of a condition, from the words of a command."""

__all__ = ["columns_given", "read_given"]

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..conditions import ClassLabel, Condition, Named
from ..data.table_files import Notation
from .arrays_io import load_array


def read_given(
    condition: Condition | None,
    words: Sequence[str],
    count: int | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
) -> Any:
    """The values that `--given` gives, as `Diffusion.given` takes them.

    Args:
        condition: of the model.
        words: a class (`3`, `cat`), several that are taken in turn (`0,1,2`), numbers (`0.5,1`), a
            .npy file with a value for each example, or the name of the run's own labels (`label`);
            `NAME=VALUE` for a model with several conditions.
        count: of the examples; several classes are repeated up to it. None leaves them as they are.
        labels: the run's own labels of its examples, by name.

    Raises:
        ValueError: if the model has no condition, or a word says nothing about it.
    """
    if not words:
        return None
    if condition is None:
        raise ValueError(
            "the model has no condition, so it takes no --given: train one with a condition, for "
            "example `quasistatic train digits --given label`"
        )
    if isinstance(condition, Named):
        pairs = [word.partition("=") for word in words]
        wrong = [name for name, _, _ in pairs if name not in condition.named]
        if wrong:
            raise ValueError(
                f"--given takes NAME=VALUE with one of {', '.join(condition.named)}, got "
                f"{wrong[0]!r}"
            )
        return {
            name: _value(condition.named[name], text, count, labels or {})
            for name, _, text in pairs
        }
    if len(words) > 1:
        raise ValueError(
            f"the model has one condition, and --given was used {len(words)} times: give several "
            "classes as 0,1,2"
        )
    return _value(condition, words[0], count, labels or {})


def columns_given(
    words: Sequence[str],
    decimal: str = ".",
    notations: Mapping[str, Notation] | None = None,
    times: Collection[str] = (),
) -> dict[str, Any]:
    """What is given of columns of a table, as `DiffusionDensity.sample` takes it.

    Args:
        words: `COLUMN=VALUE`, `COLUMN=ONE,OTHER` for several values, or `COLUMN=LOW..HIGH` for an
            interval, of which an end may be left out.
        decimal: the decimal mark of the fitted file. With a comma, several values are separated by
            semicolons: `amount=120,5;130,5`.
        notations: of columns of the fitted file. Their values are read in them, and else as plain
            numbers, or as dates and times in the order of ISO 8601, as 2024-01-05 12:30.
        times: the columns that hold dates, times or durations.

    Raises:
        ValueError: if a word is none of these.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign or not name or not text:
            raise ValueError(
                f"--given takes COLUMN=VALUE, COLUMN=ONE,OTHER or COLUMN=LOW..HIGH, got {word!r}"
            )
        notation = (notations or {}).get(name)
        if name in times:
            found[name] = _times_given(word, text, notation)
        else:
            found[name] = _numbers_given(word, text, decimal, notation)
    return found


def _numbers_given(word: str, text: str, decimal: str, notation: Notation | None) -> Any:
    """The values, or the ends of an interval, of a column of numbers or of names."""
    between = ";" if decimal == "," else ","
    ends = text.split("..")
    if len(ends) != 2:
        parts = [_pointed(part.strip(), decimal, notation) for part in text.split(between)]
        return parts if len(parts) > 1 else parts[0]
    try:
        low, high = (float(_pointed(end, decimal, notation)) if end else None for end in ends)
    except ValueError:
        raise ValueError(
            f"--given {word}: the ends of an interval are numbers, as in the fitted file"
        ) from None
    if low is not None and high is not None and low > high:
        raise ValueError(f"--given {word}: the ends are reversed, write {ends[1]}..{ends[0]}")
    return low, high


def _times_given(word: str, text: str, notation: Notation | None) -> Any:
    """The values, or the ends of an interval, of a column of dates or times."""
    ends = [end.strip() for end in text.split("..")]
    if len(ends) == 2:
        low, high = (_read(end, notation) if end else None for end in ends)
        if type(low) is type(high) and low is not None and low > high:
            raise ValueError(f"--given {word}: the ends are reversed, write {ends[1]}..{ends[0]}")
        return low, high
    whole = _read(text.strip(), notation)
    if not isinstance(whole, str):
        return whole  # a format may have a comma itself: Jan 5, 2024
    parts = [_read(part.strip(), notation) for part in re.split("[,;]", text)]
    return parts if len(parts) > 1 else parts[0]


def _read(text: str, notation: Notation | None) -> Any:
    """A value in the notation of a column; the text itself if it is none."""
    if notation is None:
        return text
    try:
        [value] = pl.select(notation.read(pl.lit(text))).to_series().to_list()
    except pl.exceptions.PolarsError:
        return text
    return text if value is None else value


def _pointed(text: str, decimal: str, notation: Notation | None = None) -> str:
    """A number of a file as Python writes it; any other text as it is."""
    number = re.fullmatch(r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?", text)
    if decimal == "," and number:
        return text.replace(".", "").replace(",", ".")
    if re.fullmatch(r"[-+]?\d+\.?\d*([eE][-+]?\d+)?", text):
        return text
    value = _read(text, notation)
    return value if isinstance(value, str) else f"{value:.15g}"


def _value(
    condition: Condition, text: str, count: int | None, labels: Mapping[str, np.ndarray]
) -> Any:
    if text in labels:
        return labels[text]
    if text.endswith(".npy"):
        return load_array(Path(text))
    parts = [part.strip() for part in text.split(",")]
    if isinstance(condition, ClassLabel):
        found = condition.indices(parts).numpy()
        return found if count is None or len(found) == 1 else np.resize(found, count)
    try:
        return [float(part) for part in parts]
    except ValueError:
        raise ValueError(
            f"--given takes numbers as 0.5,1 for {condition!r}, got {text!r}"
        ) from None
