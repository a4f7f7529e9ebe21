"""Fits of growing size, each in a process of its own, so that none pays for another's memory."""

__all__ = ["each_alone"]

import json
import subprocess
import sys
from collections.abc import Iterator


def each_alone(script: str, sizes: list[int], minutes: float | None) -> Iterator[dict]:
    """What `script --grow-one ROWS` prints last, a JSON object, for each size."""
    for rows in sizes:
        command = [sys.executable, script, "--grow-one", str(rows)]
        command += [] if minutes is None else ["--minutes", str(minutes)]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        yield json.loads(out.splitlines()[-1])
