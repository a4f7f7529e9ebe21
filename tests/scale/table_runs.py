"""A fitted table for the tests of jobs and of the service."""

__all__ = ["table_run"]

import pytest
import torch
from visit_rows import visits

from quasistatic import cli
from quasistatic.data.table_files import write_table
from quasistatic.distributions.mixtures.fitting import stacking


@pytest.fixture(scope="session")
def table_run(tmp_path_factory):
    """The folder of a fitted table."""
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
