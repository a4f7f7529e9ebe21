"""Starts the studio: finds a free port, prints the address, opens a browser, and serves."""

__all__ = ["Studio", "serve"]

import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.published import OFFLINE
from .library import Library, found_runs
from .shipped import shipped_facts

HOST = "127.0.0.1"
PORT, TRIES = 8765, 50
"""The first port that is tried, and how many."""

LATER = 2.0
"""Seconds after which PyTorch is loaded, if no page has needed it by then."""

MISSING = (
    "the studio needs the packages starlette and uvicorn: `pip install 'quasistatic[studio]'` "
    "installs them"
)


@dataclass(frozen=True)
class Studio:
    """A studio that is about to serve.

    Args:
        library: its runs.
        listening: the socket that it listens on.
        token: the secret part of its address.
    """

    library: Library
    listening: socket.socket
    token: str

    @classmethod
    def of(cls, runs: Sequence[str | Path] = (), port: int = PORT) -> "Studio":
        """A studio on this machine.

        Args:
            runs: run folders and names of pretrained models; by default the pretrained models and
                the runs in the folder `runs`.
            port: that it listens on, or the next one that is free.

        Raises:
            FileNotFoundError: if there is no such run.
            OSError: if no port is free.
            ModuleNotFoundError: if the extra `studio` is not installed.
        """
        try:
            import starlette  # noqa: F401 (the message says what to install)
            import uvicorn  # noqa: F401
        except ModuleNotFoundError:
            raise ModuleNotFoundError(MISSING) from None
        library = Library(runs or found_runs())
        return cls(library, _listening(port), secrets.token_urlsafe(18))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.listening.getsockname()[1])

    @property
    def address(self) -> str:
        """Where the page is, with the token."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def serve(self, say: Callable[[str], None] = print, browser: bool = True) -> None:
        """Serves until it is interrupted.

        Args:
            say: is called with the address and what the reader has to know.
            browser: whether to open a browser, if this machine has a display.
        """
        import uvicorn

        from .server import create_app

        os.environ[OFFLINE] = "1"  # nothing is fetched while a page is open
        app = create_app(self.library, self.token)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        )
        say(f"The studio is at {self.address}")
        say("Only this machine can open it. Press Ctrl+C to end it.")
        self._warm_up()
        if browser and has_display():
            threading.Thread(target=webbrowser.open, args=(self.address,), daemon=True).start()
        elif browser:
            say("There is no display here: open the address in a browser.")
        server.run(sockets=[self.listening])

    def _warm_up(self) -> None:
        """Starts to load PyTorch and the first run. Where the page can be shown without them, they
        begin later, so that they do not slow it down."""
        first = self.library.names[0]
        known = shipped_facts(first, self.library.folders[first]) is not None
        timer = threading.Timer(LATER if known else 0.0, self._open, [first])
        timer.daemon = True
        timer.start()

    def _open(self, name: str) -> None:
        try:
            self.library.open(name)
        except (ValueError, OSError, TypeError, RuntimeError):
            return  # the page shows the message when it asks for the run


def serve(
    runs: Sequence[str | Path] = (),
    port: int = PORT,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Opens a studio and serves it until it is interrupted.

    Args:
        runs, port: see :meth:`Studio.of`.
        browser: whether to open a browser, if this machine has a display.
        say: is called with the address and what the reader has to know.
    """
    Studio.of(runs, port).serve(say, browser)


def has_display() -> bool:
    """Whether a browser could show a window here."""
    if os.name == "nt" or os.uname().sysname == "Darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _listening(first: int) -> socket.socket:
    """A socket that listens on a port of this machine only: the first that is free."""
    for number in range(first, min(first + TRIES, 2**16)):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # a port of a studio that just ended is free again
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((HOST, number))
            found.listen(128)
            return found
        except OSError:
            found.close()
    raise OSError(f"no port from {first} on is free: name another one by --port")
