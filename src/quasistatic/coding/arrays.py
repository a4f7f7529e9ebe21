r"""Arrays on disk to streams on disk and back, a few blocks at a time."""

__all__ = ["compress_array", "decompress_array", "order_of"]

from pathlib import Path

import numpy as np

from .._utils import files
from .codec import Codec
from .report import CompressionReport
from .stream import Header, StreamError, read_header


def compress_array(codec: Codec, x: np.ndarray, target: str | Path) -> CompressionReport:
    """Writes the stream of x (N, *shape), which may be a memory map, to `target`.

    Raises:
        ValueError: if x is not of the model's data.
        OSError: if it cannot be written; what was there before is untouched.
    """
    with files.writing(target) as file:
        return codec.write(x, file)


def decompress_array(
    codec: Codec, source: str | Path, target: str | Path, anyway: bool = False
) -> Header:
    """Reads a stream into an array file (.npy) of the shape and type that was written.

    Raises:
        FileNotFoundError: if there is no stream.
        StreamError: what is wrong with it; nothing is written.
        OSError: if the target cannot be written; what was there before is untouched.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    with source.open("rb") as stream:
        try:
            header, parts = codec.read(stream, anyway)
            with files.writing(target) as file:
                about = {"descr": header.dtype, "fortran_order": False}
                about["shape"] = (header.count, *header.shape)
                np.lib.format.write_array_header_1_0(file, about)
                for part in parts:
                    file.write(part.tobytes())
        except StreamError as error:
            raise StreamError(f"{source}: {error}") from None
    return header


def order_of(source: str | Path) -> str:
    """Whether a stream is in the order of "examples" or of "layers".

    Raises:
        FileNotFoundError: if there is no stream.
        StreamError: if it is none.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    with source.open("rb") as stream:
        try:
            return read_header(stream).order
        except StreamError as error:
            raise StreamError(f"{source}: {error}") from None
