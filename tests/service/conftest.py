"""The fitted table of the tests of jobs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "scale"))

from table_runs import table_run

__all__ = ["table_run"]
