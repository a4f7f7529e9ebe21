"""The command line: one command for each verb."""

__all__ = ["COMMANDS", "main"]

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

Words = Sequence[str]


def _verb(name: str) -> Callable[[Words], None]:
    def run(words: Words) -> None:
        from .commands import verb_command

        verb_command(name)(words)

    return run


def _in(home: str) -> Callable[[Words], None]:
    """The command "module:name" of this package, imported when it runs."""
    module, name = home.split(":")

    def run(words: Words) -> None:
        getattr(import_module(f".{module}", __name__), name)(words)

    return run


COMMANDS: dict[str, tuple[str, Callable[[Words], None]]] = {
    "train": (
        "Train a recipe into a run folder; the same command resumes it",
        _in("training:train"),
    ),
    "fit": ("Fit a model to a table in a file, or to images", _in("commands:fit_command")),
    "sample": ("Draw from a model and write the draws", _verb("sample")),
    "score": ("Estimate the log-likelihood of data, in nats and bits", _verb("score")),
    "complete": ("Draw missing values of arrays or images from their posterior", _verb("complete")),
    "compress": ("Compress arrays, images or a table without loss", _verb("compress")),
    "decompress": ("Read what compress wrote, exactly as it was", _verb("decompress")),
    "impute": ("Fill missing values of a table or of images", _verb("impute")),
    "outliers": ("Find unusual rows of a table, or unusual images", _verb("outliers")),
    "sandwich": ("Estimate log p of a model's own draws from both sides", _verb("sandwich")),
    "distill": ("Train a flow map beside a model, for draws in few evaluations", _verb("distill")),
    "grid": ("Find the time steps that short chains should visit", _verb("grid")),
    "budget": ("Draw the entropy budget: which time steps carry the bits", _verb("budget")),
    "check": ("Test the identities that every model must satisfy", _verb("check")),
    "report": ("Write a page about one run or several", _in("commands:report_command")),
    "serve": ("Serve a run over HTTP, as JSON or Arrow", _in("serve:serve")),
    "studio": ("Open a page in the browser in which models answer", _in("studio:studio")),
    "convert": ("Convert a model of diffusers to a run folder", _in("others:convert")),
    "push": ("Upload a model with a card to the Hugging Face hub", _in("others:push")),
    "schedule": ("Compare noise schedules", _in("others:schedule")),
    "demo": ("Train three small recipes and write one page about them", _in("others:demo")),
    "cite": ("List the papers that docstrings cite", _in("others:cite")),
}
"""For each command, one line about it and the function that runs it."""


def main(arguments: Words | None = None) -> None:
    """Runs one command. Bad input ends with a message on standard error and exit status 2.

    Args:
        arguments: the words after `quasistatic`; by default `sys.argv[1:]`.

    Raises:
        SystemExit: with status 2 for bad input, 130 after an interrupt, 141 after a broken pipe.
    """
    from ..reporting.terminal import tolerate_terminal

    words = list(sys.argv[1:] if arguments is None else arguments)
    tolerate_terminal()
    try:
        _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads standard output any more. Python must not fail again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


def _run(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return
    if words[0] == "--version":
        from .. import __version__

        print(__version__)
        return
    name, rest = words[0], words[1:]
    try:
        if name not in COMMANDS:
            from .._utils.naming import nearest

            raise ValueError(f"there is no command {name!r}: {nearest(name, COMMANDS)}")
        with _plain_warnings(name):
            COMMANDS[name][1](rest)
    except KeyboardInterrupt:
        _say(name, "stopped; the same command resumes it")
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise
    except MemoryError:
        _say(name, "out of memory: ask for fewer examples at a time, or a smaller model")
        raise SystemExit(2) from None
    except (ValueError, TypeError, OSError, RuntimeError, OverflowError) as error:
        _say(name, str(error))
        raise SystemExit(2) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "polars":
            raise
        _say(name, f"the table cannot be processed: {str(error).splitlines()[0]}")
        raise SystemExit(2) from None


@contextlib.contextmanager
def _plain_warnings(name: str) -> Iterator[None]:
    """Prints the library's warnings as messages of a command, without a place in its source."""
    before = warnings.formatwarning

    def formatted(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if category is UserWarning and f"{os.sep}quasistatic{os.sep}" in filename:
            return f"quasistatic {name}: {message}\n"
        return before(message, category, filename, lineno, line)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = before


def _say(name: str, text: str) -> None:
    print(f"quasistatic {name}: {text}", file=sys.stderr)


def _overview() -> str:
    from ..recipes import RECIPES
    from ..recipes.locations import pretrained

    lines = ["usage: quasistatic COMMAND ...   (quasistatic COMMAND --help lists its options)", ""]
    lines += [f"  {name:12}{about}" for name, (about, _) in COMMANDS.items()]
    known = [f"recipes: {', '.join(RECIPES)}", f"pretrained models: {', '.join(pretrained())}"]
    return "\n".join([*lines, "", *known])
