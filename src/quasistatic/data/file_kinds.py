"""Which kind of data a path holds, by the headers of its files alone."""

__all__ = ["are_images", "may_be_signals"]

import zipfile
from pathlib import Path

LEAST_SAMPLES, ROWS, SMOOTH = 64, 100, 0.8
"""Numbers of a row, rows that are looked at, and the correlation of neighbours in a row, from which
on rows may be signals."""


def are_images(path: str | Path) -> bool:
    """Whether a path is a folder, or a NumPy file that holds an array of three or four axes."""
    path = Path(path)
    if path.is_dir():
        return True
    reader = {".npy": _npy_axes, ".npz": _npz_axes}.get(path.suffix.lower())
    if reader is None or not path.is_file():
        return False
    try:
        return reader(path) in (3, 4)
    except (OSError, ValueError, zipfile.BadZipFile):
        return False  # reading it gives the error


def may_be_signals(path: str | Path) -> bool:
    """Whether a .npy file holds rows of many real numbers that change little from one to the next:
    signals over time, or the columns of a table."""
    path = Path(path)
    if path.suffix.lower() != ".npy" or not path.is_file():
        return False
    import numpy as np

    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False  # reading it gives the error
    if array.ndim != 2 or array.shape[1] < LEAST_SAMPLES or array.dtype.kind != "f":
        return False
    rows = np.asarray(array[:ROWS], dtype=np.float64)
    rows = rows[np.isfinite(rows).all(1)]
    centred = rows - rows.mean(1, keepdims=True) if len(rows) else rows
    scale = (centred**2).sum()
    return bool(scale > 0 and (centred[:, 1:] * centred[:, :-1]).sum() > SMOOTH * scale)


def _npy_axes(path: Path) -> int:
    import numpy as np

    return int(np.load(path, mmap_mode="r", allow_pickle=False).ndim)


def _npz_axes(path: Path) -> int:
    """The number of axes of the first array, by its header: compressed values are not read."""
    import numpy as np

    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        return len(read(file)[0])
