"""Terminals of any encoding."""

__all__ = ["tolerate_terminal"]

import codecs
import io
import sys

_ASCII = {"±": "+-", "×": "x", "−": "-", "–": "-", "…": "...", "·": "*", "’": "'", "≤": "<="}


def tolerate_terminal() -> None:
    """Lets standard output and standard error take any text: characters that are not in the
    terminal's encoding are replaced, and no command fails because of them."""
    codecs.register_error("quasistatic", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="quasistatic")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Plain characters for those that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(_ASCII.get(each, "?") for each in found), error.end
