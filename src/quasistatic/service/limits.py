"""How much a service takes at once."""

__all__ = ["Limits"]

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a service. What exceeds them is refused, so that its memory is bounded.

    Args:
        rows: of a request.
        batch: rows that are answered together.
        queue: requests that wait; one more is refused with status 429.
        seconds: that a request may take from its arrival; then it ends with status 504.
        body: bytes of a request.

    Raises:
        ValueError: if a limit is not positive.
    """

    rows: int = 10_000
    batch: int = 10_000
    queue: int = 256
    seconds: float = 30.0
    body: int = 2**26

    def __post_init__(self) -> None:
        for name in ("rows", "batch", "queue", "seconds", "body"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
