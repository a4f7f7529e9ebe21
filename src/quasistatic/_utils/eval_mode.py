"""A context manager that puts a model into evaluation mode and then restores its mode."""

__all__ = ["evaluating"]

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

_LOCK = Lock()
_HELD: WeakKeyDictionary[nn.Module, tuple[int, bool]] = WeakKeyDictionary()
"""For each module that :func:`evaluating` holds in evaluation mode: the number of blocks that hold
it, and whether it was in training mode before the first of them."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode within the block, so that nothing is dropped out.

    Afterwards each submodule has its earlier mode again, and submodules may differ in it. Blocks
    may nest, and threads may share a model: the last block that ends restores the modes.
    """
    parts = list(model.modules())
    with _LOCK:
        for part in parts:
            blocks, training = _HELD.get(part, (0, part.training))
            _HELD[part] = (blocks + 1, training)
            part.training = False
    try:
        yield
    finally:
        with _LOCK:
            for part in parts:
                blocks, training = _HELD.pop(part)
                if blocks > 1:
                    _HELD[part] = (blocks - 1, training)
                else:
                    part.training = training
