"""The curves of a run, as they come while it trains."""

__all__ = ["follow"]

import json
import time
from pathlib import Path
from typing import Any

from ..._utils.json_files import read_json
from ..asked import Asked
from ..jobs import Event, Job
from ..snippets import Snippet, command
from ..subjects import Subject

PAUSE, LONGEST = 0.5, 6 * 3600.0
"""Seconds between two looks at the file, and after which the page has to ask again."""

MOST_RECORDS = 100_000


def follow(subject: Subject, asked: Asked, job: Job) -> Event:
    """Sends the records of a run, and new ones until the run is done."""
    path, began, sent = subject.folder / "metrics.jsonl", time.monotonic(), 0
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
