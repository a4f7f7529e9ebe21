"""Help texts and refusals load nothing heavy."""

import subprocess
import sys

import pytest

CODE = """
import sys
from quasistatic.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"torch", "polars", "sklearn", "matplotlib", "numpy"} & set(sys.modules)
print("heavy:", sorted(heavy))
"""


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "score --help",
        "fit --help",
        "train --help",
        "train cifar10 --help",
        "scroe digits",
        "score digits --evaluatoins 3",
        "sample digits --n 0",
        "impute digits x.csv",
        "outliers digits x.csv",
        "train digits --fit.steps 0",
        "train digits --steps 1",
        "sample no-such-folder",
        "fit no-such-file.csv",
    ],
)
def test_help_and_refusals_load_nothing_heavy(words):
    """What they cost in seconds is in benchmarks/startup.py."""
    command = [sys.executable, "-c", CODE, *words.split()]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "heavy: []"
