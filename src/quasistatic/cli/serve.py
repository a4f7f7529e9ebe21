"""The command serve."""

__all__ = ["Serve", "serve"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .arguments import Range, option, parse
from .verbs import shared
from .verbs.shared import ONE_OR_MORE, POSITIVE


@dataclass
class Serve:
    """Serve a run over HTTP: score, outliers, impute, complete and sample, as JSON or Arrow.

    SIGTERM and Ctrl+C end the service, once the requests that have arrived are answered. There is
    no login: put a proxy in front before other machines can reach it."""

    run: Path = shared.folder()
    host: str = option("Address to listen at.", "127.0.0.1", "HOST", value="127.0.0.1")
    port: int = option(
        "Port to listen at; 0 for a free one.", 8000, "INT", value=8000, within=Range(0, 65535)
    )
    rows: int = option(
        "Largest number of rows of a request.", 10_000, "INT", value=10_000, within=ONE_OR_MORE
    )
    batch: int = option(
        "Rows that are answered together.", 10_000, "INT", value=10_000, within=ONE_OR_MORE
    )
    queue: int = option(
        "Requests that may wait. One more is refused with status 429.",
        256,
        "INT",
        value=256,
        within=ONE_OR_MORE,
    )
    seconds: float = option(
        "Seconds after which a request ends with status 504.",
        30.0,
        "FLOAT",
        value=30.0,
        within=POSITIVE,
    )
    device: str | None = shared.device()


def serve(words: Sequence[str]) -> None:
    """Serves a run until a signal stops it."""
    asked = parse(Serve, "serve", words)
    try:
        from ..service import Limits
        from ..service import serve as serve_run
    except ModuleNotFoundError as error:
        raise ValueError(
            f"serve needs the package {error.name}: pip install 'quasistatic[service]'"
        ) from None
    limits = Limits(asked.rows, asked.batch, asked.queue, asked.seconds)
    serve_run(asked.run, asked.host, asked.port, limits, asked.device or "auto", _ready)


def _ready(url: str) -> None:
    print(f"serving at {url}; {url}/health, {url}/metrics", flush=True)
