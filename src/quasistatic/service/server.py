"""A service that runs until a signal stops it."""

__all__ = ["serve"]

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from ..opened.model import OpenedModel
from .app import Service, create_app
from .limits import Limits

GRACE = 1.0
"""Seconds after the signal to stop in which connections are still accepted, so that none is lost on
its way. Meanwhile `/health` has status 503."""

QUIET, TICK = 20, 0.05
"""How often in a row the event loop has to find no request at work before connections are closed,
and the seconds between. Each time it also reads what has arrived."""


def serve(
    model: str | Path | OpenedModel,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    device: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serves a run until SIGTERM or SIGINT. New connections are refused from a second later on.
    Requests on the connections that were accepted are answered, the last one on each with
    `Connection: close`, and the service then ends. A second signal ends it at once.

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
    server = _Server(config, app.state.service, limits.seconds)
    before = {each: signal.signal(each, _nothing) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        with listening:
            server.run([listening])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Server(uvicorn.Server):
    """A server that answers what it has accepted after the signal to stop.

    Args:
        config: of the server.
        service: stops, and counts the requests that it has not answered yet.
        seconds: after which open connections are closed in any case.
    """

    def __init__(self, config: uvicorn.Config, service: Service, seconds: float) -> None:
        super().__init__(config)
        self._service, self._seconds, self._asked = service, seconds, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._asked:
            super().handle_exit(sig, frame)
            return
        self._asked = True
        self._service.stop()
        timer = threading.Timer(GRACE, super().handle_exit, (signal.SIGTERM, None))
        timer.daemon = True
        timer.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuses new connections, and waits until those that are open are quiet: uvicorn itself
        would close a connection whose request has arrived and was not read yet."""
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        ends, quiet = time.monotonic() + self._seconds, 0
        while quiet < QUIET and time.monotonic() < ends and not self.force_exit:
            quiet = 0 if self._service.active else quiet + 1
            await asyncio.sleep(TICK)
        await super().shutdown(sockets)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Uvicorn sends the signal again when it has ended; the process then ends by itself."""
