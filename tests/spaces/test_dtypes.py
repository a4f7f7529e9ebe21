"""Columns of every type of pandas and polars come back: through a table, draws and completions."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quasistatic import DiffusionDensity, DiffusionImputer, DiffusionOutliers
from quasistatic.spaces import Table
from quasistatic.spaces.clock import STEPS, Clock

N = 24
SECONDS = 1_600_000_000 + 86_400 * np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8] * 2)
WORDS = ["ant", "bee", "cat", "bee", "ant", "ant"] * 4
WHOLE = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8] * 2
REAL = (np.sin(np.arange(N) * 1.7) * 10).round(3).tolist()
TIMES = SECONDS.astype("datetime64[s]")
MINUTES = TIMES + np.arange(N).astype("timedelta64[m]")


def pandas_columns():
    """One column of each type of pandas, by a name for it."""
    found = {name: pd.Series(WHOLE, dtype=name) for name in ("int64", "int8", "uint16", "Int32")}
    found |= {name: pd.Series(REAL, dtype=name) for name in ("float64", "float32", "Float64")}
    found |= {name: pd.Series(WORDS, dtype=name) for name in ("object", "string", "str")}
    found |= {name: pd.Series([w > "b" for w in WORDS], dtype=name) for name in ("bool", "boolean")}
    found["category"] = pd.Series(pd.Categorical(WORDS))
    found["ordered"] = pd.Series(pd.Categorical(WORDS, ["cat", "ant", "bee", "dog"], ordered=True))
    found["category of numbers"] = pd.Series(pd.Categorical(WHOLE))
    found["category of reals"] = pd.Series(pd.Categorical([w / 4 for w in WHOLE]))
    days = pd.to_datetime(["2024-01-05", "2024-02-06", "2024-03-07"])
    codes = [w % 3 for w in WHOLE]
    for name, categories in {
        "category of dates": days,
        "category of dates with a zone": days.tz_localize("Europe/Berlin"),
        "category of durations": pd.to_timedelta([1, 2, 5], "h"),
        "category of months": pd.period_range("2024-01", periods=3, freq="M"),
        "category of intervals": pd.IntervalIndex.from_breaks([0.0, 1.0, 2.5, 5.0]),
    }.items():
        made = pd.Categorical.from_codes(codes, categories=categories, ordered=True)
        found[name] = pd.Series(made)
    for unit in ("s", "ms", "us", "ns"):
        found[f"days {unit}"] = pd.Series(TIMES.astype(f"datetime64[{unit}]"))
        found[f"minutes {unit}"] = pd.Series(MINUTES.astype(f"datetime64[{unit}]"))
    found["zone"] = pd.Series(TIMES).dt.tz_localize("Europe/Berlin")
    found["zone, minutes"] = pd.Series(MINUTES).dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata")
    found["timedelta"] = pd.Series(MINUTES - MINUTES[0])
    found["dates"] = pd.Series([t.date() for t in pd.Series(TIMES)], dtype=object)
    found["decimals"] = pd.Series([Decimal(f"{x:.3f}") for x in REAL], dtype=object)
    return found


def polars_columns():
    """One column of each type of polars, by a name for it."""
    found = {}
    for kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64):
        found[str(kind)] = pl.Series(WHOLE, dtype=kind)
    for kind in (pl.Float32, pl.Float64):
        found[str(kind)] = pl.Series(REAL, dtype=kind)
    found["bool"] = pl.Series([w > "b" for w in WORDS])
    found["string"] = pl.Series(WORDS)
    found["categorical"] = pl.Series(WORDS, dtype=pl.Categorical)
    found["enum"] = pl.Series(WORDS, dtype=pl.Enum(["cat", "ant", "bee", "dog"]))
    found["decimal"] = pl.Series([Decimal(f"{x:.3f}") for x in REAL], dtype=pl.Decimal(12, 3))
    found["date"] = pl.Series(TIMES.astype("M8[us]")).cast(pl.Date)
    found["month"] = (
        pl.Series(TIMES.astype("M8[us]")).cast(pl.Date).dt.truncate("1mo").dt.offset_by("-7mo")
    )
    for unit in ("ms", "us", "ns"):
        found[f"datetime {unit}"] = pl.Series(MINUTES.astype("M8[us]")).cast(pl.Datetime(unit))
        found[f"duration {unit}"] = pl.Series((MINUTES - MINUTES[0]).astype("m8[us]")).cast(
            pl.Duration(unit)
        )
    days = pl.Series(TIMES.astype("M8[us]")).cast(pl.Datetime("us")).dt.truncate("1d")
    found["zone, days"] = days.dt.replace_time_zone("America/New_York")
    found["zone, minutes"] = (
        pl.Series(MINUTES.astype("M8[us]")).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    ).dt.convert_time_zone("Europe/London")
    found["time"] = pl.Series([datetime.time(w, 15 * (w % 4)) for w in WHOLE])
    return found


PANDAS, POLARS = pandas_columns(), polars_columns()


def with_holes(column, holes):
    """The column with missing values in those rows."""
    if isinstance(column, pl.Series):
        return column.set(pl.Series(np.isin(np.arange(len(column)), holes)), None)
    hidden = np.isin(np.arange(len(column)), holes)
    if not holes or (column.dtype != object and str(column.dtype) != "bool"):
        return column.mask(hidden)
    return column.astype(object).mask(hidden, None)


def equal(found, column):
    if isinstance(column, pl.Series):
        assert found.dtype == column.dtype
        assert found.equals(column)
    else:
        pd.testing.assert_series_equal(found, column)


@pytest.mark.parametrize("holes", [[], [2, 5, 17]], ids=["whole", "holed"])
@pytest.mark.parametrize(
    ("library", "kind"),
    [*(("pandas", kind) for kind in PANDAS), *(("polars", kind) for kind in POLARS)],
)
def test_a_column_of_any_type_comes_back_from_a_table(library, kind, holes):
    column = {"pandas": PANDAS, "polars": POLARS}[library][kind]
    column = with_holes(column, holes)
    base = pl.DataFrame if library == "polars" else pd.DataFrame
    frame = base({"c": column, "x": REAL})
    table = Table.infer(frame)
    rows = table.read(frame)
    assert np.flatnonzero(rows[:, 0].isnan().numpy()).tolist() == holes
    equal(table.write(rows)["c"], frame["c"])


@st.composite
def frames(draw):
    """A frame of some types, with holes, an index and names of any kind."""
    library = draw(st.sampled_from(["pandas", "polars"]))
    columns = {"pandas": PANDAS, "polars": POLARS}[library]
    kinds = draw(st.lists(st.sampled_from(sorted(columns)), min_size=1, max_size=4, unique=True))
    names = draw(
        st.lists(st.text("abcdefg é_-.1", min_size=1), min_size=5, max_size=5, unique=True)
    )
    holes = draw(st.lists(st.integers(0, N - 1), max_size=5, unique=True))
    every = {name: columns[kind] for name, kind in zip(names, kinds, strict=False)}
    every[names[-1]] = pl.Series(REAL) if library == "polars" else pd.Series(REAL)
    # Bits and whole numbers of NumPy have no missing value in pandas.
    plain = {"bool", "int64", "int8", "uint16"}
    every = {
        name: with_holes(each, holes) if str(each.dtype) not in plain else each
        for name, each in every.items()
    }
    if library == "polars":
        return pl.DataFrame(every)
    index = draw(st.sampled_from([range(N), range(7, 7 + N), [f"r{i}" for i in range(N)]]))
    return pd.DataFrame(every).set_index(pd.Index(index))


def types(frame):
    return dict(frame.schema) if isinstance(frame, pl.DataFrame) else dict(frame.dtypes)


@settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(frames())
def test_frames_keep_types_order_index_and_names(frame):
    imputer = DiffusionImputer(draws=1, steps=0).fit(frame)
    filled = imputer.transform(frame)
    assert types(filled) == types(frame)
    if isinstance(frame, pd.DataFrame):
        assert filled.index.equals(frame.index)
        assert not filled.isna().any(axis=None)
        known = frame.notna()
        assert filled.where(known).equals(frame.where(known))
    else:
        assert filled.null_count().row(0) == (0,) * frame.width
        assert all(
            filled[name].set(frame[name].is_null(), None).equals(frame[name])
            for name in frame.columns
        )
    drawn = DiffusionDensity.of(imputer).sample(5, random_state=0)
    assert types(drawn) == types(frame)
    detector = DiffusionOutliers.of(imputer, level=0.2).calibrate(frame)
    scores = detector.score_samples(frame)
    assert np.isfinite(scores).all()
    assert np.array_equal(detector.score_samples(frame[::-1]), scores[::-1])


@pytest.mark.parametrize("kind", ["date", "datetime", "time", "duration"])
@given(st.integers(0, 2**32), st.sampled_from(STEPS))
def test_a_clock_counts_its_steps_exactly(kind, start, step):
    if kind in ("time", "duration") and step in ("Y", "M"):
        return
    if kind == "time":
        start, step = start % 10**9, step if step != "D" else "h"
    unit = np.timedelta64(1, step)
    origin = np.datetime64(start, "s").astype(f"datetime64[{step}]")
    count = 3 if kind == "time" else 20
    us = (origin + unit * np.arange(count)).astype("datetime64[us]").astype(np.int64)
    us = us % 86_400_000_000 if kind == "time" else us
    clock = Clock(kind, "us").fitted(us.astype(np.float64))
    assert STEPS.index(clock.step) <= STEPS.index(step)
    numbers = clock.numbers(us.astype(np.float64))
    assert np.array_equal(numbers, np.round(numbers))
    assert np.array_equal(clock.microseconds(numbers), us)


def test_a_draw_of_a_date_lies_on_the_clock_of_the_data():
    rng = np.random.default_rng(0)
    day = pl.Series(np.datetime64("2020-01-01") + rng.integers(0, 400, 200)).cast(pl.Date)
    at = day.cast(pl.Datetime("us")) + pl.duration(minutes=0)
    at = pl.select(
        pl.lit(day).cast(pl.Datetime("us"))
        + pl.duration(minutes=pl.Series(15 * rng.integers(0, 96, 200)))
    ).to_series()
    month = day.dt.truncate("1mo")
    frame = pl.DataFrame({"day": day, "at": at, "month": month, "x": rng.normal(size=200)})
    drawn = DiffusionDensity(steps=0).fit(frame).sample(300, random_state=0)
    assert drawn.schema == frame.schema
    assert set(drawn["month"].dt.day()) == {1}
    assert set(drawn["at"].dt.second()) == {0}
    for name in ("day", "month"):
        assert (drawn[name] - day.min()).dt.total_days().min() > -300
        assert (
            abs((drawn[name].cast(pl.Datetime).mean() - frame[name].cast(pl.Datetime).mean()).days)
            < 40
        )
    described = {row[0]: row[1:3] for row in DiffusionDensity().described(frame)}
    assert described["day"] == ("date", f"{day.min()} to {day.max()}")
    assert described["month"] == ("date", "2020-01 to 2021-02")
    assert described["at"][0] == "date and time"


def test_times_that_a_column_does_not_hold_are_refused():
    frame = pl.DataFrame({"day": POLARS["date"], "x": REAL})
    density = DiffusionDensity(steps=0).fit(frame)
    with pytest.raises(ValueError, match="column 'day' holds Int64, and values of the type date"):
        density.score_samples(frame.with_columns(day=pl.Series(WHOLE)))
    with pytest.raises(ValueError, match="column 'x' holds values of the type date, and had none"):
        density.score_samples(frame.with_columns(x=POLARS["date"]))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_of_all_types_comes_back_from_a_stream(library):
    """Fitted, as numbers of the model, compressed and read again: every value to the last bit."""
    columns = {"pandas": PANDAS, "polars": POLARS}[library]
    base = pl.DataFrame if library == "polars" else pd.DataFrame
    plain = {"bool", "int64", "int8", "uint16"}
    frame = base(
        {
            name: each if str(each.dtype) in plain else with_holes(each, [2, 5, 17])
            for name, each in columns.items()
        }
    )
    density = DiffusionDensity(steps=0, identity=()).fit(frame)
    stream = density.model_.compress(density.numbers(frame), times=3, workers=1)
    again = density.rows(density.model_.decompress(stream))
    assert list(again.columns) == list(frame.columns)
    for name in columns:
        equal(again[name], frame[name])
