"""Packages whose names and modules are imported when they are first used."""

__all__ = ["lazy_names"]

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str], modules: str = "") -> Callable[[str], Any]:
    """A package's `__getattr__` that imports a public name or a module when it is first used.

    Args:
        package: the package's `__name__`.
        homes: for each of its modules, the public names in it, separated by spaces.
        modules: modules that are attributes of the package too, separated by spaces.

    Returns:
        The function to assign to `__getattr__`.
    """
    home = {name: module for module, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        if name in home:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        if name in modules.split():
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
