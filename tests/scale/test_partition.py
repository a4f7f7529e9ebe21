"""A partition's answers do not depend on the partitions."""

import pickle

import numpy as np
import polars as pl
import pytest

import quasistatic as qs
from quasistatic.opened import open as open_run
from quasistatic.scale import partition
from quasistatic.scale.settled import settled
from visit_rows import visits

pytestmark = pytest.mark.usefixtures("float32")

TABLE_CASES = [
    ("score", {}),
    ("score", {"by_column": True}),
    ("outliers", {"level": 0.1}),
    ("impute", {}),
    ("impute", {"intervals": 0.8}),
    ("complete", {"draws": 3, "seed": 5}),
]


def in_pieces(answer, rows, size):
    return pl.concat([answer(rows[i : i + size]) for i in range(0, len(rows), size)])


@pytest.mark.parametrize(("verb", "options"), TABLE_CASES)
def test_rows_of_a_table_have_the_same_answers_in_every_partition(table_run, verb, options):
    rows = visits(150, seed=3, holes=0.15)
    answer = partition(table_run, verb, **options)
    whole = answer(rows)
    assert whole.equals(in_pieces(answer, rows, 37))
    assert whole.equals(in_pieces(answer, rows, 1))
    back = whole.sort("id", maintain_order=True)
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=1)
    assert back.equals(answer(mixed).sort("id", maintain_order=True))


def test_draws_of_a_table_are_the_same_in_every_partition(table_run):
    answer = partition(table_run, "sample", seed=3)
    numbers = pl.DataFrame({"draw": np.arange(2500)})
    whole = answer(numbers)
    assert whole.equals(in_pieces(answer, numbers, 700))
    assert answer(numbers[[2100, 7]]).equals(whole[[2100, 7]])
    assert whole.unique(subset=["size"]).height == 2500


def test_a_partition_answers_like_the_opened_run(table_run, tmp_path):
    rows = visits(80, seed=4, holes=0.1)
    rows.write_parquet(tmp_path / "x.parquet")
    model = open_run(table_run)
    model.score(tmp_path / "x.parquet", out=tmp_path / "score.parquet")
    assert pl.read_parquet(tmp_path / "score.parquet").equals(partition(model, "score")(rows))
    model.outliers(tmp_path / "x.parquet", out=tmp_path / "odd.parquet")
    assert pl.read_parquet(tmp_path / "odd.parquet").equals(partition(model, "outliers")(rows))
    model.impute(tmp_path / "x.parquet", out=tmp_path / "full.parquet")
    mine, other = partition(model, "impute")(rows), pl.read_parquet(tmp_path / "full.parquet")
    assert mine.select(pl.exclude("size", "cost")).equals(other.select(pl.exclude("size", "cost")))
    for name in ("size", "cost"):
        np.testing.assert_allclose(mine[name], other[name], rtol=1e-8, atol=1e-7)


def test_a_partition_pickles_without_the_model(table_run):
    answer, rows = partition(table_run, "score"), visits(20, seed=5)
    answer(rows)
    sent = pickle.dumps(answer)
    assert len(sent) < 1000
    assert pickle.loads(sent)(rows).equals(answer(rows))


def test_streams_of_partitions_come_back(table_run):
    rows = visits(90, seed=6, holes=0.1)
    streams = in_pieces(partition(table_run, "compress", times=3, verify=False), rows, 40)
    assert streams["rows"].to_list() == [40, 40, 10]
    assert partition(table_run, "decompress")(streams).select(rows.columns).equals(rows)


def test_a_batch_may_be_of_any_library(table_run):
    rows, answer = visits(25, seed=7), partition(table_run, "score")
    expected = answer(rows)
    arrays = answer({name: rows[name].to_numpy() for name in rows.columns})
    np.testing.assert_array_equal(arrays["log_prob"], expected["log_prob"])
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert pl.from_arrow(answer(rows.to_arrow())).equals(expected)
    frame = rows.to_pandas().set_index(pandas.Index(range(100, 125)))
    found = answer(frame)
    assert found.index.equals(frame.index)
    np.testing.assert_array_equal(found["log_prob"], expected["log_prob"])


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        ("scores", {}, "there is no verb 'scores'"),
        ("score", {"evaluations": 3}, "score has no option 'evaluations'; it has by_column"),
        ("outliers", {"level": 2}, "level is a share between 0 and 1, got 2"),
        ("complete", {"draws": 0}, "draws must be 1 or more, got 0"),
    ],
)
def test_wrong_options_are_named_before_any_work(table_run, verb, options, said):
    with pytest.raises(ValueError, match=said):
        partition(table_run, verb, **options)


def test_other_models_and_batches_are_refused(table_run):
    with pytest.raises(TypeError, match="a run folder"):
        partition(qs.DiffusionDensity(), "score")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        partition("nowhere", "score")
    with pytest.raises(TypeError, match="a batch of rows is a pyarrow table"):
        partition(table_run, "score")([1, 2])
    with pytest.raises(ValueError, match="numbers the draws"):
        partition(table_run, "sample")(pl.DataFrame({"draw": [0.5]}))


@pytest.fixture(scope="module")
def digits():
    return qs.data.split(qs.data.digits()).test[:40]


def test_examples_have_the_same_answers_in_every_partition(digits):
    answer = partition("digits", "score", evaluations=4)
    whole, order = answer(digits), np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(whole[order], answer(digits[order]))
    np.testing.assert_array_equal(whole, np.concatenate([answer(digits[:7]), answer(digits[7:])]))


def test_draws_and_completions_of_examples_are_the_same_in_every_partition(digits):
    sample = partition("digits", "sample", times=4, seed=2)
    whole = sample(np.arange(70))
    np.testing.assert_array_equal(whole[[3, 66]], sample(np.array([3, 66])))
    holed = digits[:6].astype(float)
    holed[:5, 32:] = np.nan
    complete = partition("digits", "complete", draws=2, particles=16, times=4)
    whole = complete(holed)
    assert not np.isnan(whole).any()
    np.testing.assert_array_equal(whole[5], np.stack([digits[5]] * 2))
    np.testing.assert_array_equal(whole[2:], complete(holed[2:]))


def test_a_model_in_memory_answers_arrays_by_column(digits):
    model = qs.load_pretrained("digits")
    answer = pickle.loads(pickle.dumps(partition(model, "score", evaluations=4)))
    found = answer({"data": digits[:5], "name": np.arange(5)})
    assert list(found) == ["name", "log_prob"]
    np.testing.assert_array_equal(
        found["log_prob"], partition("digits", "score", evaluations=4)(digits[:5])
    )
    streams = partition(model, "compress", times=3, verify=False)(digits[:9])["stream"]
    np.testing.assert_array_equal(partition(model, "decompress")(streams), digits[:9])
    with pytest.raises(ValueError, match="examples of the model have shape"):
        answer(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="run folder of a model of images"):
        partition(model, "outliers")


def test_settled_numbers_do_not_depend_on_their_last_bits():
    rng, scale = np.random.default_rng(0), np.array([1e-3, 50.0])
    exact = rng.normal(size=(1000, 2)) * scale * 10.0 ** rng.integers(-6, 3, (1000, 2))
    # Some lie exactly between two neighbouring roundings.
    size = np.maximum(np.abs(exact[:50]), scale)
    unit = 10.0 ** (8 - np.floor(np.log10(size)))
    exact[:50] = (np.floor(exact[:50] * unit) + 0.5) / unit
    chosen = np.ones(exact.shape, dtype=bool)

    def noisy():
        error = 1e-14 * rng.normal(size=exact.shape) * np.maximum(np.abs(exact), scale)
        return settled(exact + error, chosen, lambda k: exact[k], scale)

    each = [noisy() for _ in range(3)]
    np.testing.assert_array_equal(each[0], each[1])
    np.testing.assert_array_equal(each[0], each[2])
    assert (np.abs(each[0] - exact) <= 6e-9 * np.maximum(np.abs(exact), scale)).all()
    kept = settled(exact, ~chosen, lambda k: exact[k], scale)
    np.testing.assert_array_equal(kept, exact)
