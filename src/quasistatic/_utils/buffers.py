"""The buffers of a module, as they were."""

__all__ = ["same_buffers"]

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def same_buffers(module: nn.Module) -> Iterator[None]:
    """Gives the buffers of a module the values that they had before the block.

    A buffer that the block has not written to is left alone. A write would make everything that
    was computed from the buffer look outdated, a law in closed form for example.

    Args:
        module: whose buffers are kept.
    """
    before = [(each, each._version, each.clone()) for each in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, version, value in before:
                if buffer._version != version:
                    buffer.copy_(value)
