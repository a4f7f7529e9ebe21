"""The library on a GPU: correctness, throughput and two trainings, in one script, offline.

    python benchmarks/gpu.py [--minutes 9] [--data FOLDER] [--out FOLDER] [--device cuda]
    python benchmarks/gpu.py --tiny --minutes 2 --device cpu     # the same script, small

Sections, in this order; each runs in processes of its own, so that one that fails leaves the
others alone:

- correctness: every verb of small models of every space, kernel and head, in float64 on the CPU and
  on the device, with the same draws;
- steps: milliseconds a training step of three networks, eager and compiled, float32 and bf16, with
  and without CUDA graphs; kernel launches and waits a step, and the share of the time in which the
  GPU is busy; beside them the network alone, and diffusers' U-Net where it is installed;
- verbs: images a second that are drawn, scored, completed and compressed;
- weights: binarized MNIST's 10000 test images under the weights in FOLDER/weights;
- train: the recipes of `--recipes`, by default binarized MNIST and MNIST, with the time that is
  left.

FOLDER holds `binarized_mnist`, `mnist` and `weights`, in the files' published formats. Results go
to `gpu.json` in the output folder, after each section; the runs and figures beside it.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_work import HERE, add_arguments

SHARES = {"correctness": 100, "steps": 170, "levels": 25, "verbs": 80, "weights": 40, "train": 0}
"""Seconds that a section may take of nine minutes; training takes what is left."""

WORKERS = 8


class Report:
    """What was found, written to a file after each section."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.began = asked, time.monotonic()
        self.out = Path(asked.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.facts: dict[str, Any] = {"settings": vars(asked).copy(), "failed": {}}
        self.lock = str(self.out / ".lock")

    def left(self) -> float:
        """Seconds that are left of the whole."""
        return 60 * self.asked.minutes - (time.monotonic() - self.began)

    def save(self) -> None:
        self.facts["seconds"] = time.monotonic() - self.began
        (self.out / "gpu.json").write_text(json.dumps(self.facts, indent=1) + "\n")

    def start(self, child: str, **more: Any) -> subprocess.Popen:
        words = [sys.executable, str(HERE / "gpu_work.py"), child]
        given = {"device": self.asked.device, "data": self.asked.data, "out": self.asked.out}
        given |= {"lock": self.lock} | more
        for name, value in given.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        words += ["--tiny"] if self.asked.tiny else []
        environment = os.environ | {"QUASISTATIC_DATA": str(self.asked.data)}
        environment |= {"OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS", "2")}
        environment |= {"TORCHINDUCTOR_COMPILE_THREADS": "4"}
        return subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def wait(self, name: str, process: subprocess.Popen, until: float) -> dict[str, Any] | None:
        """What a child found; None, and a note of why, where it failed or took too long."""
        try:
            text, _ = process.communicate(timeout=max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, 9)
            text, _ = process.communicate()
            text += "\nstopped: out of time"
            self.facts["failed"][name] = "stopped: out of time"
        lines = [line for line in text.splitlines() if line.startswith("RESULT ")]
        if not lines:
            self.facts["failed"][name] = text[-1500:]
            print(f"  {name}: failed\n    " + "\n    ".join(text[-400:].splitlines()), flush=True)
            return None
        found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
        return found

    def guarded(self, name: str, section: Callable[["Report", float], Any]) -> None:
        """Runs a section within its share of the time."""
        share = SHARES[name] * self.asked.minutes / 9 or self.left() - 20
        share = min(share, self.left() - 5)
        if share < 3:
            self.facts["failed"][name] = "no time was left"
            return
        started = time.monotonic()
        print(f"{name} (at most {share:.0f} s)", flush=True)
        try:
            self.facts[name] = section(self, started + share)
        except Exception:
            self.facts["failed"][name] = traceback.format_exc()[-1500:]
            print(f"  {name}: {traceback.format_exc(limit=1)}", flush=True)
        print(f"  took {time.monotonic() - started:.0f} s", flush=True)
        self.save()


def all_correct(report: Report, until: float) -> dict[str, Any]:
    parts = 2 if report.asked.tiny else 12
    jobs = [report.start("correctness", part=i, parts=parts) for i in range(parts)]
    found = [report.wait(f"correctness {i}", job, until) for i, job in enumerate(jobs)]
    rows = [row for each in found if each for row in each["rows"]]
    wrong = [row for row in rows if not row["same"]]
    for row in wrong:
        told = row.get("failed", "").strip().splitlines()[-1:] or [row.get("error", "")]
        print(f"  {row['case']}, {row['verb']}: {told[0]}", flush=True)
    answered = [row["error"] for row in rows if "error" in row]
    print(f"  {len(rows) - len(wrong)} of {len(rows)} answers agree", flush=True)
    largest = max((e for e in answered if e < 1e-6), default=None)
    return {"asked": len(rows), "agree": len(rows) - len(wrong), "largest": largest, "wrong": wrong}


def all_steps(report: Report, until: float) -> list[dict[str, Any]]:
    graphs = "graphs" if report.asked.device.startswith("cuda") else "none"
    modes = [
        ("network", "diffusers:bf16:yes:none"),
        ("step", f"cifar-levels:bf16:yes:{graphs}"),
        ("network", f"cifar-levels-network:bf16:yes:{graphs}"),
        ("step", f"cifar-noise:bf16:yes:{graphs}"),
        ("network", f"cifar-noise-network:bf16:yes:{graphs}"),
        ("step", f"binarized:float32:yes:{graphs}"),
        ("network", f"binarized-network:float32:yes:{graphs}"),
        ("network", "diffusers:bf16:no:none"),
        ("step", "binarized:float32:no:none"),
        ("step", f"binarized:float32:no:{graphs}"),
        ("step", f"cifar-levels:float32:no:{graphs}"),
        ("step", f"cifar-noise:bf16:no:{graphs}"),
        ("step", f"binarized:bf16:yes:{graphs}"),
        ("step", "cifar-levels:float32:no:none"),
    ]
    if report.asked.tiny:
        modes = [modes[8], modes[5], modes[7]]
    if graphs == "none":
        modes = list(dict.fromkeys(modes))
    waiting, running, found = list(modes), [], []
    seconds = 0.3 if report.asked.tiny else 1.0
    while waiting or running:
        while waiting and len(running) < WORKERS and time.monotonic() < until:
            child, mode = waiting.pop(0)
            running.append((mode, report.start(child, mode=mode, seconds=seconds)))
        if time.monotonic() >= until:
            report.facts["failed"].update({mode: "no time was left" for _, mode in waiting})
            waiting = []
        done = [job for job in running if job[1].poll() is not None] or (
            running if time.monotonic() >= until else []
        )
        for mode, process in done:
            running.remove((mode, process))
            each = report.wait(mode, process, until + 1)
            if each is not None:
                found.append(each)
                print(f"  {line(each)}", flush=True)
        time.sleep(0.05)
    return found


def line(each: dict[str, Any]) -> str:
    words = [f"{each['mode']:42}", f"{each['ms']:8.2f} ms", f"{each['images_a_second']:9.0f}/s"]
    for name, unit in (
        ("launches", "launches"),
        ("sync_warnings", "waits"),
        ("busy_ms", "ms busy"),
        ("first_seconds", "s first"),
        ("gib", "GiB"),
    ):
        if each.get(name) is not None:
            words.append(f"{each[name]:7.1f} {unit}")
    return "  ".join([*words, each.get("computed", "")])


def one(child: str) -> Callable[[Report, float], Any]:
    def section(report: Report, until: float) -> Any:
        seconds = 0.1 if report.asked.tiny else 1.0
        found = report.wait(child, report.start(child, seconds=seconds), until)
        print("  " + json.dumps(found, indent=1).replace("\n", "\n  "), flush=True)
        return found

    return section


def all_trained(report: Report, until: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, recipe in enumerate(report.asked.recipes):
        seconds = (until - time.monotonic()) / (len(report.asked.recipes) - number)
        if seconds < 15 and not report.asked.tiny:
            report.facts["failed"][recipe] = "no time was left"
            continue
        job = report.start("train", mode=recipe, seconds=seconds)
        each = report.wait(recipe, job, time.monotonic() + seconds + 15)
        if each is not None:
            found[recipe] = each
            reached = "not scored"
            if "nats" in each:
                reached = f"{each['nats']:.2f} ± {each['stderr_over_images']:.2f} nats, "
                reached += f"{each['bits_per_dim']:.4f} bits/dim"
            print(f"  {recipe}: {each['steps']} steps, {reached}")
            print(f"    {each['speed']}", flush=True)
        report.facts["train"] = found
        report.save()
    return found


SECTIONS: dict[str, Callable[[Report, float], Any]] = {
    "correctness": all_correct,
    "steps": all_steps,
    "levels": one("levels"),
    "verbs": one("verbs"),
    "weights": one("weights"),
    "train": all_trained,
}


def machine(device: str) -> dict[str, Any]:
    import torch

    facts = {"torch": torch.__version__, "python": sys.version.split()[0], "cpus": os.cpu_count()}
    if device.startswith("cuda"):
        free, whole = torch.cuda.mem_get_info()
        facts |= {"gpu": torch.cuda.get_device_name(), "free_gib": free / 2**30}
        facts |= {"gib": whole / 2**30, "cuda": torch.version.cuda}
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="in all (default 9)")
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    recipes = ["binarized-mnist", "mnist", "mnist-label", "mnist-law", "dit-mnist"]
    recipes += ["latent-bark"]
    parser.add_argument("--recipes", nargs="+", choices=recipes, default=recipes[:2])
    add_arguments(parser)
    asked = parser.parse_args()
    report = Report(asked)
    with contextlib.suppress(Exception):
        report.facts["machine"] = machine(asked.device)
        print(json.dumps(report.facts["machine"]), flush=True)
    for name in asked.sections:
        report.guarded(name, SECTIONS[name])
    report.save()
    print(f"failed: {sorted(report.facts['failed'])}")
    print(f"{report.out / 'gpu.json'}: {report.facts['seconds']:.0f} s in all")


if __name__ == "__main__":
    main()
