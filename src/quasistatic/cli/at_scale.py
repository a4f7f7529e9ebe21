"""The commands on a directory of files: `--on local` and `--on ray`."""

__all__ = ["answer_directory"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..reporting.console import Display


def answer_directory(verb: str, run: Path, asked: dict[str, Any], display: "Display") -> None:
    """Answers a directory of files into a directory, and shows what was done.

    Args:
        verb: the verb.
        run: the run folder.
        asked: the options that were given, `on` among them.
        display: where progress and the answer are shown.

    Raises:
        ValueError: if an option is not for a directory, or a part was left out.
    """
    from ..scale import Local, OnRay
    from ..scale import run as run_job

    on, workers = asked.pop("on"), asked.pop("workers", None)
    address, gpus = asked.pop("address", None), asked.pop("gpus", 0.0)
    if on == "local" and (address or gpus):
        raise ValueError("--address and --gpus are for --on ray")
    engine = Local(workers or 1) if on == "local" else OnRay(address, workers, gpus)
    out = asked.pop("out", None)
    if out is None:
        raise ValueError("name the directory to write with --out")
    data = asked.pop("data", None) or asked.pop("file", None)
    n = asked.pop("n", 16) if verb == "sample" else None
    if "rng" in asked:
        asked["seed"] = asked.pop("rng")
    device = asked.pop("device", "auto")
    done = run_job(
        run, verb, data, out, engine=engine, n=n, device=device, display=display, **asked
    )
    display.show(done.answer())
    if done.failed:
        first = done.failed[0]
        raise ValueError(
            f"{len(done.failed)} of {len(done.records)} parts were left out, {first.part.about}: "
            f"{first.error}; the same command tries them again"
        )
