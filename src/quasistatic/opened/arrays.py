"""An opened model of arrays."""

__all__ = ["ArrayModel"]

from pathlib import Path
from typing import ClassVar

import numpy as np

from .arrays_io import load_array, save_array
from .coding import CodingVerbs
from .diagnostics import DiagnosticVerbs
from .distilling import DistillVerb
from .inference import InferenceVerbs
from .trained import Data


class ArrayModel(InferenceVerbs, CodingVerbs, DiagnosticVerbs, DistillVerb):
    """An opened model of arrays, which reads and writes .npy files."""

    kind: ClassVar[str] = "arrays"

    def read(self, data: Data, exact: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
        x = load_array(data)
        return x, tuple(map(str, range(len(x) if x.ndim else 0)))

    def write(self, path: Path, x: np.ndarray, names: tuple[str, ...] = ()) -> Path:
        return save_array(path, x)

    def _mask(self, mask: Data) -> tuple[np.ndarray, tuple[str, ...]]:
        return self.read(mask)
