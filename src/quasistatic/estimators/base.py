"""The base class of the estimators: reading rows, fitting them, saving and loading."""

__all__ = ["DIGITS", "TableEstimator", "log_prob_of"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_feature_names,
    check_is_fitted,
    validate_data,
)

from .._utils import files, serialization
from .._utils.limits import MOST_COLUMNS, too_many_columns
from .._utils.row_errors import RowError
from .._utils.validation import instance_of, unmasked
from ..diffusion import KNOWN, Diffusion
from ..recipes.locations import naming_damage
from ..spaces import Space, Table
from ..spaces.columns import BinaryColumn, CategoryColumn
from ..spaces.frames import Frame
from ..spaces.inference import clocked, infer_columns
from ..spaces.roles import Roles
from ..spaces.table import shown
from .closed_form import FittedLaw, fit_law, plan_law, seconds_of_law
from .column_choice import with_useful_repeats
from .column_costs import columns_given_others
from .earlier_atoms import FittedAtoms
from .explanation import costs_with_unknowns
from .fitted import FitPlan, FitSummary, Fitted
from .levels import (
    FittedLevels,
    fit_levels,
    levels_of,
    plan_levels,
    seconds_of_levels,
    table_of_levels,
)
from .stored import restored_first_format
from .table_columns import as_user_has, in_spaces, is_frame, table_of, types_of

FORMAT = 2


NO_ATOMS = "no number is repeated far more often than those near it, and all lie on one lattice"
"""What the summary tells of a column in which atoms were asked for and none were found."""

DIGITS = 9
"""Decimals of a score. Further digits may depend on the other rows of a batch; without them, equal
rows have equal scores."""

UNSURE = 1e-12
"""How near to the middle between two neighbouring decimals a score is computed again from its row
alone, in nats and relative to a score above 10. Other rows of a batch change it by less."""

FITTED: dict[str, type[Fitted]] = {
    each.__name__: each for each in (FittedLaw, FittedLevels, FittedAtoms)
}
"""The kinds of models in files."""


class TableEstimator(BaseEstimator):
    """An estimator of a table of real numbers, whole numbers, bits, classes and holes."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "steps": [Interval(Integral, 0, None, closed="left"), None],
        "minutes": [Interval(Real, 0, None, closed="neither"), None],
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "validation": [Interval(Real, 0, 1, closed="neither")],
        "space": [Space, None],
        "types": [Mapping, None],
        "identity": ["array-like", None],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
        "device": [str],
    }

    steps: int | None
    minutes: float | None
    width: int | None
    validation: float
    space: Any
    types: Mapping[str, str] | None
    identity: Sequence[str] | None = None
    holes: Literal["model"] | None = None
    random_state: Any
    verbose: bool
    device: str = "auto"

    fitted_: Fitted
    n_features_in_: int

    @property
    def model_(self) -> Diffusion:
        """The fitted model, with all verbs of :class:`Diffusion`."""
        return self.fitted_.model

    @property
    def summary_(self) -> FitSummary:
        """How the model was fitted: its start, and what training gained."""
        return self.fitted_.summary

    @property
    def table_(self) -> Table:
        """The :class:`Table` that describes the columns and reads rows."""
        return self.fitted_.table

    @classmethod
    def of(cls, other: "TableEstimator", **parameters: Any) -> Self:
        """Makes an estimator of this class from the model of another one, without fitting again.

        Args:
            other: a fitted estimator, such as a :class:`DiffusionDensity`.
            parameters: of the new estimator, by name.

        Returns:
            A fitted estimator that shares the model.

        Raises:
            TypeError: if `other` is no estimator of this library.
            ValueError: if it is not fitted, or a parameter is out of its range.
        """
        instance_of("other", other, TableEstimator, "DiffusionDensity().fit(rows)")
        check_is_fitted(other)
        made = cls(**parameters)
        made._validate_params()
        made.fitted_, made.n_features_in_ = other.fitted_, other.n_features_in_
        if "feature_names_in_" in vars(other):
            made.feature_names_in_ = vars(other)["feature_names_in_"]
        return made

    def save(self, path: str | Path) -> None:
        """Writes the fitted estimator to a folder, as JSON and safetensors."""
        check_is_fitted(self)
        folder = Path(path)
        self.model_.save(folder)
        table = None if self.model_.space == self.table_ else serialization.describe(self.table_)
        described = {
            "format": FORMAT,
            "is": type(self).__name__,
            "parameters": {k: serialization.describe(v) for k, v in self.get_params().items()},
            "table": table,
            "names": [str(name) for name in getattr(self, "feature_names_in_", [])],
            "fitted": type(self.fitted_).__name__,
            "summary": self.summary_.facts(),
        }
        files.write_text(folder / "estimator.json", json.dumps(described, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Loads the estimator from a folder that :meth:`save` wrote. No pickle is read.

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
        with naming_damage(folder / "estimator.json", "restore a copy, or fit again"):
            parameters = {k: serialization.build(v, KNOWN) for k, v in stored["parameters"].items()}
            made = cls(**parameters)
            if stored["format"] == 1:
                made.fitted_ = restored_first_format(folder, stored)
            else:
                table = serialization.build(stored["table"], KNOWN)
                kind, summary = FITTED[stored["fitted"]], FitSummary(**stored["summary"])
                made.fitted_ = kind.restored(Diffusion.load(folder), table, summary)
            made.n_features_in_ = len(stored["names"] or made.table_.columns)
            if stored["names"]:
                made.feature_names_in_ = np.array(stored["names"], dtype=object)
        return made

    def described(self, X: Any) -> list[tuple[str, str, str, str]]:
        """Describes the columns of a table before it is fitted.

        Args:
            X: a table, as for :meth:`fit`.

        Returns:
            The name, the type, the values and the share of missing values of each column, as text.
        """
        frame = self._frame(X)
        roles = self._roles(frame)
        own = roles.select(frame)
        table = Table.infer(own, types_of(own, self.types))
        found = {row[0]: row for row in table.described()}
        for series in frame.columns:
            if series.name not in found:
                kind = "identity" if series.name in roles.identity else "left out"
                share = float(series.missing.mean())
                missing = f"{share:.1%}" if share else ""
                found[series.name] = (
                    series.name,
                    kind,
                    roles.reasons.get(series.name, "as asked"),
                    missing,
                )
        return [found[series.name] for series in frame.columns]

    def surveyed(self, X: Any) -> tuple[dict[str, tuple[str, str]], list[ValueError]]:
        """Describes the columns of a table, also where some of them cannot be modelled.

        Args:
            X: a table, as for :meth:`fit`.

        Returns:
            The type and the values of each column that can be modelled, as text, by name; and an
            error that says why for each other column.
        """
        frame = self._modelled(self._frame(X))
        columns, wrong = infer_columns(frame.columns, types_of(frame, self.types))
        return {column.name: shown(column) for column in columns}, wrong

    def estimated_seconds(self, X: Any) -> float:
        """About how long :meth:`fit` takes, found by fitting a few rows for a few steps."""
        frame, plan = self._modelled(self._frame(X)), self._plan()
        table, count = self._table(frame)
        x = table.read(frame).numpy()
        if count is not None:
            return seconds_of_levels(x, plan, table, count)
        tables = [table] if self.space is not None else in_spaces(table, x, self.types)
        return seconds_of_law(x, plan, tables)

    def planned(self, X: Any) -> str:
        """Describes in a sentence what :meth:`fit` would do with a table."""
        frame, plan = self._modelled(self._frame(X)), self._plan()
        table, count = self._table(frame)
        how = plan_law(frame.rows, plan, table) if count is None else plan_levels(plan, count)
        varying = sum(column.space is not None for column in table.columns)
        return f"{varying} of {len(table.columns)} columns vary; {how}"

    def numbers(self, X: Any) -> np.ndarray:
        """Converts a table to the numbers that :attr:`model_` takes.

        Args:
            X: a table with the columns of the fitted one.

        Returns:
            float64 of shape (N, C); NaN is a missing value.

        Raises:
            ValueError: if a value was impossible in the fitted table: a new class, or another value
                in a constant column.
        """
        check_is_fitted(self)
        x = self._rows(X, strict=True)
        return self.fitted_.rows_of_model(x)

    def numbers_with_unknowns(self, X: Any) -> np.ndarray:
        """Like :meth:`numbers` for the columns of the table, but a value that its column cannot
        hold is infinite, and no error.

        Args:
            X: a table with the columns of the fitted one.
        """
        check_is_fitted(self)
        return self._rows(X)

    def rows(self, numbers: np.ndarray) -> Any:
        """Converts numbers of :attr:`model_` back to a table; the inverse of :meth:`numbers`.

        Args:
            numbers: with shape (N, C).

        Returns:
            A table of the type that the estimator was fitted to.
        """
        check_is_fitted(self)
        return self.table_.write(torch.from_numpy(self.fitted_.rows_of_table(numbers)))

    def column_costs(self, X: Any) -> np.ndarray:
        """The cost of each column given the other observed columns of its row:
        -log p(value | the others), under the closed-form law, without a network's correction.

        Args:
            X: a table with the columns of the fitted one.

        Returns:
            Shape (N, C), in nats. 0 where a value is missing. Real columns have a density in their
            own unit, so that costs may be negative and are compared within a column. Infinite for
            a value that its column cannot hold.

        Raises:
            ValueError: if the model has no closed form: a table of small whole numbers.
        """
        check_is_fitted(self, "fitted_")
        x = self._rows(X)
        known = np.where(np.isinf(x), np.nan, x)
        given = columns_given_others(self.table_, self.fitted_.law_of_columns(), known)
        return np.round(costs_with_unknowns(given, x), DIGITS)

    def _fit(self, frame: Frame, rows: np.ndarray | None = None) -> None:
        """Fits the rows of a table, or those of an index; columns and classes are inferred from
        these alone."""
        plan, frame = self._plan(), self._modelled(frame)
        chosen = frame if rows is None else frame.take(rows)
        table, count = self._table(chosen)
        x = table.read(chosen).numpy()
        if count is not None:
            self.fitted_: Fitted = fit_levels(x, plan, table, count)
            return
        tables = [table]
        if self.space is None:
            table = with_useful_repeats(table, x, self.types, plan.seed)
            tables = in_spaces(table, x, self.types)
        fitted = fit_law(x, plan, tables)
        asked = [name for name, kind in (self.types or {}).items() if kind == "atoms"]
        none = {name: NO_ATOMS for name in asked if name not in fitted.summary.atoms}
        summary = replace(fitted.summary, atoms={**fitted.summary.atoms, **none})
        self.fitted_ = replace(fitted, summary=summary)

    def _roles(self, frame: Frame) -> Roles:
        """Which columns are modelled; the others identify rows, or are left out."""
        if len(frame.columns) > MOST_COLUMNS:
            raise too_many_columns("the table", len(frame.columns))
        if self.identity is None:
            return Roles.infer(frame, modelled=dict(self.types or {}))
        names = [each.name for each in frame.columns]
        return Roles.infer(frame, list(self.identity), modelled=names)

    def _modelled(self, frame: Frame) -> Frame:
        """The columns that are modelled."""
        return self._roles(frame).select(frame)

    def _table(self, frame: Frame) -> tuple[Table, int | None]:
        """The table of a frame, and how many levels its values have if it is one of small whole
        numbers alone."""
        columns = [each for each in frame.columns if not each.is_category and not each.is_temporal]
        numbers = {each.name: each.numbers for each in columns if each.numbers is not None}
        plain = self.space is None and not self.types and self.holes is None
        plain = plain and len(numbers) == len(frame.columns)
        if plain:
            rows = np.stack(list(numbers.values()), 1)
            varying = rows[:, (rows != rows[:1]).any(0)]
            count = levels_of(varying) if np.isfinite(rows).all() and varying.size else None
            if count is not None:
                names = [name for name, column in numbers.items() if len(np.unique(column)) > 1]
                return table_of_levels(frame, names, count), count
        return table_of(frame, self.types, self.space, holes=self.holes == "model"), None

    def _plan(self) -> FitPlan:
        return FitPlan(
            self.steps,
            self.minutes,
            self.width,
            self.validation,
            self.space,
            self._seed(self.random_state),
            bool(self.verbose),
            self.device,
        )

    def _frame(self, X: Any, reset: bool = False) -> Frame:
        """A table as named columns; what scikit-learn checks is checked."""
        X = X.detach().cpu() if isinstance(X, torch.Tensor) else unmasked(X)
        if not is_frame(X):
            return Frame.of(self._checked_array(X, reset))
        if not reset:
            return Frame.of(X)
        frame = Frame.of(X)
        if frame.rows < 2:
            raise ValueError("a table of 1 row cannot be fitted: a minimum of 2 is required")
        self.n_features_in_ = len(frame.columns)
        _check_feature_names(self, X, reset=True)
        if "feature_names_in_" not in vars(self) and Frame.has_names(X):
            self.feature_names_in_ = np.array([each.name for each in frame.columns], dtype=object)
        return frame

    def _checked_array(self, X: Any, reset: bool) -> np.ndarray:
        known = reset or "n_features_in_" in vars(self)
        kind = getattr(getattr(X, "dtype", None), "kind", "f")
        dtype = np.float64 if kind == "O" else "numeric"
        if not known:
            return np.asarray(X)
        checked = validate_data(
            self,
            X,
            reset=reset,
            dtype=dtype,
            ensure_min_samples=2 if reset else 1,
            ensure_all_finite="allow-nan",
        )
        return np.asarray(checked)

    def _rows(self, X: Any, strict: bool = False) -> np.ndarray:
        """A table as rows (N, C) in float64; NaN is a missing value. A value that its column cannot
        hold becomes infinity, or an error if `strict`."""
        frame = self._named(X)
        return (
            self.table_.read(frame) if strict else self.table_.read_with_unknowns(frame)
        ).numpy()

    def _rows_to_complete(self, X: Any) -> np.ndarray:
        """Rows (N, C) with their known values, also numbers that their column cannot hold. A class
        that the fitted table did not have is an error."""
        frame = self._named(X)
        x = self.table_.read_with_unknowns(frame).numpy()
        if not np.isinf(x).any():
            return x
        own = {series.name: series for series in frame.columns}
        for k, column in enumerate(self.table_.columns):
            odd, numbers = np.isinf(x[:, k]), own[column.name].numbers
            if odd.any() and (column.named or numbers is None):
                self.table_.read(frame)  # which says what is wrong
            elif odd.any() and numbers is not None:
                own_numbers = clocked(own[column.name], column.dtype).numbers
                assert own_numbers is not None  # as they were numbers before
                x[odd, k] = own_numbers[odd]
        return x

    def _named(self, X: Any) -> Frame:
        """The columns of X by the names of the fitted table. An array has them in its order."""
        X = unmasked(X)
        by_name = Frame.has_names(X)
        classes = any(isinstance(c, BinaryColumn | CategoryColumn) for c in self.table_.columns)
        if by_name and not classes:
            _check_feature_names(self, X, reset=False)  # as scikit-learn has it for numbers
        frame = self._frame(X)
        names = [column.name for column in self.table_.columns]
        own = [column.name for column in frame.columns]
        if (by_name and set(names) <= set(own)) or len(own) != len(names):
            return frame
        return frame if by_name and "feature_names_in_" in vars(self) else frame.named(names)

    def _as_user_has(self, numbers: np.ndarray, X: Any) -> Any:
        renamed = getattr(self, "_sklearn_output_config", {}).get("transform")
        fitted = list(getattr(self, "feature_names_in_", ()))
        return as_user_has(self.table_, numbers, unmasked(X), fitted if renamed else None)

    def _log_prob(self, x: np.ndarray, evaluations: int) -> np.ndarray:
        """:func:`log_prob_of` the fitted model."""
        return log_prob_of(self.fitted_, x, evaluations, self._seed(self.random_state))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @staticmethod
    def _seed(random_state: Any) -> int:
        if isinstance(random_state, int | np.integer):
            return int(random_state)
        return int(check_random_state(random_state).randint(2**31 - 1))


def log_prob_of(fitted: Fitted, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
    """log p of the observed values of rows (N, C), with shape (N,), in nats. Infinity is a value
    that its column cannot hold: a new class has the probability :attr:`CategoryColumn.unseen`. Any
    other impossible value gives minus infinity."""
    odd = np.isinf(x)
    unseen_of = np.array([getattr(column, "unseen", 0.0) for column in fitted.table.columns])
    # Other values of an impossible row are not scored: a row with holes can take long.
    possible = ~(odd & (unseen_of == 0)).any(1)
    found = np.full(len(x), -np.inf)
    if possible.any():
        rows = np.where(odd, np.nan, x)[possible]
        found[possible] = _settled(fitted, rows, evaluations, seed)
    if np.isnan(found).any():
        row = int(np.isnan(found).argmax())
        raise RowError(
            "the log-density is NaN",
            row,
            ": its values may be beyond what a float64 can square; rescale the table, or leave the "
            "row out",
        )
    with np.errstate(divide="ignore"):
        for k, unseen in enumerate(unseen_of):
            there = ~np.isnan(x[:, k]) & ~odd[:, k]
            found = found + np.where(odd[:, k], np.log(unseen), 0.0)
            found = found + np.where(there, np.log1p(-unseen), 0.0)
    return np.round(found, DIGITS)


def _settled(fitted: Fitted, rows: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
    """log p of rows (N, C), which rounds to the same decimals whatever rows are beside each."""
    found = fitted.log_prob(rows, evaluations, seed)
    scaled = found * 10.0**DIGITS
    with np.errstate(invalid="ignore"):
        off = np.abs(scaled - np.floor(scaled) - 0.5)
        unsure = off < UNSURE * 10.0**DIGITS * np.maximum(np.abs(found) / 10, 1.0)
    if len(rows) > 1:
        for row in np.flatnonzero(unsure):
            found[row] = fitted.log_prob(rows[row : row + 1].copy(), evaluations, seed)[0]
    return found


def _stored(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: it is not an estimator's folder")
    try:
        stored = json.loads(path.read_text())
        version = stored["format"]
        for name in ("is", "parameters", "names", "fitted"):
            stored[name]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): restore it or fit again") from None
    if version not in (1, FORMAT):
        raise ValueError(
            f"{path} has format {version}, and this version of quasistatic reads {FORMAT}: use "
            "the version that wrote it, or fit again"
        )
    return dict(stored)
