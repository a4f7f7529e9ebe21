"""A fitted table, and directories of its rows."""

import pytest
from table_runs import table_run
from visit_rows import visits

__all__ = ["many", "table_run"]


@pytest.fixture
def many(tmp_path):
    """A directory of five Parquet files."""
    folder = tmp_path / "rows"
    folder.mkdir()
    for k in range(5):
        visits(60, seed=10 + k, holes=0.1).write_parquet(folder / f"part-{k}.parquet")
    return folder
