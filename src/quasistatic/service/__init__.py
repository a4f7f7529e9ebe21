"""A run as an HTTP service: JSON and Arrow in and out, requests answered together, metrics.

`quasistatic serve RUN` starts it; :func:`create_app` gives the ASGI application for other servers.
"""

__all__ = ["Limits", "create_app", "serve"]

from .app import create_app
from .limits import Limits
from .server import serve
