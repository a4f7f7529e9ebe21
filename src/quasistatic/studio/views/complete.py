"""Missing values of an example, drawn from their posterior given the known ones."""

__all__ = ["fill"]

import math

import torch

from ...opened.given import read_given
from ...sampling import SMC, Posterior
from ...sampling.factors import Observed
from ..asked import Asked
from ..jobs import Event, Job
from ..snippets import Snippet, command, opening
from ..subjects import Trained
from ..watching import watched

FILE = "x.npy"
"""The file of an example that a snippet reads."""


def fill(subject: Trained, asked: Asked, job: Job) -> Event:
    """Completes one example. A noise above 0 makes its known values uncertain too."""
    x = asked.values("values", subject.look.shape)
    draws, particles = asked.whole("draws", 8, 1, 64), asked.whole("particles", 32, 1, 1024)
    repeats, seed = asked.whole("repeats", 2, 1, 16), asked.whole("seed", 0, 0, 2**31 - 1)
    times, noise = (
        asked.perhaps("times", 2, subject.model.steps),
        asked.number("noise", 0.0, 0.0, 1e6),
    )
    given = asked.text("given")
    y = read_given(subject.model.condition, [given], 1) if given else None
    model = subject.model
    count = model.steps if times is None else times
    batches = math.ceil(repeats * particles / model.chunk_size)
    watching, _ = watched(model, job, (count + 1) * batches)
    known = torch.as_tensor(~torch.as_tensor(x).isnan())
    method = SMC(particles, repeats)
    if not known.any():
        raise ValueError("every value is hidden: leave some, or draw in the view Sample")
    if noise:
        variance = torch.where(known, noise**2, math.inf)
        factor = Observed(torch.as_tensor(x).nan_to_num(0.0), variance)
        found = watching.posterior(factor, draws, times, seed, given=y, method=method)
    else:
        found = watching.complete(x, (~known).numpy(), draws, times, seed, given=y, method=method)
    snippet = _snippet(subject, draws, particles, repeats, times, seed, noise, given)
    return _facts(subject, found) | {
        "hidden": int((~known).sum()),
        "particles": particles * repeats,
        "snippet": snippet.facts(),
    }


def _facts(subject: Trained, found: Posterior) -> Event:
    look = subject.look
    return {
        "draws": look.pack(found.draws[0]),
        "mean": look.pack(found.mean),
        "deviation": look.spread(found.deviation),
        "largest": found.deviation.max().item(),
        "log_evidence": found.log_evidence.item(),
        "evidence_stderr": found.evidence_stderr.item(),
        "effective": found.effective.item(),
        "ancestors": int(found.ancestors.item()),
    }


def _snippet(
    subject: Trained,
    draws: int,
    particles: int,
    repeats: int,
    times: int | None,
    seed: int,
    noise: float,
    given: str,
) -> Snippet:
    lines = ["import numpy as np", *opening(subject.word)]
    lines += [f'x = np.load("{FILE}")  # NaN where a value is missing']
    more = f"{draws}, {times}, {seed}, method=qs.SMC({particles}, {repeats})"
    more += f", given={given!r}" if given else ""
    note = f"Both read the example that you see, in {FILE}: save it with the button."
    if noise:
        lines += [
            "missing = np.isnan(x)",
            f"variance = np.where(missing, np.inf, {noise:g} ** 2)",
            "factor = qs.Observed(np.nan_to_num(x), variance)",
            f"found = model.posterior(factor, {more})",
        ]
        note = f"The code reads the example that you see, in {FILE}: save it with the button. "
        note += "No command takes noise on the known values."
        return Snippet("\n".join(lines), note=note)
    lines.append(f"found = model.complete(x, np.isnan(x), {more})")
    options: list[tuple[str, object]] = [("--data", FILE), ("--draws", draws)]
    options += [("--particles", particles), ("--repeats", repeats), ("--times", times)]
    options += [("--given", given or None), ("--seed", seed), ("--out", "completed.npy")]
    return Snippet("\n".join(lines), command("complete", subject.word, options=options), note)
