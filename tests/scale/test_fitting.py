"""A law fitted by map and reduce is the law that is fitted in memory."""

import numpy as np
import polars as pl
import pytest
import torch

from quasistatic.distributions.mixtures.fitting import Batch, LearningRows, expected
from quasistatic.distributions.mixtures.fitting.em import maximised
from quasistatic.estimators.closed_form import encoded
from quasistatic.opened import open as open_run
from quasistatic.scale import Local, fit_directory
from quasistatic.scale.fitting import Drawing, refined
from visit_rows import visits

pytestmark = pytest.mark.usefixtures("float32")


@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_statistics_of_partitions_give_the_law_of_all_rows(table_run, holes):
    density = open_run(table_run).table.density
    rows = visits(900, seed=7, holes=holes).select(list(density.feature_names_in_))
    x_0, fits = encoded(density.numbers(rows), density.table_)
    start, whole = density.fitted_.closed_form, LearningRows.of(x_0, fits)
    in_memory = maximised(whole, Batch.of([start]), fits, rounds=3).law

    def by_parts(law):
        parts = (LearningRows.of(part, fits) for part in torch.split(x_0, 128))
        each = (expected(part, Batch(law, 1), fits) for part in parts)
        return [(sums, float(log_p), 128) for sums, log_p in each]

    in_parts, _ = refined(start, fits, by_parts, rounds=3, enough=-np.inf)
    torch.testing.assert_close(in_parts.log_weight, in_memory.log_weight, rtol=0, atol=1e-10)
    torch.testing.assert_close(in_parts.log_prob(x_0), in_memory.log_prob(x_0), rtol=0, atol=1e-9)


def test_a_sample_is_the_same_whatever_the_partition(many):
    files = sorted(map(str, many.iterdir()))
    drawing = Drawing(40, 3)
    each = [drawing(numbered) for numbered in enumerate(files)]
    keys = np.concatenate([keys for _, keys, _ in each])
    largest = np.sort(keys)[39]
    chosen = pl.concat([frame.filter(pl.Series(own <= largest)) for frame, own, _ in each])
    assert len(chosen) == 40
    few = [Drawing(40, 3)(numbered) for numbered in reversed(list(enumerate(files)))]
    again = pl.concat([frame.filter(pl.Series(own <= largest)) for frame, own, _ in few])
    assert again.sort("id").equals(chosen.sort("id"))


def test_a_directory_is_fitted_and_its_run_answers(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    for k in range(4):
        visits(1500, seed=40 + k, holes=0.05).write_parquet(folder / f"{k}.parquet")
    options = {"sample": 400, "rounds": 4, "id": ["id"]}
    found = fit_directory(folder, tmp_path / "run", **options)
    assert (found.rows, found.sampled) == (5600, 400)
    assert np.all(np.diff(found.log_prob) > 0)  # no round makes the rows less likely
    assert found.kept
    assert found.gain > 0
    model = open_run(tmp_path / "run")
    new = visits(400, seed=50)
    assert np.isfinite(model.table.score(model.table.fitted(new))).all()
    again = fit_directory(folder, tmp_path / "again", engine=Local(2), **options)
    np.testing.assert_allclose(again.log_prob, found.log_prob, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="are not many more than the sample of 3,500"):
        fit_directory(folder, tmp_path / "third", sample=3500)
