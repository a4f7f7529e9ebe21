"""Classes and numbers of table rows: the joint law beside scikit-learn's predictors.

    python benchmarks/predict.py [--sets wine,diabetes] [--folds 5] [--missing 0.3]

Each method is fitted to the same rows of each fold and scored on the same others: log-loss of
classes, CRPS of numbers (from 19 quantiles). `diff` is the paired difference to the joint law over
test rows with its standard error: positive where the joint law is better. With `missing`, that
share of the test values is hidden; methods that need whole rows get them filled by the training
means, and gradient boosting takes holes as they are.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from mixed_tables import cars, weather
from palmerpenguins import load_penguins
from sklearn import datasets, ensemble, linear_model
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import quasistatic as qs

LEVELS = np.arange(1, 20) / 20
LEAST = 1e-15


def friedman(rows: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    return datasets.make_friedman1(rows, 10, noise=1.0, random_state=0)


def rings(rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Four classes, each of three clusters in ten dimensions."""
    return datasets.make_classification(
        rows,
        10,
        n_informative=6,
        n_classes=4,
        n_clusters_per_class=3,
        class_sep=1.5,
        random_state=0,
    )


def target_of(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The other columns, texts as categories, and the target of the rows that have one."""
    kept = frame[frame[name].notna()].reset_index(drop=True)
    columns = kept.drop(columns=name)
    for each in columns.select_dtypes(["object", "bool"]):
        columns[each] = columns[each].astype("category")
    return columns, kept[name].to_numpy()


CLASSES = {
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "clusters": rings,
    "penguins": lambda: target_of(load_penguins(), "species"),
    "penguins' sex": lambda: target_of(load_penguins(), "sex"),
    "weather": lambda: target_of(weather(), "weather"),
}
NUMBERS = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman": lambda: friedman(),
    "cars": lambda: target_of(cars(), "Miles_per_Gallon"),
}


def numbers_of() -> object:
    """Whole rows of numbers: means for missing numbers, and one-hot classes."""
    return make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )


def filled(model: object) -> object:
    return make_pipeline(numbers_of(), model)


def classifiers() -> dict[str, object]:
    return {
        "joint law": qs.DiffusionClassifier(),
        "logistic": filled(linear_model.LogisticRegression(max_iter=2000)),
        "random forest": filled(ensemble.RandomForestClassifier(300, random_state=0)),
        "boosting": ensemble.HistGradientBoostingClassifier(
            categorical_features="from_dtype", random_state=0
        ),
    }


def log_losses(model, train, test, hidden) -> tuple[np.ndarray, np.ndarray, float]:
    begun = time.process_time()
    model.fit(*train)
    seconds = time.process_time() - begun
    place = np.searchsorted(model.classes_, test[1])
    rows = np.arange(len(place))
    nats = [-np.log(model.predict_proba(x)[rows, place].clip(LEAST)) for x in (test[0], hidden)]
    return nats[0], nats[1], seconds


class Normal:
    """A regressor whose law is normal, with the deviation of its errors on a fifth of the rows."""

    def __init__(self, model: object) -> None:
        self.model = model

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        kept = np.random.default_rng(0).random(len(y)) < 0.8
        here, others = x.loc[kept], x.loc[~kept]
        self.spread = np.std(y[~kept] - self.model.fit(here, y[kept]).predict(others))
        self.model.fit(x, y)

    def predict_quantiles(self, x: np.ndarray, levels: np.ndarray) -> np.ndarray:
        from scipy.special import ndtri

        return self.model.predict(x)[:, None] + self.spread * ndtri(levels)


class Forest:
    """The quantiles of the trees' leaves, approximated by those of the trees' predictions and the
    spread of the errors out of bag."""

    def __init__(self) -> None:
        self.model = ensemble.RandomForestRegressor(300, oob_score=True, random_state=0)
        self.fill = numbers_of()

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        x = self.fill.fit_transform(x)
        self.model.fit(x, y)
        self.errors = np.quantile(y - self.model.oob_prediction_, LEVELS)

    def predict_quantiles(self, x: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return self.model.predict(self.fill.transform(x))[:, None] + self.errors


class Boosting:
    """One gradient boosting by the pinball loss for each quantile."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        make = ensemble.HistGradientBoostingRegressor
        self.models = [
            make(
                loss="quantile", quantile=level, categorical_features="from_dtype", random_state=0
            ).fit(x, y)
            for level in LEVELS
        ]

    def predict_quantiles(self, x: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return np.sort(np.stack([model.predict(x) for model in self.models], 1), 1)


def regressors() -> dict[str, object]:
    return {
        "joint law": qs.DiffusionRegressor(),
        "ridge, normal errors": Normal(filled(linear_model.RidgeCV())),
        "random forest": Forest(),
        "quantile boosting": Boosting(),
    }


def crps(model, train, test, hidden) -> tuple[np.ndarray, np.ndarray, float]:
    begun = time.process_time()
    model.fit(*train)
    seconds = time.process_time() - begun
    found = []
    for x in (test[0], hidden):
        off = test[1][:, None] - model.predict_quantiles(x, LEVELS)
        pinball = np.maximum(LEVELS * off, (LEVELS - 1) * off)
        found.append(2 * pinball.mean(1) / np.std(train[1]))
    return found[0], found[1], seconds


def compared(name: str, load, make, score, splitter, missing: float) -> None:
    x, y = load()
    if not isinstance(x, pd.DataFrame):
        x = pd.DataFrame(np.asarray(x, dtype=np.float64)).add_prefix("x")
    rng = np.random.default_rng(0)
    losses: dict[str, list] = {}
    for train, test in splitter.split(x, y):
        known, new = x.iloc[train].reset_index(drop=True), x.iloc[test].reset_index(drop=True)
        hidden = new.mask(rng.random(new.shape) < missing)
        for method, model in make().items():
            found = score(model, (known, y[train]), (new, y[test]), hidden)
            losses.setdefault(method, []).append(found)
    print(f"\n{name}: {x.shape[0]} rows, {x.shape[1]} columns")
    whole = {m: [np.concatenate([f[k] for f in fs]) for k in (0, 1)] for m, fs in losses.items()}
    for method, each in whole.items():
        seconds = np.mean([fold[2] for fold in losses[method]])
        cells = []
        for k in (0, 1):
            diff = each[k] - whole["joint law"][k]
            error = diff.std() / len(diff) ** 0.5
            cells.append(f"{each[k].mean():.4f} (diff {diff.mean():+.4f} ± {error:.4f})")
        print(f"  {method:22}{cells[0]:38}missing: {cells[1]:38}fit {seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", default=",".join([*CLASSES, *NUMBERS]))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--missing", type=float, default=0.3)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(f"log-loss of classes and CRPS of numbers over {asked.folds} folds; lower is better")
    for name in asked.sets.split(","):
        if name in CLASSES:
            parts = StratifiedKFold(asked.folds, shuffle=True, random_state=0)
            compared(name, CLASSES[name], classifiers, log_losses, parts, asked.missing)
        else:
            parts = KFold(asked.folds, shuffle=True, random_state=0)
            compared(name, NUMBERS[name], regressors, crps, parts, asked.missing)


if __name__ == "__main__":
    main()
