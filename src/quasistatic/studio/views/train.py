"""A run while it trains: its curves as they come, and draws from its newest weights."""

__all__ = ["follow", "peek"]

import json
import time
from pathlib import Path
from typing import Any

from ..._utils.json_files import read_json
from ...recipes.newest import Newest, newest_step, open_newest
from ..asked import Asked
from ..jobs import Event, Job
from ..looks import look_of
from ..snippets import Snippet, command, opening
from ..subjects import Subject, frame_of
from ..watching import watched

PAUSE, LONGEST = 0.5, 6 * 3600.0
"""Seconds between two looks at the file, and after which the page has to ask again."""

MOST_RECORDS = 100_000

MOST, STEPS = 256, 50
"""Draws at once, and their steps unless the page asks for others."""


def follow(subject: Subject, asked: Asked, job: Job) -> Event:
    """Sends the records of a run, and new ones until the run is done. An event "weights" says that
    there are new ones to draw from."""
    path, began, sent = subject.folder / "metrics.jsonl", time.monotonic(), 0
    step = None
    steps = _steps(subject.folder)
    if not path.is_file() and _done(subject.folder):
        raise ValueError(f"{subject.folder} keeps no record of a training: there are no curves")
    job.send("begin", steps=steps, done=_done(subject.folder))
    while True:
        done = _done(subject.folder)  # before the file is read, so that nothing is missed
        records = _records(path)
        if len(records) > sent:
            job.send("records", records=records[sent:])
            sent = len(records)
        newest = newest_step(subject.folder)
        if newest is not None and newest != step:
            step = newest
            job.send("weights", step=step)
        if done or time.monotonic() - began > LONGEST:
            break
        job.check()
        time.sleep(PAUSE)
    python = [
        "import quasistatic as qs",
        "",
        f"run = qs.open({subject.word!r}).run",
        "steps = [record['step'] for record in run.metrics]",
        "valid = [record.get('valid_bits_per_dim') for record in run.metrics]",
    ]
    line = command("report", subject.word)
    return {
        "records": sent,
        "done": done,
        "steps": steps,
        "snippet": Snippet("\n".join(python), line, "The report draws the same curves.").facts(),
    }


def peek(subject: Subject, asked: Asked, job: Job) -> Event:
    """Draws from the newest weights of a run. The same seed gives the same noise at each step of
    the training, so that the same draws can be seen to improve."""
    n, seed = asked.whole("n", 16, 1, MOST), asked.whole("seed", 0, 0, 2**31 - 1)
    newest = open_newest(subject.folder)
    model = newest.model
    default = min(STEPS, model.steps) if model.head.jumps else model.steps
    steps = asked.perhaps("steps", 2, model.steps) or default
    watching, _ = watched(model, job, steps)
    drawn = watching.sample(n, steps, seed, progress=False)
    config = read_json(subject.folder / "config.json", "restore a copy")
    look = look_of(model, frame_of(config.get("recipe")))
    return {
        "step": newest.step,
        "done": newest.done,
        "look": look.facts(),
        "images": look.pack(drawn),
        "snippet": _peek_snippet(subject, newest, n, steps, seed).facts(),
    }


def _peek_snippet(subject: Subject, newest: Newest, n: int, steps: int, seed: int) -> Snippet:
    draw = f"draws = model.sample({n}, {steps}, rng={seed})"
    if newest.done:
        options = [("-n", n), ("--steps", steps), ("--seed", seed), ("--out", "samples.npy")]
        line = command("sample", subject.word, options=options)
        return Snippet("\n".join([*opening(subject.word), draw]), line)
    python = [
        "from quasistatic.recipes.newest import open_newest",
        "",
        f"newest = open_newest({str(subject.folder)!r})  # of step {newest.step} or later",
        "model = newest.model",
        draw,
    ]
    return Snippet("\n".join(python), "", "Commands open a run once it is finished.")


def _records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that another process may be writing.

    Raises:
        ValueError: if a line is damaged: which.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1].splitlines()[:MOST_RECORDS]
    found = []
    for number, line in enumerate(whole, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path} is damaged in line {number} ({error}): delete that line, or the file"
            ) from None
        if isinstance(record, dict):
            found.append(record)
    return found


def _done(folder: Path) -> bool:
    """Whether the run is finished: its checkpoint is gone, and its weights are there."""
    weights = (folder / "model.safetensors").is_file()
    return weights and not (folder / "checkpoint.safetensors").is_file()


def _steps(folder: Path) -> int | None:
    """The steps that the run will have; None if it is not known."""
    try:
        fit = read_json(folder / "config.json", "restore a copy").get("fit")
    except (ValueError, OSError):
        return None
    steps = fit.get("steps") if isinstance(fit, dict) else None
    return steps if isinstance(steps, int) else None
