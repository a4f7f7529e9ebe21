"""What the estimators share: rows in, a model of them, and a folder that it is kept in."""

__all__ = ["Face"]

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import config, files
from ..diffusion import KNOWN, Diffusion
from .columns import Columns
from .fitted import Fitted, Plan, Story
from .mixed import FittedMixture, fit_mixture, plan_mixture
from .whole import FittedLevels, fit_levels, levels_of, plan_levels

FORMAT = 1
FITTED: dict[str, type[Fitted]] = {each.__name__: each for each in (FittedMixture, FittedLevels)}


class Face(BaseEstimator):
    """An estimator of a table (N, D) of numbers."""

    steps: int | None
    minutes: float | None
    width: int | None
    validation: float
    space: Any
    random_state: Any
    verbose: bool

    fitted_: Fitted
    columns_: Columns
    n_features_in_: int

    @property
    def model_(self) -> Diffusion:
        """The model, for whatever else is to be asked of it. It knows the varying columns."""
        return self.fitted_.model

    @property
    def story_(self) -> Story:
        """How it came to be."""
        return self.fitted_.story

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
            "parameters": {k: config.describe(v) for k, v in self.get_params().items()},
            "columns": list(self.columns_.values),
            "names": [str(name) for name in getattr(self, "feature_names_in_", [])],
            "fitted": type(self.fitted_).__name__,
            "story": self.story_.facts(),
            "more": self._more(),
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
        parameters = {k: config.build(v, KNOWN) for k, v in stored["parameters"].items()}
        made = cls(**parameters)
        made.columns_ = Columns(tuple(stored["columns"]))
        made.n_features_in_ = len(made.columns_.values)
        if stored["names"]:
            made.feature_names_in_ = np.array(stored["names"], dtype=object)
        kind = FITTED[stored["fitted"]]
        made.fitted_ = kind(Diffusion.load(folder), Story(**stored["story"]))
        made._take(stored["more"])
        return made

    def _more(self) -> dict[str, Any]:
        """What an estimator keeps besides, as JSON values."""
        return {}

    def _take(self, more: dict[str, Any]) -> None:
        """Takes up what :meth:`_more` gave."""

    def _fit(self, x: np.ndarray) -> None:
        """Fits checked rows (N, D) of finite numbers."""
        # One place for what a table may be: a space of mixed columns will be a third of these.
        self.columns_ = Columns.of(x)
        rows, plan = self.columns_.take(x), self._plan()
        count = levels_of(rows) if plan.space is None else None
        self.fitted_ = fit_mixture(rows, plan) if count is None else fit_levels(rows, plan, count)

    def planned(self, x: np.ndarray) -> str:
        """What :meth:`fit` would do with rows x (N, D), where NaN is a hole, in a sentence."""
        columns, plan = Columns.of(x), self._plan()
        rows = columns.take(np.where(np.isnan(x), np.nanmin(x, 0), x))
        count = levels_of(rows) if plan.space is None else None
        how = plan_mixture(rows, plan) if count is None else plan_levels(plan, count)
        return f"{rows.shape[1]} of {x.shape[1]} columns vary; {how}"

    def _plan(self) -> Plan:
        return Plan(
            self.steps,
            self.minutes,
            self.width,
            self.validation,
            self.space,
            self._seed(self.random_state),
            bool(self.verbose),
        )

    def _rows(self, X: Any, reset: bool = False, holes: bool = False) -> np.ndarray:
        """A table of any kind as (N, D) in float64, checked."""
        return validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float64,
            ensure_min_samples=2 if reset else 1,
            ensure_all_finite="allow-nan" if holes else True,
        )

    def _log_prob(self, x: np.ndarray, evaluations: int) -> np.ndarray:
        """log p of checked rows, with shape (N,), in nats; minus infinity where a column that was
        constant is something else."""
        seed = self._seed(self.random_state)
        found = self.fitted_.log_prob(self.columns_.take(x), evaluations, seed)
        return np.where(self.columns_.agree(x), found, -np.inf)

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
