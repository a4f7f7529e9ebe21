"""CPU seconds of starting: `import torch`, `import quasistatic`, help texts, and refusals.

    .venv/bin/python benchmarks/startup.py

Each line is the smallest of several runs of a fresh process, user and system time together.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

from quasistatic._utils.files import write_text

RESULTS = Path(__file__).parent / "results" / "startup.json"

IMPORTS = {"bare Python": "pass", "import torch": "import torch"}
IMPORTS |= {"import torch, quasistatic": "import torch, quasistatic"}
IMPORTS |= {"import quasistatic": "import quasistatic"}
HELP = ("--help", "score --help", "fit --help", "train digits --help")
REFUSALS = ("scroe digits", "score digits --evaluatoins 3", "sample digits --n 0")
REFUSALS += ("impute digits x.csv", "train digits --fit.steps 0")

MOST = {"help": 0.7, "refusal": 0.7, "import quasistatic beyond torch": 0.6}
"""The limits, in CPU seconds."""


def seconds(words: list[str], repeats: int, status: int) -> float:
    """The CPU seconds of a process, the smallest of several runs."""
    found = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, *words], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != status:
            raise RuntimeError(f"{words} ended with {done.returncode}: {done.stderr.decode()}")
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU seconds of starting.")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default: 3)")
    repeats = parser.parse_args().repeats
    found: dict[str, float] = {}
    for name, code in IMPORTS.items():
        found[name] = seconds(["-c", code], repeats, 0)
    beyond = found["import torch, quasistatic"] - found["import torch"]
    for status, commands in ((0, HELP), (2, REFUSALS)):
        for command in commands:
            words = ["-m", "quasistatic", *command.split()]
            found[f"quasistatic {command}"] = seconds(words, repeats, status)
    for name, value in found.items():
        print(f"{value:6.2f} s  {name}")
    print(f"{beyond:6.2f} s  import quasistatic beyond import torch")
    result = {"cpu_seconds": found, "quasistatic_beyond_torch": beyond, "limits": MOST}
    write_text(RESULTS, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
