"""Fixtures of the tests of jobs and of the service: a fitted table, and a directory of rows."""

__all__ = ["many", "table_run"]

import pytest
import torch


@pytest.fixture(scope="session")
def table_run(tmp_path_factory):
    """The folder of a fitted table."""
    from quasistatic import cli
    from quasistatic.data.table_files import write_table
    from quasistatic.distributions.mixtures.fitting import stacking
    from visit_rows import visits

    folder = tmp_path_factory.mktemp("scale")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stacking, "MOST_COMPONENTS", 2)
            write_table(folder / "rows.parquet", [visits(600)])
            words = ["fit", str(folder / "rows.parquet"), "-o", str(folder / "run"), "--json"]
            cli.main(words)
    finally:
        torch.set_default_dtype(before)
    return folder / "run"


@pytest.fixture
def many(tmp_path):
    """A directory of five Parquet files."""
    from visit_rows import visits

    folder = tmp_path / "rows"
    folder.mkdir()
    for k in range(5):
        visits(60, seed=10 + k, holes=0.1).write_parquet(folder / f"part-{k}.parquet")
    return folder
