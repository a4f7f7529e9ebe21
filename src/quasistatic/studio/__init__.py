"""The studio: a page in the browser, served by this machine to itself, in which models answer.

This module imports nothing heavy: the command line refuses bad options before it loads PyTorch.
"""

__all__ = ["Library", "Studio", "create_app", "serve"]

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names

if TYPE_CHECKING:
    from .launch import Studio, serve
    from .library import Library
    from .server import create_app

__getattr__ = lazy_names(
    __name__, {"launch": "Studio serve", "library": "Library", "server": "create_app"}
)
