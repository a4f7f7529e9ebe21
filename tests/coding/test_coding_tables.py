"""Codes of tables and of real columns: each float comes back, and costs what the bound says."""

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import quasistatic as qs
from conftest import Silent, default_dtype, member
from quasistatic.coding import blocks, codec, stream
from quasistatic.coding.alphabets import GroupedAlphabet
from quasistatic.coding.arithmetic import NativeFloats
from quasistatic.coding.bins import UniformBins, pop_bins, push_bins
from quasistatic.coding.blocks import Coded
from quasistatic.coding.chain import Chain
from quasistatic.coding.decimal_grids import scan_columns
from quasistatic.coding.errors import DamagedValues
from quasistatic.coding.header import NEWEST
from quasistatic.coding.missing_values import pop_missing, push_missing
from quasistatic.coding.packing import pack_column, unpack_column
from quasistatic.coding.portability import Native, Portability, Portable
from quasistatic.coding.quantizers import DecimalQuantizer, FloatQuantizer, ordered
from quasistatic.coding.raw_alphabets import EDGES, NumberAlphabet, _slope
from quasistatic.coding.stack import Stack
from quasistatic.coding.values import values_of
from quasistatic.diagnostics.oracles import GaussianOracle
from quasistatic.distributions import Categorical, Gaussian, OneHotGroups, OneHotSupport
from quasistatic.heads import Classes as ClassesHead
from quasistatic.heads import ProductHead
from quasistatic.kernels import CategoricalKernel, ProductKernel
from quasistatic.recipes.tabular import tabular
from quasistatic.spaces import Continuous, Integers, OneHot, PiecewiseLinear, Table
from quasistatic.spaces.columns import CategoryColumn, ConstantColumn, IntegerColumn, NumericColumn
from quasistatic.spaces.yeo_johnson import YeoJohnson

SPACES = {
    "scaled": Continuous(2, (0.3, -5.0), (2.0, 0.01)),
    "bent": YeoJohnson(2, (0.2, 1.7), (0.3, -5.0), (2.0, 0.5), (0.1, 0.0), (0.8, 1.1)),
    "knots": PiecewiseLinear(
        2, ((-3.0, 0.0, 0.001, 50.0), (0.0, 1.0)), ((-2.0, -0.1, 0.1, 2.0), (0.0, 3.0))
    ),
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


VALUES = {
    "places": [-1, -1, 2, 0, 0, 0, 2, 3],
    "narrow": [1],
    "minus": [],
    "holes": [0, 2, 4],
}
"""What the header says of the columns of :func:`frame`."""


def frame(n: int, seed: int = 0) -> pd.DataFrame:
    """All kinds of columns, with holes in three."""
    rng = np.random.default_rng(seed)
    class_ = rng.integers(0, 3, n)
    table = pd.DataFrame(
        {
            "real": rng.normal(size=n) * 3 + class_,
            "thin": (100 * rng.normal(size=n)).astype("f4"),
            "decimal": np.round(2 * rng.normal(size=n), 2),
            "whole": rng.integers(-100, 300, n),
            "name": np.array(["u", "v", "w"])[class_],
            "bit": rng.random(n) < 0.3,
            "same": 3.25,
            "price": np.round(np.exp(2 * rng.normal(size=n)), 3),
        }
    )
    for name in ("real", "decimal", "name"):
        table.loc[rng.random(n) < 0.1, name] = None
    return table


def of_table(n: int = 150, steps: int = 2) -> tuple[qs.Diffusion, np.ndarray]:
    """A model of such a table that has learned nothing, and the rows."""
    rows = frame(n)
    table = Table.infer(rows, types={"price": "quantiles"})
    torch.manual_seed(0)
    return tabular(table, steps=steps, width=16, depth=1), table.read(rows).numpy()


def by_the_chain(model: qs.Diffusion, x: np.ndarray, chain: Chain | None = None) -> blocks.Block:
    """A block by the model, be it longer than a plain one."""
    chain = chain or Chain(model).scan(x)
    made = blocks._push_all(chain, torch.from_numpy(x.astype(np.float64)), 16)
    block = blocks.replace(made, checksum=blocks.zlib.crc32(x.tobytes()))
    assert blocks.decode(chain, block, x.dtype, 16).tobytes() == x.tobytes()
    return block


# Numbers and their bins.


NATIVE = NativeFloats()


def floats(space, width: float, narrow: torch.Tensor) -> FloatQuantizer:
    slope = _slope(space, width)
    return FloatQuantizer(space, width, narrow, NATIVE.power_of_two(slope * width / EDGES), slope)


def split(quantizer, raw, arithmetic=NATIVE) -> tuple[torch.Tensor, torch.Tensor]:
    index = quantizer.index(raw, arithmetic)
    return index, quantizer.members(index, arithmetic).rank(raw)


def join(quantizer, index, rank, arithmetic=NATIVE) -> torch.Tensor:
    return quantizer.members(index, arithmetic).value(rank)


def count(quantizer, index, arithmetic=NATIVE) -> torch.Tensor:
    return quantizer.members(index, arithmetic).count


@every_space
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_every_float_is_the_only_one_of_its_cell_and_rank(space, narrow):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(200, 2)) * 10.0 ** rng.integers(-30, 3, (200, 2)))
    x[0], x[1], x[2] = 0.0, -0.0, 5e-324
    x = x.float().double() if narrow else x
    quantizer = floats(space, 2.0**-9, torch.tensor([narrow, narrow]))
    index, rank = split(quantizer, x)
    assert join(quantizer, index, rank).numpy().tobytes() == x.numpy().tobytes()
    assert ((rank >= 0) & (rank < count(quantizer, index))).all()
    # The next float has the next rank, or is the first of a later cell.
    held = x.float() if narrow else x
    step = held.nextafter(torch.full_like(held, math.inf)).double()
    later, first = split(quantizer, step)
    at_end = rank + 1 == count(quantizer, index)
    neighbours = (
        ordered(step, quantizer.narrow) - ordered(x, quantizer.narrow) == 1
    )  # minus zero has none
    assert torch.where(at_end, (later > index) & (first == 0), first == rank + 1)[neighbours].all()


@every_space
def test_decimals_are_told_exactly(space):
    index = torch.arange(-300.0, 300.0)[:, None].expand(-1, 2)
    for k, narrow in ((0, False), (1, False), (3, False), (3, True), (9, False)):
        value = index / 10.0**k
        value = value.float().double() if narrow else value
        assert narrow or value[:, 0].tolist() == [float(f"{i:.0f}e-{k}") for i in index[:, 0]]
        yes, no = torch.tensor([True, True]), torch.tensor([False, False])
        ends = torch.tensor([-math.inf, -math.inf]), torch.tensor([math.inf, math.inf])
        unit = torch.full((2,), 10.0**k, dtype=torch.float64)
        quantizer = DecimalQuantizer(space, unit, yes if narrow else no, yes, *ends)
        found, rank = split(quantizer, value)
        assert torch.equal(found, index)
        assert torch.equal(join(quantizer, found, rank), value)
        zero = torch.zeros(1, 2).double()
        assert join(quantizer, *split(quantizer, -zero)).signbit().all()
        middle = quantizer.position(space.encode(value)).floor()
        assert torch.equal(middle, index)
        assert (quantizer.edge(index) < space.encode(value)).all()
        assert (quantizer.edge(index + 1) > space.encode(value)).all()


@every_space
@pytest.mark.parametrize("spread", [1e-3, 0.3])
def test_a_number_costs_its_mass_and_those_it_shares_it_with(space, spread, rng):
    """-log2 of the cell's mass, and log2 of how many numbers are in the cell, by any map."""
    law = Gaussian(torch.randn(400, 2, generator=rng), torch.full((400, 2), spread**2))
    raw = space.decode(law.sample(rng)).double() + 0.0  # no minus zero
    grid = torch.full((2,), 1e4, dtype=torch.float64), *torch.zeros(2, 2).bool()
    far = torch.full((2,), math.inf).double()
    for quantizer in (
        DecimalQuantizer(space, *grid, -far, far),
        floats(space, 2.0 ** math.floor(math.log2(spread / 16)), grid[1]),
    ):
        x = join(quantizer, *split(quantizer, raw))
        index, _ = split(quantizer, x)
        nats = law.log_mass(quantizer.edge(index), quantizer.edge(index + 1))
        said = (-nats / math.log(2) + count(quantizer, index).log2()).sum().item()
        stack, alphabet = Stack.start(20_000), NumberAlphabet(quantizer)
        before = stack.bits
        alphabet.push(stack, law, x)
        assert abs(stack.bits - before - said) < 2e-3 * x.numel()
        assert torch.equal(alphabet.pop(stack, law, x), x)
        assert stack.holds_only(20_000)


@every_space
def test_an_outlier_is_told_too(space):
    """Far outside of the window, on both sides, by a grid and by floats."""
    law = Gaussian(torch.zeros(5, 2).double(), torch.full((5, 2), 1e-4).double())
    x = torch.tensor([[-1e5, 1e5], [30.0, -30.0], [1e4, 2.0], [0.0, 0.1], [3.0, -2.0]]).double()
    flags, far = torch.zeros(2, dtype=torch.bool), torch.full((2,), math.inf).double()
    hundred = torch.full((2,), 100.0, dtype=torch.float64)
    for quantizer in (
        DecimalQuantizer(space, hundred, flags, flags, -far, far),
        floats(space, 2.0**-10, flags),
    ):
        x = join(quantizer, *split(quantizer, x))
        stack = Stack.start(3000)
        NumberAlphabet(quantizer).push(stack, law, x)
        assert torch.equal(NumberAlphabet(quantizer).pop(stack, law, x), x)
        assert stack.holds_only(3000)


def test_what_lies_beyond_counting_is_an_error():
    flags = torch.zeros(1, dtype=torch.bool)
    law = Gaussian(torch.zeros(1, 1).double(), torch.ones(1, 1).double())
    quantizer = floats(Continuous(1), 2.0**-10, flags)
    for value in (1e300, -1e20):
        with pytest.raises(ArithmeticError):
            NumberAlphabet(quantizer).push(Stack.start(100), law, torch.tensor([[value]]).double())


def test_whole_numbers_of_a_range_cost_what_the_space_says(rng):
    """The outer cells reach to infinity: the code is that of `Integers.log_prob`."""
    space = Integers(2, (-3, 0), (4, 900), (0.2, 450.0), (2.0, 200.0))
    law = Gaussian(torch.randn(500, 2, generator=rng), torch.full((500, 2), 0.7))
    raw = space.decode(law.sample(rng)).double() + 0.0  # no minus zero
    chain_ends = (torch.tensor(end).double() for end in (space.low, space.high))
    flags = torch.zeros(2, dtype=torch.bool)
    alphabet = NumberAlphabet(
        DecimalQuantizer(space, torch.ones(2).double(), flags, flags, *chain_ends)
    )
    stack = Stack.start(10_000)
    before = stack.bits
    alphabet.push(stack, law, raw)
    said = -space.log_prob(law, space.encode(raw)).sum().item() / math.log(2)
    assert abs(stack.bits - before - said) < 2e-3 * raw.numel()
    assert torch.equal(alphabet.pop(stack, law, raw), raw)


def test_classes_cost_their_probability_and_holes_nothing(rng):
    """Groups of unlike sizes; no symbol is spent on a group that is absent."""
    groups = OneHotGroups((2, 5, 2, 3))
    law = Categorical(2 * torch.randn(300, groups.width, generator=rng), groups)
    x = law.sample(rng)
    absent = torch.rand(300, 4, generator=rng) < 0.3
    x = torch.where(groups.expand(absent.double()) > 0, math.nan, x)
    stack = Stack.start(5000)
    before = stack.bits
    GroupedAlphabet(OneHotSupport(groups)).push(stack, law, x)
    said = -law.log_prob(x.nan_to_num()).sum().item() / math.log(2)
    assert abs(stack.bits - before - said) < 2e-3 * x.numel()
    again = GroupedAlphabet(OneHotSupport(groups)).pop(stack, law, torch.where(x.isnan(), x, 0.0))
    assert torch.equal(again.nan_to_num(-1), x.nan_to_num(-1))
    assert stack.holds_only(5000)


def test_cells_leave_out_what_is_absent(rng):
    law = member("gaussian", rng, 50, 3)
    there = torch.rand(50, 3, generator=rng) < 0.5
    index = (law.sample(rng) / 0.1).floor()
    whole, some = Stack.start(2000), Stack.start(2000)
    for row, column in there.nonzero().flip(0).tolist():
        one = Gaussian(law.loc[row, column].view(1, 1), law.variance[row, column].view(1, 1))
        push_bins(
            whole, UniformBins(0.1), one, index[row, column].view(1, 1), torch.ones(1, 1).bool()
        )
    push_bins(some, UniformBins(0.1), law, index, there)
    assert abs(some.bits - whole.bits) < 0.01 * there.sum()
    assert torch.equal(pop_bins(some, UniformBins(0.1), law, there)[there], index[there])
    assert some.holds_only(2000)


@given(st.lists(st.tuples(*[st.booleans()] * 4), min_size=1, max_size=60))
@settings(max_examples=30, deadline=None)
def test_holes_come_back(rows):
    absent = np.array(rows)
    stack = Stack.start(50)
    push_missing(stack, absent)
    assert np.array_equal(pop_missing(stack, len(absent), 4), absent)
    assert stack.holds_only(50)


def test_rows_that_lack_all_at_once_cost_hardly_more_than_one_column():
    gone = np.random.default_rng(0).random(2000) < 0.1
    cost = []
    for columns in (1, 8):
        stack = Stack.start(10)
        before = stack.bits
        push_missing(stack, np.tile(gone[:, None], columns))
        cost.append(stack.bits - before)
    share = gone.mean()
    entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    assert cost[0] == pytest.approx(2000 * entropy, rel=0.03)
    assert cost[1] < cost[0] + 7 * 30


@pytest.mark.parametrize("size", [2, 2**24, 2**24 + 1, 2**40 - 3, 2**62 + 5])
def test_large_whole_numbers_are_alike_probable(size):
    x = np.random.default_rng(0).integers(0, size, 200)
    x[:2] = 0, size - 1
    stack = Stack.start(10)
    before = stack.bits
    stack.push_uniform(x, np.full(200, size))
    assert stack.bits - before == pytest.approx(200 * math.log2(size), abs=3)
    assert np.array_equal(stack.pop_uniform(np.full(200, size)), x)


# What an array shows.


def test_a_grid_is_what_all_values_are_on():
    rng = np.random.default_rng(0)
    thin = np.round(rng.normal(size=500), 3).astype("f4").astype("f8")
    x = np.stack(
        [
            np.round(rng.normal(size=500) * 50, 1),
            rng.normal(size=500),
            rng.normal(size=500).astype("f4").astype("f8"),
            thin,
            rng.integers(-5, 5, 500).astype(float),
            np.round(rng.normal(size=500), 9),
            rng.integers(0, 2**50, 500) * 1.0,  # whole, and too many cells
            np.full(500, np.nan),
        ],
        1,
    )
    x[7, 4], x[8, 0] = -0.0, np.nan
    found = scan_columns(x)
    assert found.places.tolist() == [1, -1, -1, 3, 0, 9, -1, -1]
    assert found.narrow.tolist()[:6] == [False, False, True, True, False, False]
    assert found.minus.nonzero()[0].tolist()[-1:] == [4]
    assert found.holes.nonzero()[0].tolist() == [0, 7]
    x[499, 0] += 1e-12  # the last value alone spoils it
    assert scan_columns(x).places[0] == -1


def test_an_array_is_looked_at_in_parts(monkeypatch):
    x = np.round(np.random.default_rng(0).normal(size=(300, 4)), 2)
    x[250, 1] = 0.125
    x[251, 2] = np.nan
    whole = scan_columns(x)
    monkeypatch.setattr("quasistatic.coding.decimal_grids.AT_ONCE", 7 * 32)
    for one, other in zip(scan_columns(x), whole, strict=True):
        assert np.array_equal(one, other)
    assert whole.places.tolist() == [2, 3, 2, 2]


@pytest.mark.parametrize("places", [-1, 0, 2])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("most", [3, 1e4, 1e12])
def test_a_column_is_packed_without_a_model(places, narrow, most):
    x = np.random.default_rng(0).integers(-most, most, 50) / 100
    x = x.astype("f4").astype("f8") if narrow else x
    x[3] = np.nan
    data = pack_column(x, places, narrow)
    found, rest = unpack_column(memoryview(data + b"more"), 50, places, narrow)
    assert found.tobytes() == x.tobytes()
    assert rest == b"more"
    with pytest.raises(ValueError, match="column"):
        unpack_column(memoryview(data[:-1]), 50, places, narrow)


# Whole tables and arrays.


@pytest.mark.parametrize("n", [1, 20])
def test_rows_of_a_table_come_back_to_the_last_bit(n):
    model, x = of_table()
    by_the_chain(model, x[-n:])


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", ">f8", "f2"])
@every_space
def test_real_columns_of_any_type_come_back(space, dtype):
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(3, 8, -6))
    network = qs.networks.MLP(2, 8, 1)
    model = qs.Diffusion(space, kernel, qs.Velocity(), network)
    by_the_chain(model, (3 * np.random.default_rng(0).normal(size=(9, 2))).astype(dtype))


def test_classes_alone_come_back():
    space = OneHot((3, 2, 5), lowest=(0, 1, -2), masked=True)
    schedule = qs.schedules.erase_evenly(2)
    for kernel in (
        CategoricalKernel.absorbing(schedule, (4, 3, 6)),
        CategoricalKernel(schedule, (4, 3, 6)),
    ):
        torch.manual_seed(0)
        model = qs.Diffusion(space, kernel, ClassesHead(), qs.networks.MLP(space.state, 8, 1))
        x = np.random.default_rng(0).integers((0, 1, -2), (3, 3, 3), (12, 3))
        by_the_chain(model, x)
    assert np.array_equal(model.decompress(model.compress(x.astype("i1"), workers=1)), x)


def test_images_of_reals_keep_their_shape():
    model = qs.Diffusion(
        Continuous((2, 1, 3), scale=0.5),
        qs.GaussianKernel(qs.schedules.linear_log_snr(3, 8, -6)),
        qs.Velocity(),
        qs.networks.MLP((2, 1, 3), 8, 1),
    )
    by_the_chain(model, np.random.default_rng(0).normal(size=(9, 2, 1, 3)))


def test_the_rate_is_that_of_the_density_on_a_grid():
    """Exact steps: -log2 p of each row, and log2 of the grid; of floats, log2 of their spacing."""
    oracle = GaussianOracle((10.0, -3.0), (4.0, 0.25))
    model = qs.Diffusion(**oracle.parts(qs.GaussianKernel(qs.schedules.linear_log_snr(40, 8, -8))))
    rows = oracle.sample(500, torch.Generator().manual_seed(0)).numpy()
    grid = np.stack([np.round(rows[:, 0], 2), np.round(rows[:, 1], 3)], 1)
    for x, spaced in (
        (grid, np.full(500, 5 * math.log2(10))),
        (rows, -np.log2(np.spacing(np.abs(rows))).sum(1)),
    ):
        made = blocks._push_all(Chain(model, 8).scan(x), torch.from_numpy(x.astype("f8")), 500)
        net = 8 * (len(made.payload) - 4 * made.initial_words)
        bound = model.score(x.astype("f8"), None, 8).bits
        # A path's own length varies about its mean: here by less than a per cent over all rows.
        assert net == pytest.approx(spaced.sum() - bound.sum().item(), rel=0.02)


def test_the_rate_is_that_of_the_bound_on_a_table():
    """Classes, whole numbers, decimals, floats and holes, through their sum."""
    model, x = of_table(250, steps=6)
    model = model.double()
    file = io.BytesIO()
    report = qs.Codec(model, model.steps, together=250, workers=1, verify=False).write(x, file)
    assert report.blocks == {"chain": 1}
    numbers = x[:, [0, 1, 2, 7]]
    spaced = [np.spacing(np.abs(numbers[:, 0])), np.spacing(np.abs(numbers[:, 1].astype("f4")))]
    told = sum(-np.log2(each[~np.isnan(each)].astype(float)).sum() for each in spaced)
    told += math.log2(10) * (2 * (~np.isnan(numbers[:, 2])).sum() + 3 * 250)
    for lacks in np.isnan(x[:, [0, 2, 4]]).T:
        share = lacks.mean()
        told -= 250 * (share * math.log2(share) + (1 - share) * math.log2(1 - share))
    bound = sum(-model.score(x, None).nats.sum().item() for _ in range(3)) / 3 / math.log(2)
    net = 8 * (report.payload - report.initial)
    # A path's own length varies about its mean, much for a network that has learned nothing.
    assert net == pytest.approx(bound + told, rel=0.02)


# Streams.


@pytest.fixture(scope="module")
def small() -> tuple[qs.Diffusion, bytes, np.ndarray]:
    with default_dtype(torch.float64):
        model, x = of_table(40)
        chain, file = Chain(model, portability=Portable()).scan(x), io.BytesIO()
        header = codec.header_of(model, chain, x, 16, 20, "examples")
        file.write(header.pack())
        each = [by_the_chain(model, part, chain) for part in (x[:20], x[20:])]
        stream.write_blocks(file, header, each)
        return model, file.getvalue(), x


def test_a_table_s_stream_describes_its_columns(small):
    model, data, x = small
    assert data[8] == 4
    header = stream.read_header(io.BytesIO(data))
    assert header.values == VALUES
    again = model.decompress(data)
    assert again.tobytes() == x.tobytes()
    assert model.space.write(torch.from_numpy(again)).equals(model.space.write(torch.from_numpy(x)))


def test_a_few_rows_are_packed_by_columns(small):
    model, _, x = small
    n = 40
    file = io.BytesIO()
    report = qs.Codec(model, workers=1).write(x[:n], file)
    assert report.blocks == {"packed": 1}
    assert model.decompress(file.getvalue()).tobytes() == x[:n].tobytes()


def test_a_value_that_no_grid_tells_is_kept_as_it_is(small):
    """Another NaN than NumPy's, a class of minus zero, and numbers beyond all cells."""
    model, _, x = small
    for row, column, value in (
        (3, 0, np.uint64(0xFFF8000000000001).view("f8")),
        (4, 4, -0.0),
        (5, 0, 1e300),
    ):
        odd = x.copy()
        odd[row, column] = value
        data = model.compress(odd, workers=1, verify=False)
        assert model.decompress(data).tobytes() == odd.tobytes()


def test_minus_zero_in_a_column_of_decimals_leaves_its_grid(small):
    model, _, x = small
    odd = x.copy()
    odd[7, 2], odd[8, 3] = -0.0, -0.0
    assert scan_columns(odd).places[2] == 2
    by_the_chain(model, odd)


def test_a_memory_map_is_written_in_parts(tmp_path, small):
    from quasistatic.coding import compress_array, decompress_array

    model, x = small[0], small[2][:20]
    np.save(tmp_path / "x.npy", x)
    writer = qs.Codec(model, block=10, workers=1, verify=False)
    compress_array(writer, np.load(tmp_path / "x.npy", mmap_mode="r"), tmp_path / "x.qs")
    assert (tmp_path / "x.qs").read_bytes() == writer.compress(x)
    decompress_array(writer, tmp_path / "x.qs", tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy").tobytes() == x.tobytes()


def test_damage_is_an_error(small):
    """A flipped bit in any byte, and any cut; a checksum stands before what it covers."""
    _, data, _ = small
    rng = np.random.default_rng(0)
    for place in range(0, len(data), 3):
        altered = bytearray(data)
        altered[place] ^= 1 << int(rng.integers(8))
        for broken in (bytes(altered), data[:place]):
            with pytest.raises(qs.StreamError):
                parts_of(broken)


def parts_of(data: bytes) -> tuple[stream.Header, list[blocks.Block]]:
    file = io.BytesIO(data)
    header = stream.read_header(file)
    return header, list(stream.read_blocks(file, header))


def chain_with(model: qs.Diffusion, values: dict) -> Chain:
    return Chain(model, None, values_of(model.space, values), Portable())


def forged(data: bytes, blocks_: list | None = None, **change) -> bytes:
    """The stream with another header, or other blocks, and right checksums."""
    header, there = parts_of(data)
    there = there if blocks_ is None else blocks_
    new, header = io.BytesIO(), blocks.replace(header, **change)
    new.write(header.pack())
    stream.write_blocks(new, header, there)
    return new.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"places": [0] * 7},
        {"places": [99] + [0] * 7},
        {"places": [-2] + [0] * 7},
        {"places": [0.5] + [0] * 7},
        {"places": "00000000"},
        {"holes": [8]},
        {"holes": [-1]},
        {"holes": [1, 1]},
        {"minus": [[0]]},
        {"narrow": None},
        {"more": []},
    ],
)
def test_forged_columns_are_refused(small, change):
    model, data, _ = small
    values = stream.read_header(io.BytesIO(data)).values
    with pytest.raises(qs.StreamError, match="makes no sense"):
        model.decompress(forged(data, values=values | change))


def test_columns_of_another_kind_of_model_are_refused(small):
    model, data, _ = small
    values = stream.read_header(io.BytesIO(data)).values
    with pytest.raises(ValueError, match="same levels"):
        values_of(qs.Binary(8), values)
    with pytest.raises(ValueError, match="allows for none"):
        values_of(Continuous(8), values)
    with pytest.raises(ValueError, match="are described by"):
        values_of(model.space, [1, 2])


def test_wrong_grids_are_found_by_the_values(small):
    """A header that makes sense and is not true: what comes out is another array, and is not
    given out."""
    model, data, _ = small
    with pytest.raises(qs.StreamError, match="block 1"):
        model.decompress(forged(data, values=VALUES | {"places": [3] * 8}))
    block = parts_of(data)[1][0]
    for change in ({"narrow": []}, {"holes": []}, {"places": [-1] * 8}):
        chain = chain_with(model, VALUES | change)
        with pytest.raises(DamagedValues):
            blocks.decode(chain, block, np.dtype("f8"), 16)


def test_payloads_that_lie_are_found_and_make_no_large_thing(small):
    model, data, _ = small
    two, chain = parts_of(data)[1][1], chain_with(model, VALUES)
    bomb = blocks.squeeze(bytes(10**6))
    for coded, payload in (
        (Coded.chain, two.payload[:-8]),
        (Coded.chain, two.payload[8:]),
        (Coded.chain, np.random.default_rng(0).bytes(400)),
        (Coded.chain, b""),
        (Coded.packed, two.payload),
        (Coded.packed, bomb),
        (Coded.packed, (8 * 17 * 20).to_bytes(8, "little") + bomb),
        (Coded.raw, bomb),
    ):
        lying = blocks.replace(two, payload=payload, coded=coded)
        with pytest.raises(DamagedValues):
            blocks.decode(chain, lying, np.dtype("f8"), 16)


def test_floats_that_do_not_repeat_cost_length_and_no_value(small):
    model, _, x = small

    class Restless(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, time):
            return self.inner(x, time) + 0.1 * torch.randn_like(x)[..., None]

    restless = qs.Diffusion(model.space, model.kernel, model.head, Restless(model.network))
    rows = np.tile(x, (2, 1))
    file = io.BytesIO()
    qs.Codec(restless, workers=1).write(rows, file)
    assert restless.decompress(file.getvalue()).tobytes() == rows.tobytes()


def test_what_a_column_cannot_hold_is_refused(small):
    model, _, x = small
    wrong = x[20:].copy()
    wrong[15, 3] = 1e6
    with pytest.raises(ValueError, match="whole"):
        model.compress(wrong, block=10)
    with pytest.raises(ValueError, match=r"finite|inf"):
        model.compress(np.where(x == x[0, 1], np.inf, x))


# A stream that was written once, and must be read for ever.


GOLDEN = Path(__file__).parents[1] / "golden"


def golden() -> tuple[qs.Diffusion, np.ndarray]:
    """A model whose network says nothing, so that what it computes is the same everywhere but for
    last bits; and rows of each kind of column, all made of whole numbers."""
    common = (0.25, "Float64")
    table = Table(
        (
            NumericColumn("real", *common, (-1.0, 0.0, 4.0), (-1.5, 0.0, 1.5), -1.0, 4.0),
            NumericColumn("decimal", *common, (0.0, 10.0), (-1.0, 1.0), 0.0, 10.0),
            IntegerColumn("whole", *common, -50, 50, 0.0, 20.0),
            CategoryColumn("name", *common, ("u", "v", "w"), (0.5, 0.25, 0.25)),
            ConstantColumn("same", *common, 7),
        )
    )
    kernel = ProductKernel(
        (
            qs.GaussianKernel(qs.schedules.linear_log_snr(3, 6, -6)),
            qs.GaussianKernel(qs.schedules.linear_log_snr(3, 6, -6)),
            CategoricalKernel(qs.schedules.erase_evenly(3), (3,), (0.5, 0.25, 0.25)),
        ),
        table.widths,
    )
    head = ProductHead((qs.Velocity(), qs.Velocity(), ClassesHead()))
    k = np.arange(24)
    rows = np.stack([np.sqrt(k) - 1, k * 4.1 % 10, k * 7 % 101 - 50, k % 3, 0 * k + 7.0], 1)
    rows[:, 1] = np.round(rows[:, 1], 1)
    rows[k % 5 == 1, 0] = rows[k % 7 == 2, 3] = rows[k % 11 == 3, 4] = np.nan
    return qs.Diffusion(table, kernel, head, Silent()), rows


def golden_stream(way: Portability) -> bytes:
    model, x = golden()
    chain, file = Chain(model, portability=way).scan(x), io.BytesIO()
    header = codec.header_of(model, chain, x, 16, 16, "examples")
    file.write(header.pack())
    packed = blocks._plain(chain, x[16:], x[16:])[0]
    stream.write_blocks(file, header, [by_the_chain(model, x[:16], chain), packed])
    return file.getvalue()


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_golden_table_is_read(version):
    model, x = golden()
    data = (GOLDEN / f"table-{version}.qs").read_bytes()
    assert data[8] == version
    assert {block.coded for block in parts_of(data)[1]} == {Coded.chain, Coded.packed}
    assert model.decompress(data, anyway=version < 3).tobytes() == x.tobytes()


def test_the_blocks_of_version_2_are_still_what_native_floats_make():
    old = parts_of((GOLDEN / "table-2.qs").read_bytes())[1]
    new = parts_of(golden_stream(Native()))[1]
    assert old == new


def test_a_portable_table_is_written_alike_everywhere():
    assert golden_stream(Portable()) == (GOLDEN / f"table-{NEWEST}.qs").read_bytes()


if __name__ == "__main__":  # for a new version only
    torch.set_default_dtype(torch.float64)
    (GOLDEN / f"table-{NEWEST}.qs").write_bytes(golden_stream(Portable()))
