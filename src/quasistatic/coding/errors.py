r"""What can be wrong with a stream."""

__all__ = ["CutShort", "DamagedValues", "StreamError"]


class StreamError(ValueError):
    """A stream that cannot be read, and why."""


class CutShort(StreamError):
    """A stream that stops before its end."""


class DamagedValues(ValueError):
    """The values of a block are not those that were written."""
