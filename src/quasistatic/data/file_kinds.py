"""Which kind of data a path holds, by the headers of its files alone."""

__all__ = ["are_images"]

import zipfile
from pathlib import Path


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
