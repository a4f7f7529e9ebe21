"""Numbers that a network holds in buffers, because they are fitted and not trained."""

__all__ = ["fill_buffers"]

from collections.abc import Mapping

from torch import Tensor, nn


def fill_buffers(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copies numbers into the buffers of these names.

    Raises:
        ValueError: if a shape is another, or a number is not finite.
    """
    for name, value in values.items():
        own = module.get_buffer(name)
        if value.shape != own.shape or not value.isfinite().all():
            raise ValueError(
                f"{name} must be finite and have shape {tuple(own.shape)}, got {tuple(value.shape)}"
            )
        own.copy_(value)
