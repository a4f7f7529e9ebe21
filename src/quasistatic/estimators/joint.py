"""What the classifier and the regressor share: one law of the columns of X and of y."""

__all__ = ["JointEstimator", "require_known"]

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from .._utils import files
from .._utils.validation import unmasked
from ..distributions.mixtures import Mixture, SharedDraws
from ..distributions.mixtures.fitting import completed_for_learning, integrates_holes, stacked
from ..spaces import Table
from ..spaces.columns import AtomColumn
from ..spaces.frames import Frame, Series
from ..spaces.inference import infer_column
from .base import TableEstimator
from .closed_form import encoded
from .fitted_law import FittedLaw, law_of
from .table_columns import in_spaces, table_of

KEPT = "joint.json"
"""The file of what an estimator keeps besides its model."""

AT_ONCE = 2000
"""Rows whose laws are computed at once."""


class JointEstimator(TableEstimator):
    """An estimator whose model is one law of the columns of X and of the target y, in closed form.
    A missing value of X is integrated out."""

    steps: int | None = 0
    minutes: float | None = None
    width: int | None = 8
    validation: float = 0.15
    space: Any = None
    verbose: bool = False
    identity: Any = None

    target_: str

    def planned(self, X: Any) -> str:
        return "one law of X and y in closed form"

    def save(self, path: str | Path) -> None:
        super().save(path)
        files.write_text(Path(path) / KEPT, json.dumps(self._kept(), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        made = super().load(path)
        try:
            kept = json.loads((Path(path) / KEPT).read_text())
            made.target_ = kept["target"]
            made._restore(kept)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{Path(path) / KEPT} is missing or damaged: {error!r}") from None
        made.n_features_in_ -= 1
        return made

    def _kept(self) -> dict[str, Any]:
        """What is kept besides the model, as JSON values."""
        return {"target": self.target_}

    def _restore(self, kept: Mapping[str, Any]) -> None:
        """Takes what :meth:`_kept` gave."""

    def _joint(self, X: Any, y: np.ndarray, kind: str) -> tuple[list[Table], np.ndarray]:
        """Tables of the columns of X and y, and their rows (N, C + 1), y last."""
        frame = self._frame(X, reset=True)
        check_consistent_length(y, frame.columns[0].missing)
        frame = self._modelled(frame)
        names = [column.name for column in frame.columns]
        self.target_ = "y"
        while self.target_ in names:
            self.target_ += "_"
        target = Series(self.target_, "float64", numbers=y.astype(np.float64))
        joint = Frame(frame.source, (*frame.columns, target))
        types = {c.name: _number_type(c) for c in frame.columns if _is_number(c)}

        def read(own: Mapping[str, str]) -> tuple[Table, np.ndarray]:
            table = table_of(joint, {**own, **(self.types or {}), self.target_: kind}, None)
            return table, table.read(joint).numpy()

        table, rows = read(types)
        if not integrates_holes(*encoded(rows, table)):
            # If that is due to atoms, the values beneath them would have to be drawn, which takes
            # long and adds noise.
            plain = dict.fromkeys(types, "numeric")
            others, numbers = read(plain)
            if integrates_holes(*encoded(numbers, others)):
                table, rows, types = others, numbers, plain
        return in_spaces(table, rows, {**types, **(self.types or {})}, quantiles=False), rows

    def _filled(self, table: Table, rows: np.ndarray, seed: int) -> tuple[Tensor, tuple[int, ...]]:
        """x_0 of rows without holes, which are drawn, and the sizes of the class variables."""
        x_0, fits = encoded(rows, table)
        sizes = tuple(size for block in table.blocks for size in block.sizes)
        x_0 = completed_for_learning(x_0, fits, seed)
        if x_0.isnan().any():
            draws = SharedDraws(torch.Generator().manual_seed(seed))
            x_0 = stacked(x_0, fits, seed).law.complete(x_0, 1, draws)[:, 0]
        return x_0, sizes

    def _pieces(self, X: Any) -> Iterator[Tensor]:
        """x_0 of the rows of X, without y, some rows at a time."""
        check_is_fitted(self)
        frame = self._frame(X)
        names = [column.name for column in self.table_.columns if column.name != self.target_]
        own = [column.name for column in frame.columns]
        if not set(names) <= set(own):
            if len(own) != len(names):
                missing = [name for name in names if name not in own]
                raise ValueError(
                    f"the data have no column {missing[0]!r}, which the model was fitted with: "
                    f"they need the columns {', '.join(map(repr, names))}"
                )
            frame = frame.named(names)
        y = Series(self.target_, "float64", numbers=np.full(frame.rows, np.nan))
        whole = self.table_.read_with_unknowns(Frame(frame.source, (*frame.columns, y)))
        rows = torch.where(whole.isinf(), torch.nan, whole)
        for piece in torch.split(rows, AT_ONCE):
            yield self.table_.encode(piece)

    @property
    def _law(self) -> Mixture:
        assert isinstance(self.fitted_, FittedLaw)  # as it was fitted
        return law_of(self.fitted_)


def _number_type(series: Series) -> str:
    """Numbers are real, unless some of them are repeated exactly."""
    return "atoms" if isinstance(infer_column(series, "atoms"), AtomColumn) else "numeric"


def _is_number(series: Series) -> bool:
    """Whether a column is one of more than two numbers."""
    if series.numbers is None or series.is_category:
        return False
    return len(np.unique(series.numbers[~series.missing])) > 2


def require_known(y: Any, what: str) -> None:
    """Refuses a target with missing values: NaN, None or what pandas has for one.

    Args:
        y: the target of each row.
        what: its values, for the message.

    Raises:
        ValueError: if one is missing: which, and what to do.
    """
    array = np.asarray(y, dtype=object) if hasattr(y, "isna") else np.asarray(unmasked(y))
    if array.dtype.kind not in "fO" or array.ndim > 2:
        return
    missing = np.array([_is_missing(each) for each in array.ravel()], bool)
    if missing.any():
        raise ValueError(
            f"Input y contains NaN: {int(missing.sum())} of {len(missing)} {what} are missing, the "
            f"first in row {int(missing.argmax())}. Drop such rows from X and y; a row without its "
            "target teaches nothing about p(y | x)"
        )


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)  # NaN is not equal to itself
    except (TypeError, ValueError):  # pandas.NA is neither equal nor unequal; others are arrays
        return not isinstance(value, np.ndarray | list)
