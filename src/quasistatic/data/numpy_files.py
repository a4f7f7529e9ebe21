"""Arrays in .npy and .npz files, checked before their values are read."""

__all__ = ["read_numpy"]

import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

LARGEST = 2**33
"""Bytes of an array in a .npz file, which is read as a whole."""

_DAMAGE = (
    *(ValueError, EOFError, KeyError, SyntaxError, TypeError, OverflowError, RecursionError),
    *(
        OSError,
        RuntimeError,
        struct.error,
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ),
)


def read_numpy(path: Path) -> np.ndarray:
    """The one array of a .npy or .npz file. A .npy file stays on disk until its values are needed.

    The size that a header declares is compared with that of the file before anything is read.

    Args:
        path: the file; its contents decide which of the two it is.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is cut short, damaged, or holds no single array of real numbers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        return _of_archive(path) if zipped else _of_file(path)
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is no NumPy array (.npy or .npz): {reason}") from None


def _of_file(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        shape, dtype = _header(file)
        held = os.fstat(file.fileno()).st_size - file.tell()
    _check_size(shape, dtype, held)
    # Copy-on-write: PyTorch refuses to share memory that nobody may write to.
    array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return array


def _of_archive(path: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) != 1:
            raise ValueError(f"it holds {len(entries)} arrays: save one alone with numpy.save")
        [entry] = entries
        if entry.file_size > LARGEST:
            raise ValueError(
                f"its array takes {entry.file_size:,} bytes, and {LARGEST:,} are read at most: "
                "save it as .npy, which stays on disk"
            )
        with archive.open(entry) as file:
            shape, dtype = _header(file)
            _check_size(shape, dtype, entry.file_size - file.tell())
        with archive.open(entry) as file:
            array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def _check_size(shape: tuple[int, ...], dtype: np.dtype, held: int) -> None:
    if dtype.kind not in "biuf":
        raise ValueError(f"it holds no real numbers but {dtype}: save numbers alone")
    if any(size < 0 for size in shape) or not math.prod(shape):
        raise ValueError(f"its array has shape {shape}, and no values")
    declared = math.prod(shape) * dtype.itemsize
    if declared != held:
        raise ValueError(
            f"its header declares {declared:,} bytes of values (shape {shape}), and the file holds "
            f"{held:,}: it is cut short or damaged"
        )
