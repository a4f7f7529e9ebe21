"""Draws from a model, shown while they emerge from noise."""

__all__ = ["draw"]

import math
import time
from typing import Any

import torch
from torch import Tensor

from ...diffusion import Diffusion
from ...opened.given import read_given
from ...sampling import Guidance, Stepper
from ...sampling.sampler import batched_walks, resolve_times
from ..asked import Asked
from ..jobs import Event, Job
from ..snippets import Snippet, command, opening
from ..steppers import STEPPERS
from ..subjects import Trained
from ..watching import watched

MOST = 64
"""Draws at once: more are a matter for a script."""

FRAME = 0.15
"""Seconds between two pictures of a walk."""

CHECKED = 32
"""Network evaluations of each draw that measure how likely the model finds it."""


def draw(subject: Trained, asked: Asked, job: Job) -> Event:
    """Draws examples. Events "frame" show them on their way."""
    n, seed = asked.whole("n", 16, 1, MOST), asked.whole("seed", 0, 0, 2**31 - 1)
    name = asked.choice("stepper", subject.steppers, "ancestral")
    steps = asked.perhaps("steps", 2, subject.model.steps)
    given, weight = asked.text("given"), asked.number("guidance", 0.0, -1.0, 1e3)
    stepper = STEPPERS[name].stepper
    model: Diffusion = subject.model
    y = read_given(model.condition, [given], n) if given else None
    model = model.given_each(y, n)
    if given and weight:
        model = Guidance(weight).applied(model)
    times = resolve_times(model, steps, stepper)
    quality = asked.flag("quality")
    calls = stepper.evaluations(len(times)) * math.ceil(n / model.chunk_size)
    watching, _ = watched(model, job, calls)
    drawn = _drawn(subject, watching, n, steps, seed, stepper, job)
    facts: dict[str, Any] = {
        "images": subject.look.pack(drawn),
        "times": len(times),
        "evaluations": stepper.evaluations(len(times)),
        "snippet": _snippet(subject, n, seed, name, steps, given, weight).facts(),
    }
    if quality:
        job.send("drawn", images=facts["images"])
        judge, _ = watched(subject.model, job, CHECKED)
        facts["bits_per_dim"] = _quality(judge, drawn, y, seed)
    return facts


def _drawn(
    subject: Trained,
    model: Diffusion,
    n: int,
    steps: int | None,
    seed: int,
    stepper: Stepper,
    job: Job,
) -> Tensor:
    """The draws of `model.sample`, bit by bit, with pictures on the way."""
    drawn, shown = [], 0.0
    for batch in batched_walks(model, n, steps, seed, stepper):
        for state in batch.states:
            now = time.monotonic()
            if now - shown >= FRAME and state.t > 0:
                shown = now
                images = subject.look.pack(model.space.in_raw_units(state.x))
                job.send("frame", first=batch.first, t=state.t, images=images)
        drawn.append(model.space.draw_raw(state.x, batch.for_raw))
    return torch.cat(drawn)


def _quality(model: Diffusion, drawn: Tensor, y: object, seed: int) -> dict[str, float]:
    """The mean bits a value of the draws by the model's own bound, and its standard error."""
    score = model.score(drawn, min(CHECKED, model.steps), rng=seed, given=y)
    each = score.bits_per_dim.double()
    error = score.stderr(each) if len(each) > 1 else math.nan
    return {"mean": each.mean().item(), "stderr": error}


def _snippet(
    subject: Trained, n: int, seed: int, name: str, steps: int | None, given: str, weight: float
) -> Snippet:
    guided = bool(given and weight)
    names = [STEPPERS[name].python.partition("(")[0]] if name != "ancestral" else []
    names += ["Guidance"] if guided else []
    imports = [f"from quasistatic.sampling import {', '.join(sorted(names))}"] if names else []
    words = [str(n)] + ([str(steps)] if steps is not None else []) + [f"rng={seed}"]
    if name != "ancestral":
        words.append(f"stepper={STEPPERS[name].python}")
    lines = opening(subject.word, *imports)
    if given:
        lines.append(f"y = {_given_expression(subject, given, n)}")
        words.append("given=y")
    if guided:
        words.append(f"guidance=Guidance({weight:g})")
    lines.append(f"draws = model.sample({', '.join(words)})")
    line = command(
        "sample",
        subject.word,
        options=[
            ("-n", n),
            ("--stepper", None if name == "ancestral" else name),
            ("--steps", steps),
            ("--given", given or None),
            ("--guidance", f"{weight:g}" if guided else None),
            ("--seed", seed),
            ("--out", "samples.npy"),
        ],
    )
    return Snippet("\n".join(lines), line)


def _given_expression(subject: Trained, given: str, n: int) -> str:
    """The value of the condition as Python code."""
    y = read_given(subject.model.condition, [given], n)
    value = y.tolist() if hasattr(y, "tolist") else y
    return repr(value[0] if isinstance(value, list) and len(value) == 1 else value)
