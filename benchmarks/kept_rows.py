"""What each method gave each test row, kept in build/rows/, so that a method can be run alone and
still be compared with the others row by row."""

__all__ = ["KeptRows", "paired"]

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "build" / "rows"


@dataclass(frozen=True)
class KeptRows:
    """Answers for the rows of a table.

    Args:
        benchmark, table: whose they are.
        split: the seed of the split; answers of another split are not read.
    """

    benchmark: str
    table: str
    split: int

    @property
    def _folder(self) -> Path:
        return FOLDER / self.benchmark / f"{self.table}-{self.split}".replace(" ", "_")

    def put(self, method: str, rows: Mapping[str, np.ndarray], facts: Mapping[str, object]) -> None:
        """Keeps arrays over rows, and what is told of the whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = method.replace(" ", "_").replace(",", "")
        np.savez(self._folder / f"{name}.npz", **dict(rows))
        (self._folder / f"{name}.json").write_text(json.dumps({"method": method, **facts}))

    def get(self) -> dict[str, tuple[dict[str, np.ndarray], dict]]:
        """For each method that was run: its arrays over rows, and its facts."""
        found = {}
        for path in sorted(self._folder.glob("*.json")):
            facts = json.loads(path.read_text())
            with np.load(path.with_suffix(".npz")) as rows:
                found[facts.pop("method")] = dict(rows), facts
        return found


def paired(difference: np.ndarray) -> dict[str, float]:
    """The mean of a difference between two methods on the same rows, and its standard error."""
    error = difference.std(ddof=1) / len(difference) ** 0.5
    return {"nats": float(difference.mean()), "stderr": float(error)}
