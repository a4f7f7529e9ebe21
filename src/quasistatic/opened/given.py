"""Values of a condition, from the words of a command."""

__all__ = ["columns_given", "read_given"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..conditions import ClassLabel, Condition, Named
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


def columns_given(words: Sequence[str]) -> dict[str, Any]:
    """What is given of columns of a table, as `DiffusionDensity.sample` takes it.

    Args:
        words: `COLUMN=VALUE`, `COLUMN=ONE,OTHER` for several values, or `COLUMN=LOW..HIGH` for an
            interval, of which an end may be left out.

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
        ends = text.split("..")
        if len(ends) == 2:
            try:
                low, high = (float(end) if end else None for end in ends)
            except ValueError:
                raise ValueError(f"--given {word}: the ends of an interval are numbers") from None
            found[name] = (low, high)
        else:
            found[name] = text.split(",") if "," in text else text
    return found


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
