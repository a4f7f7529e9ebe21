"""How a verb describes its options: their help, unit, default, range, and the kinds of model that
have them."""

__all__ = ["EVERY", "Kinds", "OnlyFor", "Range", "given", "known_options", "option", "parse"]

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, get_type_hints

import tyro

from ..opened import ARRAYS, IMAGES, TABLE, Kind

Kinds = tuple[Kind, ...]
EVERY: Kinds = (ARRAYS, IMAGES, TABLE)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class OnlyFor:
    """Marks an option that only some kinds of model have."""

    kinds: Kinds


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that an option may have.

    Args:
        least: the smallest value.
        most: the largest value.
        open: whether the two ends themselves are not allowed.
        about: the rule in words, for the error message.
    """

    least: float
    most: float = float("inf")
    open: bool = False
    about: str = ""

    def check(self, name: str, value: object) -> None:
        """Raises ValueError if a number is outside the range."""
        if not isinstance(value, int | float):
            return
        inside = self.least < value < self.most if self.open else self.least <= value <= self.most
        if not inside:
            limits = f"{self.least:,} or more"
            if self.most < float("inf"):
                limits = f"from {self.least:,} to {self.most:,}"
            raise ValueError(f"--{name} {self.about or f'must be {limits}'}, got {value}")


def option(
    help: str,
    default: object = None,
    metavar: str | None = None,
    aliases: Sequence[str] = (),
) -> Any:
    """Describes an option that is None where it is not given.

    Args:
        help: what it is, with its unit.
        default: the value that applies where it is not given, for the help text.
        metavar: the type, for the help text.
        aliases: short forms, as "-o".
    """
    hint = "(optional)" if default is None else f"(default: {default})"
    hint = "(required)" if default == "required" else hint
    return tyro.conf.arg(
        help=help, help_behavior_hint=hint, metavar=metavar, aliases=tuple(aliases) or None
    )


def parse(kind: type[T], verb: str, words: Sequence[str]) -> T:
    """The options of a command line.

    Args:
        kind: the dataclass that describes them.
        verb: the command, for messages.
        words: the arguments after the command.

    Raises:
        SystemExit: with a message, if an argument is not known or has another type.
        ValueError: if a number is out of its range.
    """
    asked = tyro.cli(
        kind,
        prog=f"quasistatic {verb}",
        args=list(words),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    for field, metadata in _metadata(kind).items():
        for each in metadata:
            if isinstance(each, Range):
                each.check(field.replace("_", "-"), getattr(asked, field))
    return asked


def given(asked: Any) -> dict[str, Any]:
    """The options that differ from their defaults, by name."""
    found = {}
    for field in dataclasses.fields(asked):
        value = getattr(asked, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            found[field.name] = value
    return found


def known_options(verb: type, kind: Kind) -> list[str]:
    """The names of the options that a verb has for a kind of model."""
    found = []
    for name, metadata in _metadata(verb).items():
        only = next((each.kinds for each in metadata if isinstance(each, OnlyFor)), EVERY)
        if kind in only:
            found.append(name)
    return found


def _metadata(kind: type) -> dict[str, tuple[Any, ...]]:
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: getattr(hints[field.name], "__metadata__", ())
        for field in dataclasses.fields(kind)
    }
