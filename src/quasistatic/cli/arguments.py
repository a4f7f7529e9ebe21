"""How a command declares its options, and how they are read from the command line.

A command is a dataclass. Each of its fields is one `option`, which states the help text, the unit,
the default, the range and the kinds of model that have it. Everything else is derived from that
declaration: the parser, the help page, the check of the range and the list of known options.
"""

__all__ = [
    "EVERY",
    "Kinds",
    "Option",
    "Range",
    "given",
    "known_options",
    "option",
    "parse",
    "with_data",
]

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from ..opened import ARRAYS, IMAGES, TABLE, Kind

Kinds = tuple[Kind, ...]
EVERY: Kinds = (ARRAYS, IMAGES, TABLE)

NOTES: dict[Kinds, str] = {
    (ARRAYS, IMAGES): "runs only",
    (IMAGES,): "images only",
    (TABLE,): "tables only",
}
"""What the help text adds to an option that only some kinds of model have."""

T = TypeVar("T")


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


@dataclasses.dataclass(frozen=True)
class Option:
    """The declaration of one option.

    Args:
        help: what the option is, with its unit, as a sentence.
        default: the value that applies where the option is not given, as the help text shows it.
        metavar: the type, for the help text.
        aliases: short forms, as "-o".
        only: the kinds of model that have the option.
        within: the values that it may have.
        positional: whether it is given by its position and not by its name.
        name: as it is typed, if it is not the name of the field.
    """

    help: str
    default: object = None
    metavar: str | None = None
    aliases: tuple[str, ...] = ()
    only: Kinds = EVERY
    within: Range | None = None
    positional: bool = False
    name: str | None = None

    def text(self, kinds: Kinds = EVERY) -> str:
        """The help text: `help`, and a note if only some kinds of the command have the option.

        Args:
            kinds: the kinds of model that have the command.
        """
        note = NOTES.get(self.only)
        if note is None or set(kinds) <= set(self.only):
            return self.help
        return f"{self.help.removesuffix('.')} ({note})."

    @property
    def hint(self) -> str:
        """The default, as it stands behind the help text."""
        if self.default is None or self.default is True:
            return "(optional)"
        if self.default == "required":
            return "(required)"
        if self.default is False:
            return "(default: no)"
        return f"(default: {self.default})"

    def typed(self, hint: Any, kinds: Kinds) -> Any:
        """The type of the option, annotated for tyro, in a command of these kinds of model."""
        described = tyro.conf.arg(
            name=self.name,
            help=self.text(kinds),
            help_behavior_hint=self.hint,
            metavar=self.metavar,
            aliases=self.aliases or None,
        )
        typed = Annotated[hint, described]
        positional: Any = tyro.conf.Positional
        return positional[typed] if self.positional else typed


def option(
    help: str,
    default: object = None,
    metavar: str | None = None,
    *aliases: str,
    value: object = None,
    only: Kinds = EVERY,
    within: Range | None = None,
    positional: bool = False,
    name: str | None = None,
) -> Any:
    """A field of a command's dataclass that is one option.

    The field is None where the option is not given, so that the verb applies its own default. With
    `default="required"` the option must be given. With False it is a flag. With True it is a flag
    `--no-name`, and `help` says what that flag does.

    Args:
        help: what the option is, with its unit, as a sentence.
        default: the value that applies where the option is not given, as the help text shows it.
        metavar: the type, for the help text.
        *aliases: short forms, as "-o".
        value: what the field holds where the option is not given. By default None.
        only: the kinds of model that have the option. By default all.
        within: the values that it may have. By default any.
        positional: whether it is given by its position and not by its name.
        name: as it is typed, if it is not the name of the field.
    """
    described = {"option": Option(help, default, metavar, aliases, only, within, positional, name)}
    if default == "required":
        return dataclasses.field(metadata=described)
    value = default if isinstance(default, bool) else value
    return dataclasses.field(default=value, metadata=described)


def parse(command: type[T], name: str, words: Sequence[str]) -> T:
    """The options of a command line.

    Args:
        command: the dataclass that declares them.
        name: the command as it is typed, for messages.
        words: the arguments after the command.

    Raises:
        SystemExit: with a message, if an argument is not known or has another type.
        ValueError: if a number is out of its range.
    """
    _check_choices(command, words)
    asked = tyro.cli(
        _typed(command),
        prog=f"quasistatic {name}",
        args=list(words),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    for field, each in _options(command).items():
        if each.within is not None:
            each.within.check(field.replace("_", "-"), getattr(asked, field))
    return asked


def with_data(command: Any, words: Sequence[str]) -> list[str]:
    """The words of a command on a run and data, with the data where the command declares them:
    `RUN DATA` and `RUN --data DATA` are the same for each of these commands."""
    declared, found = _options(command).get("data"), list(words)
    if declared is None or "run" not in _options(command):
        return found
    named = [k for k, word in enumerate(found) if word == "--data" or word.startswith("--data=")]
    if declared.positional and len(named) == 1:
        value = found[named[0]].partition("=")[2]
        found[named[0] : named[0] + 1] = [value] if value else []
    elif not declared.positional and not named and len(found) > 1:
        run_and_data = not any(word.startswith("-") for word in found[:2])
        found[1:1] = ["--data"] if run_and_data else []
    return found


def _check_choices(command: Any, words: Sequence[str]) -> None:
    """Refuses a word for an option that has a few choices. (tyro lists them in any order, and None
    among them.)"""
    hints = get_type_hints(command)
    for name, each in _options(command).items():
        parts = (hints[name],) if get_origin(hints[name]) is Literal else get_args(hints[name])
        kinds = [part for part in parts if part is not type(None)]
        choices = [c for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
        others = any(get_origin(kind) is not Literal for kind in kinds)  # a number or a word
        if not choices or others or each.positional:
            continue
        flag = f"--{each.name or name.replace('_', '-')}"
        found = [after for word, after in itertools.pairwise(words) if word == flag]
        found += [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
        for value in found:
            if value not in choices:
                raise ValueError(f"{flag} is one of {', '.join(choices)}, got {value!r}")


def given(asked: Any) -> dict[str, Any]:
    """The options that differ from their defaults, by name."""
    found = {}
    for field in dataclasses.fields(asked):
        value = getattr(asked, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            found[field.name] = value
    return found


def known_options(command: Any, kind: Kind) -> dict[str, Option]:
    """The options that a command has for a kind of model, by name."""
    return {name: each for name, each in _options(command).items() if kind in each.only}


def _options(command: Any) -> dict[str, Option]:
    found = {field.name: field.metadata.get("option") for field in dataclasses.fields(command)}
    return {name: each for name, each in found.items() if each is not None}


def _typed(command: type[T]) -> type[T]:
    """A subclass of the command whose annotated types tell tyro the options."""
    hints, declared = get_type_hints(command, include_extras=True), _options(command)
    typed: Any = dataclasses.make_dataclass(
        command.__name__,
        [
            (
                each.name,
                declared[each.name].typed(hints[each.name], getattr(command, "kinds", EVERY)),
                dataclasses.field(default=each.default, metadata=each.metadata),
            )
            for each in dataclasses.fields(command)  # type: ignore[arg-type]
            if each.name in declared
        ],
        bases=(command,),
    )
    typed.__doc__ = command.__doc__
    found: type[T] = typed
    return found
