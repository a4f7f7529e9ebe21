"""A service that runs until it is told to stop."""

__all__ = ["serve"]

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from ..opened.model import OpenedModel
from .app import create_app
from .limits import Limits


def serve(
    model: str | Path | OpenedModel,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    device: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serves a run until SIGTERM or SIGINT. Requests that have arrived are then answered, and new
    ones are refused.

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
    with listening:
        uvicorn.Server(config).run([listening])
