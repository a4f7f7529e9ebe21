"""Data frames: missing values of every kind, and types that come back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from quasistatic.spaces import Table

LEVELS = [1, 2, 3, 7, 40]


@pytest.mark.parametrize("dtype", ["string", "boolean", "object", "category"])
def test_a_missing_value_of_pandas_is_missing(dtype):
    kinds = (True, False) if dtype == "boolean" else ("x", "y")
    values = [pd.NA if i % 7 == 0 else kinds[i % 2] for i in range(80)]
    frame = pd.DataFrame({"a": np.arange(80.0), "t": pd.Series(values, dtype=dtype)})
    table = Table.infer(frame)
    rows = table.read(frame)
    assert rows[:, 1].isnan().tolist() == [i % 7 == 0 for i in range(80)]
    written = table.write(rows)
    assert written["t"].isna().tolist() == frame["t"].isna().tolist()
    seen = ~frame["t"].isna()
    assert written["t"][seen].tolist() == frame["t"][seen].tolist()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("holes", [False, True])
def test_a_category_of_whole_numbers_is_one_of_classes_and_comes_back(ordered, holes):
    values = np.random.default_rng(0).choice(LEVELS, 150).tolist()
    if holes:
        values[3] = None
    classes = [40, 7, 3, 2, 1, 99]  # one that no row has, in an order of its own
    column = pd.Categorical(values, classes, ordered)
    frame = pd.DataFrame({"a": np.arange(150.0), "c": column})
    table = Table.infer(frame)
    assert table.columns[1].kind == "categorical"
    assert list(table.columns[1].classes) == LEVELS
    pd.testing.assert_series_equal(table.write(table.read(frame))["c"], frame["c"])


def test_rows_of_whole_numbers_are_read_by_a_category_of_them_and_the_reverse():
    numbers = pd.DataFrame({"a": np.arange(60.0), "c": [LEVELS[i % 5] for i in range(60)]})
    classes = numbers.astype({"c": "category"})
    table = Table.infer(classes)
    assert torch.equal(table.read(numbers), table.read(classes))
    plain = Table.infer(numbers)
    assert torch.equal(plain.read(numbers), plain.read(classes))


def test_an_enum_of_polars_comes_back():
    kind = pl.Enum(["low", "middle", "high", "never"])
    frame = pl.DataFrame(
        {
            "a": [float(i) for i in range(60)],
            "c": pl.Series([["low", "high", "middle"][i % 3] for i in range(60)], dtype=kind),
        }
    )
    table = Table.infer(frame)
    written = table.write(table.read(frame))
    assert written["c"].dtype == kind
    assert written["c"].to_list() == frame["c"].to_list()
