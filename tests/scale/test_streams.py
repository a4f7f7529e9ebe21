"""Rows in blocks are the rows of the files, each once in an epoch, few blocks at a time."""

import numpy as np
import polars as pl
import pytest
import torch

import quasistatic as qs
from quasistatic.scale import BlockRows

pytest.importorskip("pyarrow", reason="the scale extra is not installed")


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(3):
        x = rng.normal(size=(100, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
        frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "name": ["x"] * 100})
        frame.write_parquet(tmp_path / f"{k}.parquet", row_group_size=20)
    return tmp_path


def test_a_batch_has_the_rows_of_the_files(files):
    source = BlockRows.of_files(f"{files}/*.parquet", ["a", "b"], together=4)
    whole = pl.concat([pl.read_parquet(p) for p in sorted(files.glob("*.parquet"))])
    whole = whole.select("a", "b").to_numpy()
    assert (len(source), source.shape, len(source.counts)) == (300, (2,), 15)
    order = source.order(torch.Generator().manual_seed(3))
    assert sorted(order.tolist()) == list(range(300))
    source.reads = 0
    found = torch.cat([source.batch(rows, torch.Generator()) for rows in torch.split(order, 7)])
    np.testing.assert_array_equal(found.numpy(), whole[order])
    assert source.reads <= 15 + 4  # each block about once, though five are in memory at most
    assert len(source._kept) <= 5
    other = source.order(torch.Generator().manual_seed(4))
    assert not torch.equal(order, other)
    assert torch.equal(order, source.order(torch.Generator().manual_seed(3)))


def test_a_network_trains_on_rows_in_files_and_resumes(files, tmp_path, monkeypatch):
    def fitted(folder, steps):
        torch.manual_seed(0)
        kernel = qs.GaussianKernel(qs.schedules.cosine(20))
        model = qs.Diffusion(qs.Continuous(2), kernel, qs.Noise(), qs.networks.MLP(2, 16, 1))
        source = BlockRows.of_files(str(files), ["a", "b"], together=3)
        how = {"steps": 30, "batch": 40, "save_every": 0.0, "validations": 1}
        calls = 0

        def stop(progress):
            nonlocal calls
            calls += 1
            if progress.step >= steps:
                raise KeyboardInterrupt

        monkeypatch.setattr("quasistatic.training.loop.REPORT_SECONDS", -1.0)
        qs.fit(model, source, run=folder, callbacks=[stop] if steps else [], progress=False, **how)
        return model

    whole = fitted(tmp_path / "whole", 0)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "stopped", 11)
    again = fitted(tmp_path / "stopped", 0)
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_wrong_sources_are_named(files):
    with pytest.raises(ValueError, match=r"0\.parquet has no column 'c'"):
        BlockRows.of_files(str(files), ["a", "c"])
    with pytest.raises(ValueError, match="there are no rows"):
        BlockRows([], lambda number: np.empty((0, 2)), {})
