"""What the bound in continuous time needs of a network that corrects a known law."""

__all__ = ["CorrectsLaw", "LawDenoiser"]

from typing import Protocol, runtime_checkable

from torch import Tensor


class LawDenoiser(Protocol):
    """The exact denoiser of a law of x_0."""

    def log_prob(self, x_0: Tensor, given: Tensor | None = None) -> Tensor:
        """log p of x_0 (B, *), with shape (B,), in nats; given codes of a condition (B, width), of
        a law that has one."""
        ...


@runtime_checkable
class CorrectsLaw(Protocol):
    """A network that knows a law of x_0 and corrects its denoiser."""

    denoiser: LawDenoiser

    @property
    def corrects(self) -> bool:
        """Whether the correction can be anything but zero."""
        ...
