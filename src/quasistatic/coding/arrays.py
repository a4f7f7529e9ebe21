r"""Arrays on disk to streams on disk and back, a few blocks at a time."""

__all__ = ["blocks_read", "compress_array", "decompress_array", "header_in"]

from pathlib import Path

import numpy as np

from .._utils import files
from .codec import Codec
from .kept_blocks import Following, KeptBlocks
from .report import CompressionReport
from .stream import Header, StreamError, read_header


def compress_array(
    codec: Codec, x: np.ndarray, target: str | Path, following: Following | None = None
) -> CompressionReport:
    """Writes the stream of x (N, *shape), which may be a memory map, to `target`. If it is stopped,
    a second call with the same data, model and settings continues after the last finished block.

    Args:
        codec: of the model.
        x: the raw data.
        target: the file.
        following: how the user follows the work; None says nothing.

    Raises:
        ValueError: if x is not of the model's data.
        OSError: if it cannot be written; what was there before is untouched.
    """
    kept = KeptBlocks(target, following or Following(), f"written, verified {codec.verify}")
    try:
        with files.writing(target) as file:
            report = codec.write(x, file, kept)
    except (ValueError, TypeError):
        kept.remove()
        raise
    kept.remove()
    return report


def decompress_array(
    codec: Codec,
    source: str | Path,
    target: str | Path,
    anyway: bool = False,
    following: Following | None = None,
    beside: Path | None = None,
) -> Header:
    """Reads a stream into an array file (.npy) of the shape and type that was written. If it is
    stopped, a second call continues after the last finished block.

    Args:
        codec: of the model.
        source: the stream.
        target: the file.
        anyway: see :meth:`Codec.decompress`.
        following: how the user follows the work; None says nothing.
        beside: the file beside which finished blocks are kept; by default the target.

    Raises:
        FileNotFoundError: if there is no stream.
        StreamError: what is wrong with it; nothing is written.
        OSError: if the target cannot be written; what was there before is untouched.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    kept = blocks_read(source, beside or target, following)
    with source.open("rb") as stream:
        try:
            header, parts = codec.read(stream, anyway, kept)
            with files.writing(target) as file:
                about = {"descr": header.dtype, "fortran_order": False}
                about["shape"] = (header.count, *header.shape)
                np.lib.format.write_array_header_1_0(file, about)
                for part in parts:
                    file.write(part.tobytes())
        except StreamError as error:
            kept.remove()
            raise StreamError(f"{source}: {error}") from None
    kept.remove()
    return header


def blocks_read(source: Path, target: str | Path, following: Following | None) -> KeptBlocks:
    """Keeps the blocks of a stream that are read into `target`."""
    status = source.stat()
    about = f"read from {source.resolve()}, {status.st_size}, {status.st_mtime_ns}"
    return KeptBlocks(target, following or Following(), about)


def header_in(source: str | Path) -> Header:
    """The header of a stream in a file.

    Raises:
        FileNotFoundError: if there is no stream.
        StreamError: if it is none.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    with source.open("rb") as stream:
        try:
            return read_header(stream)
        except StreamError as error:
            raise StreamError(f"{source}: {error}") from None
