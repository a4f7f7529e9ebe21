"""A service that runs until a signal stops it."""

__all__ = ["serve"]

import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from ..opened.model import OpenedModel
from .app import create_app
from .limits import Limits

GRACE = 1.0
"""Seconds after the signal to stop in which requests are still read, so that none is lost on its
way. Meanwhile `/health` has status 503."""


def serve(
    model: str | Path | OpenedModel,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    device: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serves a run until SIGTERM or SIGINT. Requests that arrive until a second later are answered,
    and new connections are refused then. A second signal ends the service at once.

    Args:
        model: see :func:`create_app`.
        host: the address that is listened at; by default this machine alone. There is no login: put
            a proxy in front before others can reach it.
        port: 0 for a free one.
        limits: how much is taken at once.
        device: where the model computes.
        ready: is called with the URL before the first request.

    Raises:
        OSError: if the port is in use.
    """
    limits = limits or Limits()
    app = create_app(model, limits, device)
    listening = socket.create_server((host, port), backlog=1024)
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=int(limits.seconds) + 1,
        timeout_keep_alive=30,
    )
    if ready is not None:
        ready(f"http://{host}:{listening.getsockname()[1]}")
    server = _Server(config, lambda: app.state.service.stop())
    before = {each: signal.signal(each, _nothing) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        with listening:
            server.run([listening])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Server(uvicorn.Server):
    """A server that reads requests for some time after the signal to stop.

    Args:
        config: of the server.
        stopping: is called at the signal.
    """

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping, self._asked = stopping, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._asked:
            super().handle_exit(sig, frame)
            return
        self._asked = True
        self._stopping()
        timer = threading.Timer(GRACE, super().handle_exit, (signal.SIGTERM, None))
        timer.daemon = True
        timer.start()


def _nothing(number: int, frame: FrameType | None) -> None:
    """Uvicorn sends the signal again when it has ended; the process then ends by itself."""
