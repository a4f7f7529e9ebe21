"""A context manager: a model in evaluation mode, and then in the mode that it had."""

__all__ = ["evaluating"]

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

_LOCK = Lock()
_HELD: WeakKeyDictionary[nn.Module, tuple[int, bool]] = WeakKeyDictionary()
"""For each module in evaluation mode by :func:`evaluating`: how many blocks hold it there, and
whether it was in training mode before the first of them."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Keeps a model in evaluation mode for as long as the block lasts, without dropout.

    Afterwards each part has the mode that it had, also a part that was frozen by itself. Blocks may
    nest, and threads may share a model: the last block that ends restores the mode.
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
