r"""Arrays as files about as short as the bound: bits-back coding along a model's chain, in a
container with checksums and a version."""

from .arrays import blocks_read, compress_array, decompress_array, header_in
from .codec import Codec
from .kept_blocks import Following
from .layers import LayeredCodec, Refinement
from .report import CompressionReport
from .stream import Header, StreamError

__all__ = [
    "Codec",
    "CompressionReport",
    "Following",
    "Header",
    "LayeredCodec",
    "Refinement",
    "StreamError",
    "blocks_read",
    "compress_array",
    "decompress_array",
    "header_in",
]
