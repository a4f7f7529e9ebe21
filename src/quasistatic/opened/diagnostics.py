"""The verbs that examine a trained run: sandwich, grid, budget, check."""

__all__ = ["DiagnosticVerbs"]

import abc
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from .._utils.randomness import Rng
from ..diagnostics.entropy import entropy_budget
from ..diagnostics.identities import check
from ..reporting.answer import Answer, TextTable
from ..reporting.figures import entropy_budget as entropy_figure
from ..reporting.html import save_figure
from ..sampling import timesteps
from .trained import Data, TrainedModel


class DiagnosticVerbs(TrainedModel, abc.ABC):
    """The verbs sandwich, grid, budget and check of a trained run."""

    def sandwich(
        self, n: int = 64, *, paths: int = 1, times: int | None = None, rng: Rng = 0
    ) -> Answer:
        """Estimates log p of the model's own draws from below and from above.

        Args:
            n: how many examples to draw.
            paths: weighted paths for each draw.
            times: evenly spread time steps; by default all T.
            rng: a seed, a generator, or None for a random seed.
        """
        with self.run.threads():
            found = self.model.sandwich(n, paths, times, self._generator(rng))
        per_dim = found.dims * math.log(2)
        sides = (("lower", found.lower, -1), ("upper", found.upper, -1), ("gap", found.gap, 1))
        names = {"lower": "from below", "upper": "from above", "gap": "gap"}
        rows = [
            (
                names[name],
                f"{v.mean().item():.3f}",
                f"{found.stderr(v):.3f}",
                f"{sign * v.mean() / per_dim:.4f}",
            )
            for name, v, sign in sides
        ]
        title = f"log p of {n} draws, {found.evaluations} network evaluations each"
        facts = {name: v.mean().item() for name, v, _ in sides}
        return Answer(
            facts | {"gap_stderr": found.stderr()},
            [TextTable(title, ("", "nats", "s.e.", "bits per dimension"), rows)],
            found,
        )

    def grid(
        self,
        *,
        steps: Sequence[int] = (10, 25, 50, 100),
        data: Data | None = None,
        examples: int = 128,
        candidates: int = 128,
        rng: Rng = 0,
    ) -> Answer:
        """Finds the time steps along which the bound is best, and saves them for `path` of the
        verbs sample, score and complete.

        Args:
            steps: the lengths of the paths to save.
            data: examples to measure on; by default the run's own validation rows.
            examples: how many of them to use.
            candidates: evenly spread time steps that a path may visit.
            rng: a seed, a generator, or None for a random seed.
        """
        held_out = self._examples(data, "valid")[0][:examples]
        with self.run.threads():
            costs = timesteps.measure_costs(self.model, held_out, candidates, self._generator(rng))
        paths = {n: costs.path(n) for n in steps}
        per_dim = self.model.space.dims * math.log(2)
        rows = []
        for n, path in paths.items():
            even = costs.times[torch.linspace(0, len(costs.times) - 1, n).round().long()]
            bits = [costs.nats(times) / per_dim for times in (even, path)]
            some = " ".join(str(t) for t in path[:: max(1, n // 5)].tolist())
            rows.append((str(n), *(f"{each:.4f}" for each in bits), some))
        title = (
            f"bits per dimension of {len(held_out)} held-out examples along few of "
            f"{self.model.steps} time steps"
        )
        kept = self.run.keep_paths(paths)
        return Answer(
            {"grid": str(kept), "paths": {str(n): path.tolist() for n, path in paths.items()}},
            [
                TextTable(title, ("steps", "even times", "the path", "some of its times"), rows),
                f"wrote {kept}: for --path N of sample, score and complete",
            ],
        )

    def budget(
        self,
        *,
        data: Data | None = None,
        examples: int = 128,
        times: int | None = None,
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Compares SD15's bounds on the entropy of each reverse step (Eq. 24) with the model's own
        cross-entropy, and draws them.

        Args:
            data: examples to measure on; by default the run's own test rows.
            examples: how many of them to use.
            times: evenly spread time steps of the chain; by default all T.
            out: the figure to write; by default `entropy.png` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        x = self._examples(data, "test")[0][:examples]
        with self.run.threads():
            budget = entropy_budget(self.model, x, times, rng=self._generator(rng))
        facts = {"ceiling": budget.ceiling, "reached": budget.reached, "floor": budget.floor}
        names = ("upper limit of any model", "this model", "the stationary distribution alone")
        unit = math.log(2) * budget.dims
        rows = [
            (name, f"{nats:.3f}", f"{nats / unit:.4f}")
            for name, nats in zip(names, facts.values(), strict=True)
        ]
        path = Path(out or self.result("entropy.png"))
        save_figure(entropy_figure(budget), path)
        title = f"mean log-likelihood at time {int(budget.times[0])}, {len(x)} examples"
        return Answer(
            {"picture": str(path), **facts},
            [TextTable(title, ("", "nats an example", "bits a value"), rows), f"wrote {path}"],
            budget,
        )

    def check(self, *, data: Data | None = None, rng: Rng = 0) -> Answer:
        """Tests the identities that every model must satisfy.

        Args:
            data: examples to test on; by default the run's own test rows.
            rng: a seed, a generator, or None for a random seed.

        Returns:
            An answer whose fact `passed` says whether all identities hold.
        """
        with self.run.threads():
            report = check(self.model, self._examples(data, "test")[0], self._generator(rng))
        rows = {row.name: {"passed": row.passed, "error": row.error} for row in report.rows}
        return Answer({"passed": report.passed, "identities": rows}, [report], report)
