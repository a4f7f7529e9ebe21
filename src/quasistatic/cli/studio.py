"""The command studio."""

__all__ = ["Studio", "studio"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .arguments import Range, option, parse


@dataclass
class Studio:
    """Open a page in the browser in which models answer: sample, complete, score, compress.

    Only this machine can open the page, and the page asks nothing of other machines. Press Ctrl+C
    to end it."""

    runs: tuple[Path, ...] = option(
        "Run folders, or names of pretrained models.",
        "the pretrained models, and the runs in runs/",
        "[RUN ...]",
        value=(),
        positional=True,
    )
    port: int = option(
        "Port that the page is served on, or the next one that is free.",
        8765,
        "INT",
        value=8765,
        within=Range(1, 65535),
    )
    browser: bool = option("Do not open a browser; print the address only.", True)


def studio(words: Sequence[str]) -> None:
    """Opens the studio, and serves it until it is interrupted."""
    asked = parse(Studio, "studio", words)
    from ..studio import serve

    try:
        serve(asked.runs, asked.port, asked.browser, _say)
    except KeyboardInterrupt:
        _say("The studio has ended.")


def _say(text: str) -> None:
    print(text, flush=True)
