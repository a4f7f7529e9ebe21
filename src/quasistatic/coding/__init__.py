r"""Arrays as files about as short as the bound: bits-back coding along a model's chain, in a
container with checksums and a version."""

from .arrays import compress_array, decompress_array, order_of
from .codec import Codec
from .layers import LayeredCodec, Refinement
from .report import CompressionReport
from .stream import Header, StreamError

__all__ = [
    "Codec",
    "CompressionReport",
    "Header",
    "LayeredCodec",
    "Refinement",
    "StreamError",
    "compress_array",
    "decompress_array",
    "order_of",
]
