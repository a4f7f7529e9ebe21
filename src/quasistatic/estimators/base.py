"""What the estimators share: rows in, a model of them, and a folder that it is kept in."""

__all__ = ["Face"]

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils import files, serialization
from ..diffusion import KNOWN, Diffusion
from ..spaces import Table
from .column_kinds import mixed_table, numbers_described
from .columns import Columns, Layout, MixedColumns
from .fitted import Fitted, Plan, Story
from .levels import FittedLevels, fit_levels, levels_of, plan_levels
from .mixed import FittedTable, fit_table, plan_table
from .numeric import FittedMixture, fit_mixture, plan_mixture

FORMAT = 1
FITTED: dict[str, type[Fitted]] = {
    each.__name__: each for each in (FittedMixture, FittedLevels, FittedTable)
}


class Face(BaseEstimator):
    """An estimator of a table: of numbers (N, D), or of mixed columns."""

    steps: int | None
    minutes: float | None
    width: int | None
    validation: float
    space: Any
    types: Mapping[str, str] | None
    random_state: Any
    verbose: bool

    fitted_: Fitted
    columns_: Layout
    n_features_in_: int

    @property
    def model_(self) -> Diffusion:
        """The model, for whatever else is to be asked of it. It knows the varying columns."""
        return self.fitted_.model

    @property
    def story_(self) -> Story:
        """How it came to be."""
        return self.fitted_.story

    @property
    def table_(self) -> Table | None:
        """The :class:`Table` of mixed columns, by which rows are read; None of numbers."""
        return self.columns_.table

    @classmethod
    def of(cls, other: "Face", **parameters: Any) -> Self:
        """This kind of estimator on what another was fitted to: a density imputes as well."""
        check_is_fitted(other)
        made = cls(**parameters)
        made.fitted_, made.columns_ = other.fitted_, other.columns_
        made.n_features_in_ = other.n_features_in_
        if "feature_names_in_" in vars(other):
            made.feature_names_in_ = vars(other)["feature_names_in_"]
        return made

    def save(self, path: str | Path) -> None:
        """Writes the fitted estimator to a folder, as JSON and safetensors."""
        check_is_fitted(self)
        folder = Path(path)
        self.model_.save(folder)
        described = {
            "format": FORMAT,
            "is": type(self).__name__,
            "parameters": {k: serialization.describe(v) for k, v in self.get_params().items()},
            "columns": self.columns_.facts(),
            "names": [str(name) for name in getattr(self, "feature_names_in_", [])],
            "fitted": type(self.fitted_).__name__,
            "story": self.story_.facts(),
        }
        files.write_text(folder / "estimator.json", json.dumps(described, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator in a folder that :meth:`save` wrote. No pickle is read.

        Raises:
            FileNotFoundError: if the folder holds none.
            ValueError: if it is damaged, of another version, or of another estimator.
        """
        folder = Path(path)
        stored = _stored(folder / "estimator.json")
        if stored["is"] != cls.__name__:
            raise ValueError(
                f"{folder} holds a {stored['is']}, and not a {cls.__name__}: load it as that"
            )
        parameters = {k: serialization.build(v, KNOWN) for k, v in stored["parameters"].items()}
        made = cls(**parameters)
        kind, model = FITTED[stored["fitted"]], Diffusion.load(folder)
        made.fitted_ = kind(model, Story(**stored["story"]))
        made.columns_ = kind.layout(model, stored["columns"])
        made.n_features_in_ = made.columns_.count
        if stored["names"]:
            made.feature_names_in_ = np.array(stored["names"], dtype=object)
        return made

    def described(self, X: Any) -> list[tuple[str, str, str, str]]:
        """Of each column of a table that :meth:`fit` could take its name, what it is taken for,
        its values and the share that is missing, as text."""
        if mixed_table(X, self.types) is None:
            return numbers_described(X)
        return Table.infer(X, self.types).described()

    def planned(self, X: Any) -> str:
        """What :meth:`fit` would do with a table, in a sentence. A hole in numbers is NaN."""
        plan, table = self._plan(), mixed_table(X, self.types)
        if table is not None:
            varying = f"{table.dims} of {len(table.columns)} columns vary"
            return f"{varying}, mixed; {plan_table(len(X), plan, table)}"
        x = np.asarray(X, dtype=np.float64)
        columns = Columns.of(x, getattr(X, "columns", None))
        rows = columns.take(np.where(np.isnan(x), np.nanmin(x, 0), x))
        count = levels_of(rows) if plan.space is None else None
        how = plan_mixture(rows, plan) if count is None else plan_levels(plan, count)
        return f"{rows.shape[1]} of {x.shape[1]} columns vary; {how}"

    def numbers(self, X: Any) -> np.ndarray:
        """A table as :attr:`model_` has its rows, (N, D') in float64, NaN a hole.

        Raises:
            ValueError: if a row is not possible: a class that never was, or a column that was
                constant and is something else.
        """
        check_is_fitted(self)
        x = self._rows(X, strict=True)
        odd = np.argwhere(~self.columns_.possible(x))
        if len(odd):
            row, column = odd[0]
            name = getattr(self, "feature_names_in_", np.arange(x.shape[1]))[column]
            raise ValueError(
                f"column {name!s} holds {x[row, column]:g} in row {row}, and was constant when the "
                "model was fitted: leave that row out, or fit again with such rows"
            )
        return self.columns_.take(x)

    def rows(self, numbers: np.ndarray) -> Any:
        """The table that :meth:`numbers` has made numbers of: an array (N, D), or where columns are
        mixed a data frame."""
        check_is_fitted(self)
        return self.columns_.given(self.columns_.put(numbers))

    def _fit(self, x: np.ndarray, table: Table | None, minutes: float | None) -> None:
        """Fits checked rows (N, D), NaN a hole."""
        plan = self._plan(minutes)
        if table is not None:
            self.columns_, self.fitted_ = MixedColumns(table), fit_table(x, plan, table)
            return
        self.columns_ = columns = Columns.of(x, vars(self).get("feature_names_in_"))
        rows = columns.take(columns.completed(x, plan.seed))
        count = levels_of(rows) if plan.space is None else None
        self.fitted_ = fit_mixture(rows, plan) if count is None else fit_levels(rows, plan, count)

    def _plan(self, minutes: float | None = None) -> Plan:
        return Plan(
            self.steps,
            self.minutes if minutes is None else minutes,
            self.width,
            self.validation,
            self.space,
            self._seed(self.random_state),
            bool(self.verbose),
        )

    def _read(self, X: Any) -> tuple[np.ndarray, Table | None]:
        """A table to be fitted, as rows (N, D) in float64, and as a table if it is mixed."""
        table = mixed_table(X, self.types)
        if table is None:
            return self._numbers(X, reset=True), None
        rows = table.read(X).numpy()
        if len(rows) < 2:
            raise ValueError("a table of 1 row cannot be fitted: a minimum of 2 is required")
        self.n_features_in_ = len(table.columns)
        self.feature_names_in_ = np.array([each.name for each in table.columns], dtype=object)
        return rows, table

    def _rows(self, X: Any, strict: bool = False) -> np.ndarray:
        """A table of any kind as (N, D) in float64, NaN a hole. What mixed columns cannot hold is
        infinity, or an error if that is `strict`."""
        table = self.columns_.table
        if table is None:
            return self._numbers(X)
        return (table.read(X) if strict else table.read_with_unknowns(X)).numpy()

    def _numbers(self, X: Any, reset: bool = False) -> np.ndarray:
        return validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float64,
            ensure_min_samples=2 if reset else 1,
            ensure_all_finite="allow-nan",
        )

    def _log_prob(self, x: np.ndarray, evaluations: int) -> np.ndarray:
        """log p of what is there of checked rows, with shape (N,), in nats; minus infinity where a
        row is not possible."""
        seed = self._seed(self.random_state)
        found = self.fitted_.log_prob(self.columns_.take(x), evaluations, seed)
        return np.where(self.columns_.agree(x), found, -np.inf)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @staticmethod
    def _seed(random_state: Any) -> int:
        if isinstance(random_state, int | np.integer):
            return int(random_state)
        return int(check_random_state(random_state).randint(2**31 - 1))


def _stored(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: it is not an estimator's folder")
    try:
        stored = json.loads(path.read_text())
        version = stored["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): restore it or fit again") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}, and this version of quasistatic reads {FORMAT}: use "
            "the version that wrote it, or fit again"
        )
    return stored
