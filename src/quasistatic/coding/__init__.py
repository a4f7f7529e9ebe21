r"""A file as short as the bound says: bits-back coding along a model's chain, in a container that
is checked and versioned."""

from .arrays import compress_array, decompress_array, order_of
from .codec import Codec, Report
from .layers import LayeredCodec, Refinement
from .stream import Header, StreamError

__all__ = [
    "Codec",
    "Header",
    "LayeredCodec",
    "Refinement",
    "Report",
    "StreamError",
    "compress_array",
    "decompress_array",
    "order_of",
]
