"""Portable streams: floats that differ by less than epsilon give the same integers."""

import io
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from portable_streams import models

import quasistatic as qs
from quasistatic.coding import blocks, stream
from quasistatic.coding.arithmetic import RoundedFloats
from quasistatic.coding.bins import UniformBins
from quasistatic.coding.chain import Chain
from quasistatic.coding.portability import Portable
from quasistatic.coding.stack import Stack
from quasistatic.coding.varints import pack_numbers, unpack_numbers
from quasistatic.coding.windows import MASSES, RoundedWindow
from quasistatic.distributions import Gaussian
from quasistatic.model import Model

SCRIPT = Path(__file__).parent / "portable_streams.py"
SOME = ("levels", "bits", "table")
"""Models whose streams the vector units exchange."""
MODELS = models()
every_model = pytest.mark.parametrize("name", MODELS)


def capabilities() -> list[str]:
    """What the vector unit of this machine can be asked for."""
    best = torch.backends.cpu.get_cpu_capability().lower()
    known = ["default", "avx2", "avx512"]
    return known[: known.index(best) + 1] if best in known else [best]


# Rounding.


def test_values_that_differ_by_less_than_the_margin_round_alike(rng):
    """Half of the values lie within the margin of a boundary, and the reader's differ by it."""
    x = torch.randn(1000, generator=rng).double() * 10
    near = x.floor() + 0.5 + 1e-6 * torch.randn(1000, generator=rng).double()
    x = torch.where(torch.arange(1000) % 2 == 0, x, near)
    margin = torch.full((), 1e-5).double()
    writer, way = RoundedFloats(1e-5), Portable(1e-5)
    laws = [x, x.flip(0), x[:7]]
    written = []
    for law in laws:
        writer.next_law()
        written.append(writer.nearest(law, margin))
    reader = way.reader(way.listed(writer))
    alone = 0
    for law, found in zip(reversed(laws), reversed(written), strict=True):
        other = law + 9e-6 * (2 * torch.rand(law.shape, generator=rng).double() - 1)
        reader.next_law()
        assert torch.equal(reader.nearest(other, margin), found)
        alone += int((other.round() != found).sum())
    assert not reader.unfinished
    assert alone > 100  # without the list they would not


def test_what_is_listed_is_rare():
    x = torch.linspace(0, 1000, 100_001).double() + 0.123456789
    writer = RoundedFloats(2e-13)
    writer.next_law()
    writer.nearest(x, torch.full((), 1e-4).double())
    assert sum(map(len, writer.made.values())) < 3 * 2e-4 * len(x)


def test_an_uncertain_value_is_an_error():
    writer = RoundedFloats()
    for x, margin in ((0.4, 0.3), (float("nan"), 0.0), (float("inf"), 0.0)):
        with pytest.raises(ArithmeticError):
            writer.nearest(torch.tensor([x]).double(), torch.tensor(margin).double())


def frequencies(weights: np.ndarray) -> np.ndarray:
    """What the coder makes of weights (n, L), by its documented rule."""
    n, symbols = weights.shape
    before = np.cumsum(weights, 1) - weights
    first = np.floor(before).astype(np.int64) + np.arange(symbols)
    return np.diff(np.append(first, np.full((n, 1), 2**24), 1))


@pytest.mark.parametrize("symbols", [2, 3, 17, 256, 1000])
def test_rounded_probabilities_cost_next_to_nothing(symbols):
    """The relative entropy of the coder's frequencies to the law, in nats a symbol."""
    p = np.random.default_rng(0).random((200, symbols)) ** 8
    p /= p.sum(1, keepdims=True)
    q = frequencies(RoundedFloats().weights(p)) / 2**24
    assert (p * np.log(p / q)).sum(1).mean() < 5e-6 * symbols**0.8


def test_the_coder_takes_the_frequencies_that_are_asked_for():
    """Each symbol by itself, against the arithmetic of an ANS coder in whole numbers."""
    p = np.random.default_rng(0).random((50, 5)) ** 6
    p /= p.sum(1, keepdims=True)
    arithmetic = RoundedFloats()
    weights = arithmetic.weights(p)
    frequency = frequencies(weights)
    first = np.cumsum(frequency, 1) - frequency
    assert (frequency > 0).all()
    chosen = np.random.default_rng(1).integers(0, 5, 50)
    stack = Stack.start(30, arithmetic)
    words = [int(word) for word in stack._coder.get_compressed()]
    state, rest = words[-1], words[:-1]
    while state < 2**32:
        state = (state << 32) | rest.pop()
    for row in reversed(range(50)):
        f, c = int(frequency[row, chosen[row]]), int(first[row, chosen[row]])
        if state >= f << 40:
            rest.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // f << 24) + c + state % f
    stack.push_choices(weights, chosen)
    made = [int(word) for word in stack._coder.get_compressed()]
    assert made == [*rest, state & 0xFFFFFFFF, state >> 32][: len(made)]


def test_no_entry_of_the_table_of_masses_is_near_a_boundary():
    """A sine that another library rounds otherwise gives the same table."""
    steps = len(MASSES) - 1
    exact = [2**30 * math.sin(math.pi * k / (2 * steps)) ** 2 for k in range(steps + 1)]
    assert min(abs(x - math.floor(x) - 0.5) for x in exact) > 1e-5
    assert (np.diff(MASSES) >= 0).all()
    assert MASSES[0] == 0
    assert MASSES[-1] == 2**30


@pytest.mark.parametrize("numbers", [[], [0], [127, 128, 2**40], [2**63 - 1]])
def test_packed_numbers_come_back(numbers):
    assert unpack_numbers(pack_numbers(numbers)) == numbers


@pytest.mark.parametrize("data", [b"\x80", b"\xff" * 10, b"\xff" * 9])
def test_malformed_numbers_are_refused(data):
    with pytest.raises(ValueError, match="number"):
        unpack_numbers(data)


def test_tails_are_not_halved_evenly():
    """What version 3 drew from a normal law was too far out; the cost of a code for another law is
    then that of its exact probabilities."""
    law = Gaussian(torch.zeros(20_000, 1).double(), torch.ones(20_000, 1).double())
    bins, present = UniformBins(0.25), torch.ones(20_000, 1, dtype=torch.bool)
    rng = np.random.default_rng(0)

    def drawn(even_tails: bool) -> torch.Tensor:
        rounding = RoundedFloats(even_tails=even_tails)
        rounding.next_law()
        window = RoundedWindow.about(law, bins, present, rounding)

        def choose(weights: np.ndarray, middle: torch.Tensor) -> torch.Tensor:
            share = weights[:, 1] / weights.sum(1)
            return torch.from_numpy(rng.random(len(share)) < share)

        return 0.25 * (window.start + window.descend(choose) + 0.5)

    far = [int((drawn(even).abs() > 4.5).sum()) for even in (True, False)]
    assert far[0] >= 3  # 20,000 times 7e-6 is 0.1
    assert far[1] <= 1


# Streams.


def disturbed(monkeypatch, by: float) -> None:
    """The network's outputs differ by up to `by` from now on."""
    whole = Model.output

    def output(self, x_t, t):
        out = whole(self, x_t, t)
        return out + by * (2 * torch.rand_like(out) - 1)

    monkeypatch.setattr(Model, "output", output)


def block_of(chain: Chain, x: np.ndarray) -> blocks.Block:
    made = blocks._push_all(chain, torch.from_numpy(x.astype(np.float64)), 16)
    return replace(made, checksum=blocks.zlib.crc32(x.tobytes()))


@every_model
def test_floats_that_differ_read_the_same(name, monkeypatch):
    """With a wide epsilon, so that much is listed."""
    model, x = MODELS[name]
    chain = Chain(model, min(12, model.steps), portability=Portable(1e-9)).scan(x)
    block = block_of(chain, x)
    disturbed(monkeypatch, 1e-10)
    again = blocks.decode(chain, block, x.dtype, 16)
    assert np.array_equal(again, x, equal_nan=True)


@every_model
def test_layers_are_read_by_floats_that_differ(name, monkeypatch):
    model, x = MODELS[name]
    if model.space.levels is None or name == "exact":
        return
    layered = qs.LayeredCodec(model, 4)
    data = layered.compress(x[:3])
    disturbed(monkeypatch, 1e-14)
    assert np.array_equal(layered.decompress(data).array, x[:3])


def test_a_list_that_is_altered_is_found():
    model, x = MODELS["levels"]
    chain = Chain(model, 12, portability=Portable(1e-9))
    block = block_of(chain, x)
    arithmetic, words = chain.portability.split(block.payload)
    assert any(arithmetic._listed.values())
    emptied = Portable(1e-9).writer()
    emptied.laws = arithmetic.laws + 1
    for wrong in (emptied,):
        payload = chain.portability.payload(wrong, words)
        with pytest.raises(blocks.DamagedValues):
            blocks.decode(chain, replace(block, payload=payload), x.dtype, 16)


def test_the_header_of_a_portable_stream_names_epsilon_and_no_machine():
    model, x = MODELS["bits"]
    header = stream.read_header(io.BytesIO(model.compress(x, 6)))
    assert header.epsilon == 2e-13
    assert header.arithmetic == {}
    native = stream.read_header(io.BytesIO(model.compress(x, 6, portable=False)))
    assert native.epsilon is None
    assert "vectors" in native.arithmetic


@pytest.mark.timeout(300)
def test_every_vector_unit_reads_what_every_other_wrote(tmp_path):
    """With one thread and two, and with the network's batches whole and split: a process for each
    vector unit writes, and then reads what the others wrote. The script by itself does so with
    every model."""
    every = capabilities()
    for name in every:
        (tmp_path / name).mkdir()
    running = []
    for number, own in enumerate(every):
        env = os.environ | {
            "ATEN_CPU_CAPABILITY": own,
            "PYTHONPATH": str(Path(qs.__file__).parents[1]),
            "OMP_WAIT_POLICY": "passive",  # threads that spin stop each other on a busy machine
        }
        folders = [tmp_path / own, *(tmp_path / other for other in every if other != own)]
        threads = ("1", "2", "1") if number % 2 else ("2", "1", "2")
        split = ("5", "0") if number else ("0", "5")
        words = (*folders, "--threads", *threads, "--split", *split, "--models", *SOME)
        command, pipe = [sys.executable, SCRIPT, "exchange", *words], subprocess.PIPE
        running.append(subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True))
    try:
        for process in running:  # no one reads before all have written
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("read\n")
            process.stdin.flush()
        ends = [process.communicate(timeout=250)[0].split() for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * len(every)
    assert [end[0].lower() for end in ends] == every
