"""Ray and Dask give the answers of this machine."""

import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from quasistatic.scale import BlockRows, Local, OnRay, engines, partition, run
from quasistatic.scale.engines import READERS

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="the scale extra is not installed")
    pytest.importorskip("pyarrow", reason="the scale extra is not installed")
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:  # workers import Deadly from this file
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        _started(ray)
    yield ray
    ray.shutdown()


def _started(ray):
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False


def read(folder) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


def test_a_job_on_ray_is_the_job_on_this_machine(cluster, table_run, many, tmp_path):
    (many / "part-9.parquet").write_bytes(b"PAR1, and then nothing")
    near = run(table_run, "score", many, tmp_path / "near", retries=0)
    far = run(table_run, "score", many, tmp_path / "far", engine=OnRay(workers=2), retries=0)
    assert read(tmp_path / "near").equals(read(tmp_path / "far"))
    assert [each.part for each in near.failed] == [each.part for each in far.failed]
    assert near.facts()["nats"] == far.facts()["nats"]


def test_the_function_of_a_partition_serves_a_data_set_of_ray(cluster, table_run, many):
    answer = partition(table_run, "score")
    dataset = cluster.data.read_parquet(str(many))
    found = dataset.map_batches(answer, batch_format="pandas", batch_size=50).to_pandas()
    expected = answer(read(many))
    found = pl.from_pandas(found).sort("id")
    assert found.equals(expected.sort("id"))
    numbers = cluster.data.range(60).add_column("x", lambda batch: batch["id"] * 2.0)
    source = BlockRows.of_ray(numbers, ["x"])
    rng = torch.Generator().manual_seed(0)
    batch = source.batch(source.order(rng), rng)
    assert sorted(batch[:, 0].tolist()) == [2.0 * k for k in range(60)]


def test_rounds_on_ray_give_results_in_order(cluster):
    with OnRay(workers=2).rounds() as each:
        assert each(str, [3, 1, 2]) == ["3", "1", "2"]
        assert each(abs, [-3, 1]) == [3, 1]


class Deadly:
    """Ends its process by a signal: always on the item "b", and on "c" the first time."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, item):
        mark = self.folder / item
        if item == "b" or (item == "c" and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item.upper()


@pytest.mark.timeout(600)  # three actors are started anew
def test_an_actor_that_dies_is_replaced_and_what_kills_it_is_left_out(
    cluster, tmp_path, monkeypatch, capsys
):
    """Ray Data alone would send what kills its worker again for ever, and writes about it where the
    answer of a command is printed."""
    monkeypatch.setattr(engines, "RETRIES", 1)
    items, names = ["a", "b", "c", "d"], lambda item, why: f"{item}: {why}"
    found = sorted(OnRay(workers=1).map(Deadly(tmp_path), items, names), key=str.upper)
    assert [found[0], *found[2:]] == ["A", "C", "D"]
    assert found[1].startswith("b: its worker was killed again")
    assert capsys.readouterr().out == ""


def test_actors_leave_a_cpu_for_reading(cluster):
    """Otherwise Ray Data waits for ever (ray-project/ray#44687)."""
    for workers in (1, 2, 7):
        pool = OnRay(workers=workers).pool(cluster)
        assert workers * pool["num_cpus"] <= 2 - READERS


def test_an_address_without_a_cluster_is_named():
    pytest.importorskip("ray", reason="the scale extra is not installed")
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9", "nonsense"):
        with pytest.raises(ConnectionError, match="no Ray cluster answers at"):
            OnRay(address).check()
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        OnRay(workers=0)
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        Local(0)


def test_the_function_of_a_partition_serves_dask(table_run, many):
    dask = pytest.importorskip("dask.dataframe", reason="Dask is not installed")
    answer, whole = partition(table_run, "score"), read(many)
    frame = dask.from_pandas(whole.to_pandas(), npartitions=7)
    meta = answer(whole[:1].to_pandas())
    found = frame.map_partitions(answer, meta=meta).compute(scheduler="threads")
    expected = answer(whole.to_pandas())
    np.testing.assert_array_equal(found["log_prob"], expected["log_prob"])
    assert found.index.equals(expected.index)


def test_the_function_of_a_partition_serves_spark(table_run, many, monkeypatch):
    sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    answer, whole = partition(table_run, "score"), read(many)
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "70").getOrCreate()
    try:
        frame = spark.read.parquet(str(many)).repartition(3)
        made = frame.mapInPandas(lambda each: map(answer, each), "id string, log_prob double")
        found = pl.from_pandas(made.toPandas()).sort("id")
    finally:
        spark.stop()
    assert found.equals(answer(whole).sort("id"))
