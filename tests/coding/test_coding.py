"""Compression: what is read is what was written, and a stream is as long as the bound says."""

import io
import math
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

import quasistatic as qs
from conftest import FAMILIES, Silent, Wrong, assert_mean, default_dtype, member
from quasistatic.coding import (
    alphabets,
    blocks,
    chain,
    compatibility,
    float_reproducibility,
    packing,
    stream,
)
from quasistatic.coding import header as header_module
from quasistatic.coding.alphabets import BinAlphabet, FiniteAlphabet
from quasistatic.coding.arithmetic import NativeFloats
from quasistatic.coding.blocks import Coded, batch_slices
from quasistatic.coding.chain import Chain
from quasistatic.coding.errors import DamagedValues
from quasistatic.coding.layer_indices import receive
from quasistatic.coding.portability import Native, Portable
from quasistatic.coding.relative_entropy_coding import SharedCandidates
from quasistatic.coding.stack import Stack
from quasistatic.diagnostics.oracles import GaussianOracle, HeartbeatOracle
from quasistatic.distributions import Gaussian, RealSupport


def heartbeat() -> tuple[HeartbeatOracle, qs.Diffusion]:
    oracle = HeartbeatOracle(20, 5)
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(10), mean=0.2)
    return oracle, qs.Diffusion(**oracle.parts(kernel))


def untrained(space: qs.spaces.Space, head: qs.heads.Head, steps: int = 4) -> qs.Diffusion:
    """A model that has learned nothing, with an opinion on everything."""
    kernel: qs.kernels.Kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(steps, 5, -5))
    if isinstance(space, qs.Binary):
        kernel = qs.BinomialKernel(qs.schedules.erase_evenly(steps), mean=0.3)
    outputs = head.bind(space, kernel).outputs
    torch.manual_seed(0)
    network = qs.networks.MLP(space.shape, 16, 1, outputs=outputs)
    return qs.Diffusion(space, kernel, head, network)


MODELS = {
    "bits": lambda: untrained(qs.Binary((2, 3)), qs.Clean()),
    "levels": lambda: untrained(qs.Quantized(5, count=17), qs.Levels()),
    "levels, exact": lambda: untrained(qs.Quantized(5, count=17), qs.Exact(qs.Levels())),
    "levels by a mixture": lambda: untrained(qs.Quantized(3, count=256), qs.Levels(mixtures=2)),
    "decoder": lambda: untrained(qs.Quantized((1, 2, 2), count=8), qs.Velocity()),
    "all steps": lambda: untrained(qs.Quantized(4, count=4), qs.Mean()),
    "levels by bits' noise": lambda: untrained(qs.Binary(4), qs.Levels()),
}
every_model = pytest.mark.parametrize("name", MODELS)


def random_raw(model: qs.Diffusion, n: int, dtype: str = "u1") -> np.ndarray:
    levels = len(model.space.levels)
    shape = (n, *model.space.shape)
    return np.random.default_rng(0).integers(0, levels, shape).astype(dtype)


# The stack and its alphabets.


def test_the_stack_returns_the_last_first_and_then_what_it_borrowed():
    rng = np.random.default_rng(0)
    stack = Stack.start(500)
    written = []
    for _ in range(20):
        probs = rng.random((30, 5))
        chosen = rng.integers(0, 5, 30)
        size = rng.integers(1, 2**20, 30)
        below = rng.integers(0, size)
        stack.push_choices(probs, chosen)
        stack.push_uniform(below, size)
        written.append((probs, chosen, size, below))
    again = Stack.resume(stack.payload())
    for probs, chosen, size, below in reversed(written):
        assert np.array_equal(again.pop_uniform(size), below)
        assert np.array_equal(again.pop_choices(probs), chosen)
    assert again.holds_only(500 - stack.lowest)
    assert not again.holds_only(499 - stack.lowest)


def test_a_stream_holds_no_word_that_was_not_reached():
    stack = Stack.start(1000)
    stack.pop_uniform(np.full(8, 2**16))  # four words
    assert 4 <= 1000 - stack.lowest <= 6
    assert len(stack.payload()) <= 4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("width", [0.01, 0.3, 2.0])
def test_cells_are_read_as_they_were_written(family, width, rng):
    """By any law that knows its mass on an interval, however narrow or wide the cells."""
    law = member(family, rng, 40, 3)
    x = (3 * torch.randn(40, 3, generator=rng) / width).floor() * width + width / 2
    x[0, 0], x[0, 1] = 1000.5 * width, -1e6 * width + width / 2  # far out on both sides
    stack = Stack.start(2000)
    BinAlphabet(width).push(stack, law, x)
    assert torch.allclose(BinAlphabet(width).pop(stack, law, x), x)
    assert stack.holds_only(2000)


def test_a_cell_costs_its_mass(rng):
    """-log2 of the mass, on the average of many draws to a thousandth of a bit."""
    law = member("gaussian", rng, 500, 20)
    stack, cells = Stack.start(100_000), BinAlphabet(0.125)
    x = (law.sample(rng) / 0.125).floor() * 0.125 + 0.0625
    before = stack.bits
    cells.push(stack, law, x)
    said = -law.log_mass(x - 0.0625, x + 0.0625).sum().item() / math.log(2)
    assert abs(stack.bits - before - said) < 1e-3 * x.numel()


def test_popped_cells_are_draws(rng):
    """What was never written is as the law has it: here, uniform by its distribution function."""
    law = member("gaussian", rng, 4000, 3)
    u = law.log_mass(
        torch.full((4000, 3), -math.inf), BinAlphabet(0.01).pop(Stack.start(40_000), law, law.mean)
    ).exp()
    assert (
        u.flatten().sort().values - torch.linspace(0, 1, u.numel())
    ).abs().max() < 1.9 / u.numel() ** 0.5


def test_choices_cost_their_probability(rng):
    law = member("lattice", rng, 300, 4)
    choices = FiniteAlphabet(law.values, chain._mass)
    x, stack = law.sample(rng), Stack.start(10_000)
    before = stack.bits
    choices.push(stack, law, x)
    assert abs(stack.bits - before + law.log_prob(x).sum().item() / math.log(2)) < 0.01 * x.numel()
    assert torch.equal(choices.pop(stack, law, x), x)


def test_many_choices_are_taken_in_parts(rng, monkeypatch):
    law = member("lattice", rng, 30, 4)
    x, whole, parts = law.sample(rng), Stack.start(1000), Stack.start(1000)
    choices = FiniteAlphabet(law.values, chain._mass)
    choices.push(whole, law, x)
    monkeypatch.setattr(alphabets, "ROWS", 5 * 7)
    choices.push(parts, law, x)
    assert np.array_equal(whole.payload(), parts.payload())
    assert torch.equal(choices.pop(parts, law, x), x)


# Blocks and streams.


def test_batches_cover_a_block_and_start_slowly():
    every = [(1, 1, 1, 1), (4, 1, 1, 64), (1000, 1, 200, 64), (50, 3, 2**32 - 1, 8)]
    for count, least, growth, together in every:
        found = batch_slices(count, least, growth, together)
        assert [i for part in found for i in range(part.start, part.stop)] == list(range(count))
        sizes = [part.stop - part.start for part in found]
        assert sizes[0] == 1
        assert max(sizes) <= together
        assert all(size >= least for size in sizes[1:-1])
    assert [p.stop - p.start for p in batch_slices(1000, 1, 200, 64)][-2] == 64
    # One example for each sixteen sixteenths of those before: the stream doubles.
    starts = [part.start for part in batch_slices(60, 1, 16, 64)]
    assert starts == [0, 1, 2, 4, 8, 16, 32]
    assert [part.start for part in batch_slices(20, 2, 32, 3)] == [0, 1, 3, 5, 7, 10, 13, 16, 19]


def test_a_block_ends_where_it_began():
    """A word below the initial ones changes no value, and is refused all the same."""
    model = MODELS["bits"]()
    x = random_raw(model, 12)
    coder = Chain(model, portability=Native())
    made = blocks._push_all(coder, model.space.check(x), 8)
    block = blocks.replace(made, checksum=zlib.crc32(x.tobytes()))
    assert np.array_equal(blocks.decode(coder, block, x.dtype, 8), x)
    longer = blocks.replace(block, payload=b"\1\0\0\0" + block.payload)
    fewer = blocks.replace(block, initial_words=block.initial_words + 1)
    for wrong in (longer, fewer):
        with pytest.raises(DamagedValues, match="initial bits did not come back"):
            blocks.decode(coder, wrong, x.dtype, 8)


@every_model
@pytest.mark.parametrize("n", [1, 12])
def test_what_is_read_is_what_was_written(name, n):
    # Noise has no short code: only without a plain packing to lose to is it the model's.
    model = MODELS[name]()
    x = random_raw(model, n)
    for way in (Native(), Portable()):
        coder = Chain(model, portability=way)
        made = blocks._push_all(coder, model.space.check(x), 8)
        block = blocks.replace(made, checksum=zlib.crc32(x.tobytes()))
        assert np.array_equal(blocks.decode(coder, block, x.dtype, 8), x)


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f4", ">f8"])
def test_an_array_keeps_its_type(dtype):
    oracle, model = heartbeat()
    x = oracle.sample(30, torch.Generator().manual_seed(0)).numpy().astype(dtype)
    for made in (x, x[:2]):  # by the chain, and packed
        again = model.decompress(model.compress(made, 10))
        assert again.dtype == np.dtype(dtype)
        assert np.array_equal(again, made)


@settings(max_examples=10, deadline=None)
@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 30), st.just(5)), elements=st.integers(0, 16))
)
def test_any_array_of_levels_comes_back(x):
    model = MODELS["levels"]()
    assert np.array_equal(model.decompress(model.compress(x, workers=1)), x)


def test_the_rate_is_that_of_the_bound_on_bits():
    """The heartbeat has five equally likely sequences: log2 5 bits each, less than K says."""
    oracle, model = heartbeat()
    x = oracle.sample(8000, torch.Generator().manual_seed(0)).numpy().astype(np.uint8)
    file = io.BytesIO()
    report = qs.Codec(model, model.steps, together=256, block=8000).write(x, file)
    bound = model.score(x, None).bits_per_dim.mean().item()
    assert report.blocks == {"chain": 1}
    # Paths differ in length: over 8000 of them by a per cent.
    assert report.net_bits_per_dim == pytest.approx(bound, rel=0.03)
    assert report.net_bits_per_dim * 20 > math.log2(5)
    assert report.overhead < 500
    assert report.total == len(file.getvalue())
    assert np.array_equal(model.decompress(file.getvalue()), x)


def test_the_rate_is_that_of_the_bound_on_grey_levels():
    """Levels under Gaussian noise: latents on cells cost no more than on the whole line."""
    model = qs.load_pretrained("digits").double()
    x = qs.data.split(qs.data.digits()).test[:100]
    file = io.BytesIO()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bound = model.score(x, None, times=10).bits_per_dim.mean().item()
    report = qs.Codec(model, 10, verify=False).write(x, file)
    # A path's own length varies about its mean: here by 0.6 % over the 100 digits.
    assert report.net_bits_per_dim == pytest.approx(bound, rel=0.02)


def test_blocks_are_read_by_themselves_and_by_any_number_of_workers():
    _, model = heartbeat()
    x = HeartbeatOracle(20, 5).sample(50, torch.Generator().manual_seed(1)).numpy()
    streams = [model.compress(x, block=10, workers=workers) for workers in (1, 3)]
    assert streams[0] == streams[1]
    file = io.BytesIO(streams[0])
    header = stream.read_header(file)
    parts = list(stream.read_blocks(file, header))
    assert len(parts) == 5
    third = blocks.decode(
        Chain(model, header.times, portability=Portable()), parts[2], x.dtype, header.together
    )
    assert np.array_equal(third, x[20:30])


def test_no_more_than_a_few_blocks_are_held():
    """The array is read as it is written: a block's result waits for the ones before it only."""
    _, model = heartbeat()
    asked = []

    class Watched(np.ndarray):
        def __getitem__(self, rows):
            asked.append(rows)
            return super().__getitem__(rows)

    x = HeartbeatOracle(20, 5).sample(80, torch.Generator().manual_seed(1)).numpy()
    written = []

    class File(io.BytesIO):
        def write(self, data):
            if not written:
                asked.clear()  # the digest of all values came before
            written.append(len([rows for rows in asked if rows.stop is not None and rows.start]))
            return super().write(data)

    qs.Codec(model, block=4, workers=2).write(x.view(Watched), File())
    ahead = [read - (len(written[:i]) - 1) for i, read in enumerate(written)]
    assert max(ahead) <= 5


def test_short_noise_is_packed_and_says_so():
    _, model = heartbeat()
    x = np.random.default_rng(0).integers(0, 2, (5, 20))
    file = io.BytesIO()
    report = qs.Codec(model).write(x, file)
    assert report.blocks == {"packed": 1}
    assert "packed" in str(report)
    assert report.pays_off > 0


def test_minus_zero_keeps_its_sign():
    model = MODELS["bits"]()
    x = np.zeros((3, 2, 3), np.float32)
    x[1] = -0.0
    again = model.decompress(model.compress(x))
    assert again.tobytes() == x.tobytes()


class Restless(nn.Module):
    """Another network, whose floats do not repeat."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x, time):
        return self.inner(x, time) + 0.01 * torch.randn_like(x)[..., None]


def test_floats_that_do_not_repeat_cost_length_and_no_value():
    oracle, model = heartbeat()
    x = oracle.sample(200, torch.Generator().manual_seed(0)).numpy().astype(np.uint8)
    restless = qs.Diffusion(model.space, model.kernel, model.head, Restless(model.network))
    for verify, unrepeated in ((True, 1), (False, 0)):
        file = io.BytesIO()
        report = qs.Codec(restless, 10, verify=verify).write(x, file)
        assert report.unrepeated == unrepeated
        assert ("did not repeat" in str(report)) == verify
        if verify:
            assert np.array_equal(restless.decompress(file.getvalue()), x)
        else:
            with pytest.raises(qs.StreamError, match="block 1"):
                restless.decompress(file.getvalue())


def test_threads_and_modes_are_as_they_were():
    _, model = heartbeat()
    before = torch.get_num_threads()
    model.train()
    model.compress(np.zeros((2, 20)))
    assert model.training
    assert torch.get_num_threads() == before


# Damage.


@pytest.fixture(scope="module")
def small() -> tuple[qs.Diffusion, bytes, np.ndarray]:
    with default_dtype(torch.float64):
        oracle, model = heartbeat()
        x = oracle.sample(60, torch.Generator().manual_seed(0)).numpy().astype(np.uint8)
        return model, model.compress(x, 10, block=30, workers=1), x


def test_every_truncation_is_an_error(small):
    model, whole, _ = small
    for end in range(len(whole)):
        with pytest.raises(qs.StreamError, match=r"cut short|damaged|missing|not begin"):
            model_blocks(model, whole[:end])


def test_every_flipped_bit_is_an_error_that_names_its_block(small):
    """One bit in each byte; a checksum stands before anything is made of what it covers."""
    model, whole, _ = small
    file = io.BytesIO(whole)
    header = stream.read_header(file)
    first = file.tell()
    list_ = list(stream.read_blocks(file, header))
    assert len(list_) == 2
    rng = np.random.default_rng(0)
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(qs.StreamError) as error:
            model_blocks(model, bytes(altered))
        if place >= first:
            assert "block" in str(error.value) or "end of the stream" in str(error.value)


def model_blocks(model: qs.Diffusion, data: bytes) -> None:
    """Reads a stream up to its values: where damage must have been seen."""
    file = io.BytesIO(data)
    header = stream.read_header(file)
    compatibility.check_header(header, model, "examples", anyway=False)
    list(stream.read_blocks(file, header))


def test_bytes_after_the_end_are_an_error(small):
    model, whole, _ = small
    with pytest.raises(qs.StreamError, match="after the end"):
        model.decompress(whole + b"\0")


def test_a_payload_that_lies_is_found_by_its_checksum(small):
    """Whoever mends the container's checksums too meets the one of the values."""
    model, whole, _ = small
    file = io.BytesIO(whole)
    header = stream.read_header(file)
    one, two = stream.read_blocks(file, header)
    for payload in (one.payload[:-4], one.payload[4:], b"", b"\0\0\0\0", one.payload + b"\1\0\0\0"):
        lying = blocks.replace(one, payload=payload)
        forged = io.BytesIO()
        forged.write(header.pack())
        stream.write_blocks(forged, header, [two, lying])
        with pytest.raises(qs.StreamError, match="block 2"):
            model.decompress(forged.getvalue())


def test_a_block_may_not_claim_more_than_the_header_says(small):
    model, whole, _ = small
    header = stream.read_header(io.BytesIO(whole))
    big = blocks.Block(Coded.packed, 10**9, 0, b"")
    forged = io.BytesIO()
    forged.write(header.pack())
    stream.write_blocks(forged, header, [big])
    with pytest.raises(qs.StreamError, match="claims"):
        model.decompress(forged.getvalue())


def test_squeezed_data_do_not_grow_beyond_what_was_said():
    bomb = packing.squeeze(bytes(10**6))
    with pytest.raises(ValueError, match="no complete"):
        packing.unsqueeze(bomb, 100)


# What a reader refuses.


def test_another_model_is_refused(small):
    _, whole, _ = small
    other = qs.Diffusion(
        **HeartbeatOracle(20, 5).parts(qs.BinomialKernel(qs.schedules.erase_evenly(10), mean=0.3))
    )
    with pytest.raises(qs.StreamError, match="another model"):
        other.decompress(whole)


def test_one_weight_is_another_model():
    model = MODELS["levels"]()
    before = float_reproducibility.fingerprint(model)
    with torch.no_grad():
        next(model.network.parameters()).view(-1)[0] += 1e-15
    assert float_reproducibility.fingerprint(model) != before


def test_another_machine_is_refused_and_may_be_tried(small, monkeypatch):
    model, whole, x = small
    mine = float_reproducibility.platform_facts(model)
    native = model.compress(x, 10, workers=1, portable=False)
    monkeypatch.setattr(compatibility, "platform_facts", lambda model: mine | {"machine": "abacus"})
    assert np.array_equal(model.decompress(whole), x)  # a portable stream
    with pytest.raises(qs.StreamError, match="abacus"):
        model.decompress(native)
    assert np.array_equal(model.decompress(native, anyway=True), x)


def test_a_newer_version_is_refused(small):
    model, whole, _ = small
    newer = bytearray(whole)
    newer[8] = header_module.NEWEST + 1
    with pytest.raises(qs.StreamError, match="version 5"):
        model.decompress(bytes(newer))


def test_what_x_0_does_not_say_has_no_code():
    """Levels that are spread at random over their cells; and no layers of reals."""
    oracle = GaussianOracle((0.0, 1.0), (1.0, 0.5))
    parts = oracle.parts(qs.GaussianKernel(qs.schedules.cosine(10)))
    with pytest.raises(TypeError, match="Binary or Quantized"):
        qs.Codec(qs.Diffusion(**parts | {"space": qs.spaces.Dequantized(2)}))
    with pytest.raises(TypeError, match="in one piece"):
        qs.LayeredCodec(qs.Diffusion(**parts))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full((2, 20), 2), "from 0 to 1"),
        (np.zeros((2, 19)), "shape"),
        (np.zeros((0, 20)), "empty"),
        (np.full((2, 20), np.nan), "nan"),
        (np.array([["a"] * 20]), "number|array|real"),
    ],
)
def test_what_is_not_the_models_is_refused(x, words):
    _, model = heartbeat()
    with pytest.raises((ValueError, TypeError), match=f"(?i){words}"):
        model.compress(x)


def test_a_value_out_of_range_is_found_in_any_block():
    _, model = heartbeat()
    x = np.zeros((30, 20))
    x[25, 3] = 7
    with pytest.raises(ValueError, match="7"):
        model.compress(x, block=10)


@pytest.mark.parametrize("name", ["block", "together", "workers"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=name):
        qs.Codec(heartbeat()[1], **{name: -1})


# Files.


def test_a_file_is_written_whole_or_not_at_all(tmp_path, small, monkeypatch):
    from quasistatic.coding import compress_array, decompress_array

    model, _, x = small
    target = tmp_path / "x.qs"
    report = compress_array(qs.Codec(model), x, target)
    assert target.stat().st_size == report.total
    header = decompress_array(qs.Codec(model), target, tmp_path / "x.npy")
    assert header.count == 60
    again = np.load(tmp_path / "x.npy")
    assert again.dtype == x.dtype
    assert np.array_equal(again, x)
    before = target.read_bytes()
    wrong = x.copy()
    wrong[55] = 9
    with pytest.raises(ValueError, match="9"):
        compress_array(qs.Codec(model, block=10), wrong, target)
    assert target.read_bytes() == before
    target.write_bytes(before[:-20])
    with pytest.raises(qs.StreamError, match=r"x\.qs"):
        decompress_array(qs.Codec(model), target, tmp_path / "x.npy")
    assert np.array_equal(np.load(tmp_path / "x.npy"), x)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", "x.qs"]
    with pytest.raises(FileNotFoundError, match="no file"):
        decompress_array(qs.Codec(model), tmp_path / "y.qs", tmp_path / "y.npy")


def test_a_silent_network_codes_as_its_prior():
    """A model of bits that knows nothing writes them at the entropy of its own opinion."""
    space = qs.Binary(64)
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(8))
    model = qs.Diffusion(space, kernel, qs.Clean(), Silent())
    x = np.random.default_rng(0).integers(0, 2, (200, 64)).astype(np.uint8)
    made = blocks._push_all(Chain(model), space.check(x), 64)
    net = 8 * (len(made.payload) - 4 * made.initial_words) / x.size
    assert net == pytest.approx(model.score(x, None).bits_per_dim.mean().item(), rel=0.02)


def test_a_wrong_network_only_costs_length():
    space = qs.Binary(12)
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(8))
    model = qs.Diffusion(space, kernel, qs.Clean(), Wrong())
    x = np.random.default_rng(0).integers(0, 2, (50, 12)).astype(np.uint8)
    made = blocks._push_all(Chain(model), space.check(x), 64)
    block = blocks.replace(made, checksum=zlib.crc32(x.tobytes()))
    assert np.array_equal(blocks.decode(Chain(model), block, x.dtype, 64), x)


# Layers.


@every_model
def test_layers_end_in_what_was_written(name):
    model = MODELS[name]()
    x = random_raw(model, 6)
    layered = qs.LayeredCodec(model, model.steps, bits=6)
    if "exact" in name:
        with pytest.raises(TypeError, match="Exact"):
            layered.compress(x)
        return
    data = layered.compress(x)
    found = list(layered.read(io.BytesIO(data)))
    assert [step.t for step in found] == [*range(model.steps, 0, -1), 0]
    assert found[-1].array.dtype == x.dtype
    assert np.array_equal(found[-1].array, x)


def test_a_beginning_of_layers_is_a_guess_that_gets_better():
    oracle = HeartbeatOracle(20, 5)
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(10), mean=0.2)
    model = qs.Diffusion(**oracle.parts(kernel))
    x = oracle.sample(100, torch.Generator().manual_seed(0)).numpy()
    layered = qs.LayeredCodec(model, 6)
    data = layered.compress(x)
    error = []
    for step in layered.read(io.BytesIO(data)):
        error.append(((step.array - x) ** 2).mean())
        # Whatever is cut off after a layer, it is what that layer gives.
        for end in (step.size, min(step.size + 7, len(data))):
            assert np.array_equal(layered.decompress(data[:end]).array, step.array)
    assert error == sorted(error, reverse=True)
    assert error[-1] == 0
    altered = bytearray(data)
    altered[-20] ^= 4
    with pytest.raises(qs.StreamError):
        layered.decompress(bytes(altered))


def test_an_index_is_a_draw_and_tells_it():
    """Candidates by p and their choice make draws of q: the mean and the spread of a thousand."""
    p = Gaussian(torch.zeros(1, 3), torch.ones(1, 3))
    q = Gaussian(torch.tensor([[0.9, -0.5, 0.0]]), torch.full((1, 3), 0.5))
    rng, drawn, index = np.random.default_rng(0), [], []
    bits = q.kl(p).sum().item() / math.log(2)
    for row in range(1000):
        candidates = SharedCandidates((1, row, 0), p)
        index.append(candidates.choose(q, bits + 3, rng))
        drawn.append(candidates.draw(index[-1], 1)[0])
        received = receive(NativeFloats(), p, RealSupport(), 1, row, np.array([[index[-1]]]))
        assert torch.equal(received[0], drawn[-1])
    found = torch.stack(drawn)
    assert_mean(found, q.loc[0])
    assert_mean((found - q.loc) ** 2, q.variance[0])
    # About the KL, its logarithm and a bit: Li and El Gamal's bound on the log of an index.
    assert np.log2(np.array(index) + 1.0).mean() < bits + 1


def test_candidates_are_the_same_however_many_are_made():
    p = Gaussian(torch.zeros(1, 5), torch.ones(1, 5))
    candidates = SharedCandidates((2, 7, 1), p)
    many = candidates.draw(0, 50)
    assert torch.equal(many[17:30], candidates.draw(17, 13))
    assert not torch.equal(many, SharedCandidates((2, 8, 1), p).draw(0, 50))


def test_each_order_has_its_reader():
    _, model = heartbeat()
    x = np.zeros((3, 20))
    with pytest.raises(qs.StreamError, match="LayeredCodec"):
        model.decompress(qs.LayeredCodec(model, 4).compress(x))
    with pytest.raises(qs.StreamError, match="Codec"):
        qs.LayeredCodec(model, 4).decompress(model.compress(x))
    with pytest.raises(ValueError, match="bits"):
        qs.LayeredCodec(model, 4, bits=40)
