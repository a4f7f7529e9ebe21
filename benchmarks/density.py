"""Densities of small tables: held-out log-likelihood and fit time, beside a Gaussian, a Gaussian
mixture, a kernel density and two normalizing flows, same split, same run.

    python benchmarks/density.py [--tables wine diabetes ...]
    python benchmarks/density.py --grow [--rows 1000 10000 ...] [--minutes 2]

scikit-learn's breast cancer, wine, diabetes without its binary column, and digits, standardised by
the training rows. The 20 % of test rows are scored once, by settings that the other 80 % decided:
mixtures by 15 % of them and then fitted to all, kernel densities by cross-validation, flows stopped
by the 15 % and then trained anew on all of them for as many gradient steps; quasistatic gets all of
them and chooses for itself. As it may bend each column by a power transform, so may a mixture:
scikit-learn's PowerTransformer (Yeo-Johnson), with the Jacobian in the density. Digits are whole
numbers: all methods see them spread evenly over their cells, by the same draw, and quasistatic also
as they are; both bound the log-probability from below, and come in bits a pixel besides. Fit times
are CPU seconds on one thread, which other work on the machine does not change much.

`--grow` fits a table of ten columns at 1000 to 1 000 000 rows, each in a process of its own, and
tells time and peak memory. Keeps all of it in benchmarks/results/density.json.
"""

import argparse
import copy
import json
import math
import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from growing import each_alone
from scipy.stats import yeojohnson
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import PowerTransformer

import quasistatic as qs

RESULTS = Path(__file__).parent / "results" / "density.json"
TABLES = ["breast_cancer", "wine", "diabetes", "digits"]
Density = Callable[[np.ndarray], np.ndarray]
"""Rows (N, D) to log-densities (N,), in nats."""


@dataclass(frozen=True)
class Task:
    """Standardised rows in three parts, and the logarithm of what they were divided by."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    log_scale: float

    @property
    def both(self) -> np.ndarray:
        return np.concatenate([self.train, self.valid])

    @classmethod
    def of(cls, x: np.ndarray) -> "Task":
        parts = qs.data.split(x, valid=0.15, test=0.2)
        shift, scale = parts.train.mean(0), parts.train.std(0)
        rows = [(part - shift) / scale for part in (parts.train, parts.valid, parts.test)]
        return cls(*rows, float(np.log(scale).sum()))


def table(name: str) -> np.ndarray:
    x = getattr(datasets, f"load_{name}")().data.astype(np.float64)
    if name == "diabetes":
        return np.delete(x, 1, 1)  # sex, which is binary
    return x + np.random.default_rng(0).random(x.shape) if name == "digits" else x


def gaussian(task: Task) -> tuple[Density, str]:
    one = GaussianMixture(1, covariance_type="full", reg_covar=1e-6).fit(task.both)
    return one.score_samples, ""


def bent_mixture(task: Task) -> tuple[Density, str]:
    """A mixture of columns that a power transform has bent, as a density of the columns."""

    def bent_by(rows: np.ndarray) -> tuple[PowerTransformer, Callable[[np.ndarray], np.ndarray]]:
        power = PowerTransformer("yeo-johnson", standardize=True).fit(rows)
        with np.errstate(all="ignore"):
            # Where a column's exponent is extreme, its values all but meet: it is left as it is.
            flat = ~(power.transform(rows).std(0) > 0.5)
        power.lambdas_[flat] = 1.0
        power._scaler.fit(_yeo_johnson(rows, power.lambdas_))
        slope = power.lambdas_ - 1

        def log_volume(x: np.ndarray) -> np.ndarray:
            each = slope * np.sign(x) * np.log1p(np.abs(x))
            return (each - np.log(power._scaler.scale_)).sum(1)

        return power, log_volume

    power, log_volume = bent_by(task.train)
    inner = Task(power.transform(task.train), power.transform(task.valid), task.test[:0], 0.0)
    _, setting = mixture(inner)
    kind, k, floor = setting.replace(", floor", "").split()
    power, log_volume = bent_by(task.both)
    made = GaussianMixture(int(k), covariance_type=kind, reg_covar=float(floor), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        made.fit(power.transform(task.both))
    return lambda x: made.score_samples(power.transform(x)) + log_volume(x), setting


def _yeo_johnson(x: np.ndarray, powers: np.ndarray) -> np.ndarray:
    columns = [yeojohnson(column, power) for column, power in zip(x.T, powers, strict=True)]
    return np.stack(columns, 1)


def mixture(task: Task) -> tuple[Density, str]:
    """Components, covariances and the floor of variances by validation rows."""
    grid = [
        (kind, k, floor)
        for kind in ("full", "tied", "diag")
        for k in (1, 2, 3, 5, 8, 13, 20, 32)
        for floor in (1e-4, 1e-3, 1e-2, 1e-1)
        if k * 5 <= len(task.train)
    ]
    if task.train.shape[1] > 50:  # to be done in time
        grid = [each for each in grid if each[1] in (1, 3, 8, 20, 32) and each[2] > 1e-3]

    def fitted(rows: np.ndarray, kind: str, k: int, floor: float) -> GaussianMixture:
        made = GaussianMixture(k, covariance_type=kind, reg_covar=floor, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return made.fit(rows)

    best = max(grid, key=lambda each: fitted(task.train, *each).score(task.valid))
    return fitted(task.both, *best).score_samples, f"{best[0]} {best[1]}, floor {best[2]:g}"


def kernel_density(task: Task, folds: int = 10) -> tuple[Density, str]:
    """The bandwidth by cross-validation. Sums are taken exactly: far from all rows, in many
    dimensions, those of scikit-learn's trees come out too large."""
    x, grid = torch.from_numpy(task.both), np.geomspace(0.1, 2.0, 25)
    fold = torch.from_numpy(np.random.default_rng(0).permutation(len(x)) % folds)

    def log_p(rows: torch.Tensor, centres: torch.Tensor, width: float) -> torch.Tensor:
        square = torch.cdist(rows, centres) ** 2 / (2 * width**2)
        volume = x.shape[1] / 2 * math.log(2 * math.pi * width**2) + math.log(len(centres))
        return (-square).logsumexp(1) - volume

    def score(width: float) -> float:
        out = [log_p(x[fold == k], x[fold != k], width) for k in range(folds)]
        return torch.cat(out).mean().item()

    best = max(grid, key=score)
    return lambda rows: log_p(torch.from_numpy(rows), x, best).numpy(), f"bandwidth {best:.2f}"


def flow(task: Task, make: Callable[[int], torch.nn.Module]) -> tuple[Density, str]:
    """Adam until 30 epochs bring nothing on the validation rows; then anew on all rows, with as
    many gradient steps as the best weights had taken."""

    def trained(rows: np.ndarray, steps: int | None) -> tuple[torch.nn.Module, int]:
        """A flow of rows, by a number of steps or by the validation rows; and its steps."""
        torch.manual_seed(0)
        model = make(rows.shape[1])
        train, valid = (torch.from_numpy(x).float() for x in (rows, task.valid))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
        best, kept, reached, waited, step = math.inf, model.state_dict(), 0, 0, 0
        most = 1000 * -(-len(train) // 128) if steps is None else steps
        while waited < 30 and step < most:
            for batch in torch.randperm(len(train)).split(128):
                if step == most:
                    break
                loss = -model().log_prob(train[batch]).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                step += 1
            if steps is None:
                with torch.no_grad():
                    score = -model().log_prob(valid).mean().item()
                waited += 1
                if score < best:
                    best, kept = score, copy.deepcopy(model.state_dict())
                    reached, waited = step, 0
        if steps is None:
            model.load_state_dict(kept)
        return model, reached

    _, steps = trained(task.train, None)
    model, _ = trained(task.both, max(1, steps))

    @torch.no_grad()
    def log_p(rows: np.ndarray) -> np.ndarray:
        return model().log_prob(torch.from_numpy(rows).float()).double().numpy()

    return log_p, f"{steps} steps"


def masked_autoregressive(task: Task) -> tuple[Density, str]:
    import zuko

    return flow(task, lambda dims: zuko.flows.MAF(dims, transforms=5, hidden_features=(64, 64)))


def spline(task: Task) -> tuple[Density, str]:
    import zuko

    return flow(task, lambda dims: zuko.flows.NSF(dims, transforms=3, hidden_features=(64, 64)))


def ours(task: Task) -> tuple[Density, str]:
    """Without atoms: probabilities of repeated values do not compare with densities."""
    numeric = dict.fromkeys(map(str, range(task.both.shape[1])), "numeric")
    density = qs.DiffusionDensity(types=numeric).fit(task.both)
    space, summary = type(density.model_.space).__name__, density.summary_
    return density.score_samples, f"{space}, {summary.steps} steps"


METHODS = {
    "Gaussian": gaussian,
    "Gaussian mixture": mixture,
    "power transform, mixture": bent_mixture,
    "kernel density": kernel_density,
    "MAF": masked_autoregressive,
    "NSF": spline,
    "quasistatic": ours,
}


def told(nats: np.ndarray, seconds: float, setting: str) -> dict:
    error = nats.std(ddof=1) / len(nats) ** 0.5
    return {
        "nats": float(nats.mean()),
        "stderr": float(error),
        "seconds": seconds,
        "setting": setting,
    }


def paired(behind: np.ndarray) -> dict[str, float]:
    """By how many nats a row quasistatic is better, with the standard error of that difference."""
    return {
        "nats": float(behind.mean()),
        "stderr": float(behind.std(ddof=1) / len(behind) ** 0.5),
    }


def compare(name: str) -> dict[str, dict]:
    task = Task.of(table(name))
    dims, rows, nats = task.train.shape[1], {}, {}
    for method, fit in METHODS.items():
        started = time.process_time()
        density, setting = fit(task)
        seconds = time.process_time() - started
        nats[method] = density(task.test)
        rows[method] = told(nats[method], seconds, setting)
    for method, row in rows.items():
        row["behind"] = paired(nats["quasistatic"] - nats[method])
    if name == "digits":
        whole = qs.data.split(np.floor(table(name)), valid=0.15, test=0.2)
        started = time.process_time()
        density = qs.DiffusionDensity().fit(np.concatenate([whole.train, whole.valid]))
        seconds = time.process_time() - started
        masses = density.score_samples(whole.test) + task.log_scale
        setting = f"{density.summary_.steps} steps"
        rows["quasistatic, whole numbers"] = told(masses, seconds, setting)
        for row in rows.values():
            row["bits_per_dim"] = (task.log_scale - row["nats"]) / dims / math.log(2)
    return rows


def show(name: str, rows: dict[str, dict], test: int) -> None:
    print(f"\n{name}: {test} test rows")
    for method, row in rows.items():
        bits = f"{row['bits_per_dim']:8.3f} bits" if "bits_per_dim" in row else ""
        if "behind" in row and method != "quasistatic":
            behind = row["behind"]
            bits += f"   quasistatic is {behind['nats']:+.2f} +- {behind['stderr']:.2f}"
        print(
            f"{method:<28}{row['nats']:9.2f} +- {row['stderr']:.2f} nats{bits}"
            f"{row['seconds']:9.1f} s   {row['setting']}",
            flush=True,
        )


def grown(rows: int, seed: int = 0) -> np.ndarray:
    """Ten columns that depend on each other in curves, modes and changing widths."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 10))
    z[:, 1] = np.sin(2 * z[:, 0]) + 0.2 * z[:, 1]
    z[:, 3] *= np.exp(z[:, 2] / 2)
    z[:, 4] += 3 * np.sign(z[:, 5])
    z[:, 6] = z[:, 0] * z[:, 2] + 0.3 * z[:, 6]
    z[:, 8] = np.hypot(z[:, 7], z[:, 9]) + 0.1 * z[:, 8]
    return z


def grow_one(rows: int, minutes: float | None) -> dict:
    """One fit, in this process."""
    x, new = grown(rows), grown(2000, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    started = time.process_time()
    density = qs.DiffusionDensity(minutes=minutes).fit(x)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    nats = density.score_samples(new)
    start = density.score(new) - density.summary_.gain
    made = {"rows": rows, "seconds": seconds, "peak_mib": peak, "before_mib": before}
    made |= {"table_mib": x.nbytes / 2**20, "steps": density.summary_.steps, "start": start}
    return made | {"nats": float(nats.mean()), "stderr": float(nats.std() / len(nats) ** 0.5)}


def grow(sizes: list[int], minutes: float | None) -> list[dict]:
    made = []
    for row in each_alone(__file__, sizes, minutes):
        made.append(row)
        print(
            f"{row['rows']:>9} rows{row['seconds']:8.1f} s{row['steps']:6} steps"
            f"{row['peak_mib'] - row['before_mib']:8.0f} MiB beyond {row['before_mib']:.0f} (the "
            f"table has {row['table_mib']:.0f}){row['nats']:9.3f} +- {row['stderr']:.3f} nats",
            flush=True,
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--grow-one", type=int)
    parser.add_argument("--rows", nargs="+", type=int, default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--minutes", type=float)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.grow_one:
        print(json.dumps(grow_one(asked.grow_one, asked.minutes)))
        return
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if asked.grow:
        kept["grow"] = grow(asked.rows, asked.minutes)
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
        return
    for name in asked.tables:
        kept[name] = compare(name)
        show(name, kept[name], round(0.2 * len(table(name))))
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
