"""The verbs that answer with the model's distribution: sample, score, complete, report."""

__all__ = ["InferenceVerbs"]

import abc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from .._utils.naming import counted
from .._utils.printing import clock
from .._utils.randomness import Rng
from ..likelihood import Elbo, Flow, FlowMapDensity, Importance, OverClasses, Score
from ..reporting.answer import Answer, TextTable
from ..reporting.html import Section
from ..sampling import (
    DDIM,
    SMC,
    Ancestral,
    DPMSolver,
    FlowMap,
    Guidance,
    Heun,
    Stepper,
    Times,
    UniPC,
)
from ..sampling.sampler import resolve_times
from ..spaces import Latent
from .arrays_io import save_array, write_scores
from .example_stream import ExampleStream, stamp
from .run_report import assess, sections
from .trained import Data, TrainedModel

TOGETHER = 64
"""Examples that are completed together: a stopped run repeats so many at most."""


@dataclass(frozen=True)
class _OfLatents:
    """Defaults of a completion through an autoencoder: each particle passes it at every time.

    Args:
        particles: of a set.
        times: that are visited.
        together: examples that are completed together.
        probe: particles by which the time is estimated.
    """

    particles: int = 8
    times: int = 50
    together: int = 1
    probe: int = 4


OF_LATENTS = _OfLatents()

EVIDENCE = ("log_evidence", "evidence_stderr", "effective")
"""What is known of the posterior of each example besides its draws."""

_UNITS = {"nats": "nats", "bits": "bits", "bits_per_dim": "bits per dimension"}


_STEPPERS: dict[str, Stepper] = {
    "ancestral": Ancestral(),
    "ddim": DDIM(),
    "dpm": DPMSolver(2),
    "unipc": UniPC(2),
    "heun": Heun(),
    "flow-map": FlowMap(),
}


class InferenceVerbs(TrainedModel, abc.ABC):
    """The verbs sample, score, complete and report of a trained run."""

    def sample(
        self,
        n: int = 16,
        *,
        stepper: Literal["ancestral", "ddim", "dpm", "unipc", "heun", "flow-map"] = "ancestral",
        steps: int | None = None,
        times: int | None = None,
        path: int | None = None,
        given: Sequence[str] = (),
        guidance: float | None = None,
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Draws examples from the model and writes them.

        Args:
            n: how many to draw.
            stepper: the algorithm of the steps, see :mod:`quasistatic.sampling.steppers`.
            steps: the number of time steps, spread as the stepper needs them; by default all T, or
                20 for a solver of the flow.
            times: evenly spread time steps to visit; by default all T.
            path: instead, the length of a path that :meth:`grid` saved.
            given: y of p(x | y), for a run with a condition: ["3"], or ["0,1,2"] in turn; see
                :func:`.read_given`.
            guidance: the weight of classifier-free guidance towards `given`, see :class:`Guidance`.
            out: where to write; by default `samples.npy` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        if n < 1:
            raise ValueError(f"--n is the number of examples to draw, 1 or more, got {n}")
        if steps is not None and (times is not None or path is not None):
            raise ValueError("--steps, --times and --path each choose the time steps: give one")
        chain: Times = steps
        if steps is None:
            listed = self._times(times, path)
            chain = self.model.times(listed) if isinstance(listed, int) else listed
        with self.run.threads(), self.display.progress("sample") as show:
            drawn = self.model.sample(
                n,
                chain,
                self._generator(rng),
                given=self._given(given, n),
                guidance=_guidance(guidance, given),
                stepper=_STEPPERS[stepper],
                callbacks=[show],
            )
        values = drawn.cpu().numpy()
        where = self.write(out or self.result("samples.npy"), values)
        return Answer(
            {"samples": str(where), "shape": list(values.shape)},
            [f"wrote {where}: {values.shape}"],
            values,
        )

    def score(
        self,
        data: Data | None = None,
        *,
        evaluations: int | Literal["all"] | None = None,
        stderr: float | None = None,
        method: Literal["bound", "importance", "flow", "flow-map", "classes"] = "bound",
        paths: int = 16,
        times: int | None = None,
        path: int | None = None,
        given: Sequence[str] = (),
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Estimates the log-likelihood of data, in nats and bits.

        Args:
            data: what to score; by default the run's own test rows, beside its baselines.
            evaluations: network evaluations for each example, 64 by default, or "all" for every
                time step. With `stderr`, the most that may be spent.
            stderr: the standard error of the mean to reach, in bits per dimension.
            method: "bound" from below, "importance" for a tighter bound by weighted paths, or
                "flow" for the probability flow, "flow-map" for the map of a distilled run, or
                "classes" for p(x) as the mixture of p(x | y) over the classes of a run with labels.
            paths: paths of importance weighting for each example.
            times: evenly spread time steps of the chain; by default all T.
            path: instead, the length of a path that :meth:`grid` saved.
            given: y of p(x | y), for a run with a condition: ["label"] for the labels of the run's
                own test rows; see :func:`.read_given`.
            out: where to write the score of each example, as .npy or .csv; by default nowhere.
            rng: a seed, a generator, or None for a random seed.
        """
        x, names = self._examples(data, "test")
        chain = self._times(times, path)
        budget: dict[str, Any] = {}
        if evaluations is not None:
            name = "evaluations" if stderr is None else "most"
            budget[name] = None if evaluations == "all" else evaluations
        if method == "classes" and self.model.condition is None:
            raise ValueError(
                "the model has no condition, so it has no classes: leave --method out, or train "
                "one with labels, for example `quasistatic train digits --given label`"
            )
        if method != "bound":
            inner = Elbo(budget.pop("evaluations", 64)) if method == "classes" else Elbo()
            budget["method"] = {
                "importance": Importance(paths),
                "flow": Flow(),
                "flow-map": FlowMapDensity(),
                "classes": OverClasses(inner),
            }[method]
        with self.run.threads():
            y = self._given(given, len(x), data is None)
            budget |= {"times": chain, "stderr": stderr}
            stream = self._stream("score", out, self.model.chunk_size, x, [repr(budget), *given])
            score = self._scored(stream, x, y, budget, self._generator(rng))
        shown: list[object] = [
            f"{score.about}; {score.spent / len(x):.4g} network evaluations an example"
        ]
        if data is None:
            result = assess(self.run, score)
            shown += result.tables()
            facts = result.facts()
        else:
            facts = _means(score, shown)
        if out is not None:
            where = write_scores(out, names, score.nats.cpu().numpy())
            stream.finish()
            shown.append(f"wrote {where}: the score of each example, in nats")
        return Answer(facts, shown, score)

    def complete(
        self,
        data: Data | None = None,
        *,
        mask: Data | None = None,
        rows: int = 8,
        draws: int = 16,
        particles: int | None = None,
        repeats: int | None = None,
        times: int | None = None,
        path: int | None = None,
        given: Sequence[str] = (),
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Draws missing values from their posterior given the known values.

        Args:
            data: examples with NaN where a value is missing; by default some of the run's own test
                rows, whose second half of the last axis is hidden.
            mask: True where a value is missing, with the shape of the data; by default NaN.
            rows: how many test rows to complete without `data`.
            draws: completed copies of each example.
            particles: particles of the sequential Monte Carlo for each example; by default 128, or
                8 for a model of latents, where each passes the autoencoder at every time.
            repeats: independent sets of particles; by default 4, or as many as the draws need.
            times: evenly spread time steps to visit; by default all T, or 50 for a model of
                latents.
            path: instead, the length of a path that :meth:`grid` saved.
            given: y of p(x | y), for a run with a condition, see :func:`.read_given`.
            out: where to write (N, draws, *); by default `completed.npy` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        if data is None:
            if rows < 1:
                raise ValueError(
                    f"--rows is the number of test rows to complete, 1 or more, got {rows}"
                )
            x = np.asarray(self.run.experiment.data.test[:rows])
            hidden = np.broadcast_to(np.arange(x.shape[-1]) >= x.shape[-1] // 2, x.shape)
        else:
            x, _ = self.read(data)
            hidden = np.isnan(x) if mask is None else x
        if mask is not None:
            hidden, _ = self._mask(mask)
        latent = isinstance(self.model.space, Latent)
        if latent and times is None and path is None:
            times = min(OF_LATENTS.times, self.model.steps)
        chain = self._times(times, path)
        plain = SMC((OF_LATENTS.particles if latent else 128) if particles is None else particles)
        plain = replace(plain, repeats=repeats)
        visited = len(resolve_times(self.model, chain, plain.stepper))
        with self.run.threads():
            y, source = self._given(given, len(x)), self._generator(rng)
            if latent and len(x):
                self._say_how_long(x, hidden, _some(y, slice(0, 1), len(x)), plain, draws, visited)

            def completed(piece: slice, advance: Callable[[], None]) -> dict[str, np.ndarray]:
                some = _some(y, piece, len(x))
                method = replace(plain, advance=advance)
                made = self.model.complete(
                    x[piece], hidden[piece], draws, chain, source, given=some, method=method
                )
                return {name: getattr(made, name).cpu().numpy() for name in ("draws", *EVIDENCE)}

            target = Path(out or self.result("completed.npy"))
            options = [draws, plain.particles, repeats, repr(chain), *given, source.initial_seed()]
            plan = [*options, stamp(np.asarray(hidden))]
            together = OF_LATENTS.together if latent else TOGETHER
            stream = self._stream("complete", target, together, x, plan)
            made = stream.run_in_steps(completed, visited, source)
        values = made["draws"]
        where = save_array(target, values)
        stream.finish()
        evidence = {name: made[name] for name in EVIDENCE}
        line = (
            f"wrote {where}: {values.shape}, draws of {len(x)} examples; mean log-evidence of the "
            f"known values: {evidence['log_evidence'].mean():.2f} nats, each +- "
            f"{evidence['evidence_stderr'].mean():.2f}; smallest effective sample size "
            f"{evidence['effective'].min():.2f} of the particles"
        )
        facts: dict[str, Any] = {"completed": str(where), "shape": list(values.shape)}
        for name, value in evidence.items():
            facts[name] = [None if v != v else v for v in value.tolist()]
        return Answer(facts, [line], values)

    def _say_how_long(
        self, x: np.ndarray, hidden: np.ndarray, y: Any, method: SMC, draws: int, visited: int
    ) -> None:
        """Says about how long a completion takes, from two times of a few particles."""
        few = replace(method, particles=min(method.particles, OF_LATENTS.probe), repeats=1)
        sets, began = method.sets(draws), time.monotonic()
        self.model.complete(x[:1], hidden[:1], 1, 2, 0, given=y, method=few)
        each = (time.monotonic() - began) / (2 * few.particles)
        passes = len(x) * sets * method.particles * visited
        self.display.say(
            f"{counted(len(x), 'example')}, {sets} x {method.particles} particles, "
            f"{counted(visited, 'time')}: {passes:,} passes through the network and the "
            f"autoencoder, about {clock(each * passes)}; --particles, --times and --draws change it"
        )

    def report(
        self, *, evaluations: int | None = None, out: Path | None = None, rng: Rng = 0
    ) -> Answer:
        """Writes a page about the run: its score beside baselines, figures, training curves.

        Args:
            evaluations: network evaluations for each test row; by default 100, and 25 for a user's
                own images and signals.
            out: where to write; by default `report.html` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        made = self.sections(evaluations=evaluations, rng=rng)
        return self.page(out, made, [self.folder.name])

    def sections(self, *, evaluations: int | None = None, rng: Rng = 0) -> list[Section]:
        generator = self._generator(rng)
        if evaluations is None:
            evaluations = 100 if self.run.recipe is None else self.run.recipe.evaluations
        with self.run.threads():
            score = self.model.score(self.run.experiment.data.test, evaluations, rng=generator)
            return sections(self.run, assess(self.run, score), generator)

    def _scored(
        self,
        stream: ExampleStream,
        x: np.ndarray,
        y: Any,
        budget: dict[str, Any],
        rng: torch.Generator,
    ) -> Score:
        """The score of examples, in pieces. A budget of a standard error is one of all examples,
        which are scored together."""
        stream = replace(stream, plan={**stream.plan, "seed": rng.initial_seed()})
        if budget["stderr"] is not None:
            stream = replace(stream, rows=max(len(x), 1))
        last: Score | None = None

        def scored(piece: slice) -> dict[str, np.ndarray]:
            nonlocal last
            some = _some(y, piece, len(x))
            last = self.model.score(x[piece], rng=rng, given=some, **budget)
            return last.arrays() | ({"pilot": np.array([last.pilot])} if last.pilot else {})

        found = stream.run(scored, rng)
        assert last is not None  # the last piece is never one that was kept
        pilot = int(found.pop("pilot", np.zeros(1)).sum())
        return replace(last.with_arrays(found), pilot=pilot)

    @abc.abstractmethod
    def _mask(self, mask: Data) -> tuple[np.ndarray, tuple[str, ...]]:
        """The mask in a file, or the array itself."""


def _some(y: Any, piece: slice, count: int) -> Any:
    """The values of a condition of some examples; one value holds for all."""
    several = isinstance(y, np.ndarray | torch.Tensor | list | tuple) and len(y) == count
    return y[piece] if several and count > 1 else y


def _means(score: Score, shown: list[object]) -> dict[str, Any]:
    """The means of a score in each unit as JSON values; their table is added to `shown`."""
    each = {"nats": score.nats, "bits": score.bits, "bits_per_dim": score.bits_per_dim}
    rows = [
        (_UNITS[name], f"{v.mean().item():.4f}", f"{score.stderr(v):.4f}")
        for name, v in each.items()
    ]
    shown.append(TextTable(f"{len(score.nats)} examples", ("unit", "mean", "s.e."), rows))
    facts: dict[str, Any] = {name: v.mean().item() for name, v in each.items()}
    return facts | {"examples": len(score.nats), "evaluations": score.evaluations}


def _guidance(weight: float | None, given: Sequence[str]) -> Guidance | None:
    """The guidance towards what is given.

    Raises:
        ValueError: if nothing is given.
    """
    if weight is None:
        return None
    if not given:
        raise ValueError(
            "--guidance leads the draws towards what --given says: give both, as --given 3 "
            f"--guidance {weight:g}"
        )
    return Guidance(weight)
