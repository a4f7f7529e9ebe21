"""Coverage of the intervals of the bound, on every kind of model.

    python benchmarks/coverage.py [--repeats 200] [--examples 100] [--models bits classes] [--even]

For Gaussian heads, levels, bits (a ring of six spins by enumeration, with the exact denoiser),
classes and a mixed table, at 4, 16, 64 and all of 100 evaluations: how often an interval
of 95 % holds the value of an example and the mean over the examples, how often the interval of the
mean lies above it, and the reported standard error over the true one, as root mean squares. The
other networks are wrong on purpose: coverage must not depend on a good model. `--even` shows an
even spread of the evaluations beside the default one. It takes about ten minutes on one core, and
keeps benchmarks/results/coverage.json; a row that is measured again replaces the old one.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

import quasistatic as qs
from quasistatic.diagnostics.interval_coverage import interval_coverage
from quasistatic.diagnostics.oracles import IsingOracle
from quasistatic.heads.variances import FixedLarge
from quasistatic.likelihood.neyman_allocation import Allocation
from quasistatic.likelihood.terms import count_terms
from quasistatic.spaces.columns import CategoryColumn, NumericColumn

STEPS = 100


class Wrong(nn.Module):
    """A network that is confident and wrong, by a fixed function of its input."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        each = torch.arange(1, self.outputs + 1).to(x)
        return 0.7 * torch.sin(each * (1 + x.sum(1, keepdim=True) - x)[..., None])


def table() -> qs.Model:
    line = NumericColumn("line", 0.0, "", (-1.0, 1.0), (-1.0, 1.0), -9.0, 9.0)
    kind = CategoryColumn("kind", 0.0, "", ("a", "b"), (0.5, 0.5))
    parts = (
        qs.GaussianKernel(qs.schedules.linear_log_snr(STEPS, 9, -7)),
        qs.CategoricalKernel(qs.schedules.erase_evenly(STEPS), (2,)),
    )
    head = qs.ProductHead((qs.Velocity(FixedLarge()), qs.Classes()))
    space = qs.Table((line, kind))
    return qs.Model(space, qs.ProductKernel(parts, (1, 2)), head, Wrong(1))


def models(n: int, rng: torch.Generator) -> dict[str, tuple[qs.Model, Tensor]]:
    gaussian = qs.GaussianKernel(qs.schedules.linear_log_snr(STEPS, 9, -7))
    erase = qs.schedules.erase_evenly(STEPS)
    ising = IsingOracle(6, 0.6, 0.1)
    normal = torch.randn(n, 3, generator=rng)
    mixed = torch.cat([normal[:, :1], torch.randint(2, (n, 1), generator=rng)], 1)
    three = (3, 3, 3, 3)
    velocity = qs.Velocity(FixedLarge())
    return {
        "Gaussian": (qs.Model(qs.Continuous(3), gaussian, velocity, Wrong(1)), normal),
        "levels": (
            qs.Model(qs.Quantized(3, 8, 1.5), gaussian, qs.Levels(), Wrong(8)),
            torch.randint(8, (n, 3), generator=rng),
        ),
        "bits": (qs.Model(**ising.parts(qs.BinomialKernel(erase))), ising.sample(n, rng)),
        "classes": (
            qs.Model(qs.OneHot(three), qs.CategoricalKernel(erase, three), qs.Classes(), Wrong(1)),
            torch.randint(3, (n, 4), generator=rng),
        ),
        "table": (table(), mixed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--models", nargs="+", default=[], help="by default all")
    parser.add_argument("--even", action="store_true", help="an even spread, too")
    parser.add_argument("--results", default=Path("benchmarks/results"), type=Path)
    asked = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    print(f"{asked.examples} examples, {asked.repeats} repeats, intervals of 95 %\n")
    print("| model | spread | evaluations | each | mean | above | error of each | of the mean |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    asked.results.mkdir(parents=True, exist_ok=True)
    path = asked.results / "coverage.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    every = models(asked.examples, torch.Generator().manual_seed(0))
    for name, (model, x) in every.items():
        spreads: dict[str, Allocation | None] = {"default": None}
        terms = count_terms(model)
        if asked.even:
            spreads["even"] = Allocation.even(terms)
        for evaluations in (4, 16, 64, terms) if name in (asked.models or every) else ():
            for spread, allocation in spreads.items():
                found = interval_coverage(
                    model, x, evaluations, asked.repeats, 0.95, 1, allocation, full_sums=100
                )
                row: dict[str, object] = {"model": name, "spread": spread} | asdict(found)
                rows = [old for old in rows if not _same(old, row)] + [row]
                path.write_text(json.dumps(rows, indent=1) + "\n")
                print(
                    f"| {name} | {spread} | {evaluations} | {found.each:.1%} | {found.mean:.1%} | "
                    f"{found.mean_above:.1%} | "
                    f"{found.each_ratio:.2f} | {found.mean_ratio:.2f} |",
                    flush=True,
                )


def _same(a: dict, b: dict) -> bool:
    return all(a[key] == b[key] for key in ("model", "spread", "evaluations"))


if __name__ == "__main__":
    main()
