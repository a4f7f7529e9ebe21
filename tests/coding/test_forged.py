"""Crafted streams: each is refused with a StreamError, in bounded time and memory."""

import contextlib
import functools
import io
import json
import os
import random
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from test_golden import golden, written
from test_golden import model as new_model

import quasistatic as qs
from quasistatic.coding import stream
from quasistatic.coding.blocks import Block, Coded, batch_slices
from quasistatic.coding.header import MAGIC
from quasistatic.coding.packing import squeeze, unsqueeze
from quasistatic.diagnostics.oracles import HeartbeatOracle

FORGED = FLIPPED = int(os.environ.get("QUASISTATIC_FORGED", 60))
"""Forged headers and flipped bits of each of the four streams."""

ODD = [
    *(0, -1, 1, 2, 2**31, 2**32, 2**63, 10**8, 10**30, 1e308, float("nan"), float("inf"), 0.5),
    *(None, True, "", "a", "zz" * 200, [], [[]], {}, {"a": 1}, [0], [1, 2], [-1] * 9, ["a"]),
    *([10**8], [2**40, 2**40], "<f8", "|O", "<U9", "V8", ">i4", "layers", "examples", "0" * 16),
]
"""What a field of a header may be made to say."""


@functools.cache
def model() -> qs.Diffusion:
    return new_model()


def texts() -> dict[str, bytes]:
    """Streams of every version and order."""
    return {
        "chain-1": golden("chain", 1),
        "layers-1": golden("layers", 1),
        "chain-3": golden("chain", 3),
        "layers-3": golden("layers", 3),
        "chain-4": golden("chain", 4),
    }


def parts(data: bytes) -> tuple[int, dict, bytes]:
    """Version, header as an object, and what follows it."""
    _, version, length = struct.unpack_from("<8sHI", data)
    facts = json.loads(zlib.decompress(data[14 : 14 + length]))
    return version, facts, data[18 + length :]


def sealed(version: int, text: bytes, rest: bytes) -> bytes:
    """A stream with that header, and a right checksum."""
    start = struct.pack("<8sHI", MAGIC, version, len(text)) + text
    return start + struct.pack("<I", zlib.crc32(start)) + rest


def with_header(version: int, facts: object, rest: bytes) -> bytes:
    return sealed(version, zlib.compress(json.dumps(facts).encode()), rest)


def with_head(data: bytes, **change: int) -> bytes:
    """The stream with other numbers in the head of its first block, and right checksums."""
    version, facts, rest = parts(data)
    new = version == 3
    layout = "<BI8sIIIIIII" if new else "<BIIIIII"
    names = ["coded", "count", "checksum", "size", "initial", "least", "growth"]
    if new:
        names[1:1] = ["number", "identity"]
        names.append("crc")
    size = struct.calcsize(layout)
    numbers = dict(zip(names, struct.unpack_from(layout, rest), strict=True)) | change
    head = struct.pack(layout, *numbers.values())
    return with_header(
        version, facts, head + struct.pack("<I", zlib.crc32(head)) + rest[size + 4 :]
    )


def read(data: bytes) -> None:
    """Reads a stream in its own order to its end."""
    m = model()
    layered = b"layers" in data[:14] or _order(data) == "layers"
    if layered:
        qs.LayeredCodec(m).decompress(data, anyway=True)
    else:
        qs.Codec(m, workers=1).decompress(data, anyway=True)


def _order(data: bytes) -> object:
    try:
        return stream.read_header(io.BytesIO(data)).order
    except qs.StreamError:
        return "examples"


def refused(data: bytes, seconds: float = 5.0) -> None:
    """Reads a stream: it ends in StreamError, or gives what was written."""
    started = time.process_time()
    with contextlib.suppress(qs.StreamError):
        read(data)
    assert time.process_time() - started < seconds


@pytest.mark.parametrize("name", texts())
def test_forged_headers_end_in_a_stream_error(name):
    """A field that is missing, or says something else, with a right checksum."""
    rng = random.Random(0)
    version, facts, rest = parts(texts()[name])
    tracemalloc.start()
    for _ in range(FORGED):
        forged = dict(facts)
        for field in rng.sample(sorted(facts), rng.choice([1, 1, 1, 2, 3])):
            if rng.random() < 0.1:
                del forged[field]
            else:
                forged[field] = rng.choice(ODD)
        if rng.random() < 0.1:
            forged[rng.choice(["more", "version", "identity"])] = rng.choice(ODD)
        refused(with_header(version, forged, rest))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**27


@pytest.mark.parametrize("name", texts())
def test_flipped_bits_end_in_a_stream_error(name):
    """None gives another array."""
    rng, data = random.Random(1), texts()[name]
    layers = name.startswith("layers")
    codec = qs.LayeredCodec(model()) if layers else qs.Codec(model(), workers=1)
    for _ in range(FLIPPED):
        altered = bytearray(data)
        altered[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with pytest.raises(qs.StreamError):
            codec.decompress(bytes(altered), anyway=True)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 10**5 + b"]" * 10**5,
        b"[]",
        b"null",
        b"1",
        b'"a"',
        b"{}",
        b"\xff\xfe",
        b'{"times": ' + b"[" * 5000,
        b" " * 10**7,
    ],
    ids=range(9),
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_header_that_is_no_object_of_facts_is_refused(version, text):
    with pytest.raises(qs.StreamError):
        read(sealed(version, zlib.compress(text), b""))


@pytest.mark.parametrize("name", ["chain-1", "chain-3"])
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"least": 0}, "batch"),
        ({"least": 2**31}, "batch"),
        ({"growth": 0}, "batch"),
        ({"count": 0}, "no examples"),
        ({"count": 2**20}, "examples"),
        ({"initial": 2**31}, "initial words"),
        ({"size": 2**32 - 1}, "bytes"),
        ({"coded": 9}, "unknown"),
        ({"coded": 4}, "layer|initial words"),
    ],
)
def test_numbers_of_a_block_are_bounded_by_its_payload(name, change, what):
    data = with_head(texts()[name], **change)
    tracemalloc.start()
    with pytest.raises(qs.StreamError, match=what):
        read(data)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_many_examples_need_a_payload(monkeypatch):
    """A block of 2^20 examples in a hundred bytes is refused before anything is decoded."""
    version, facts, _ = parts(golden("chain", 3))
    facts |= {"count": 2**20, "block": 2**20}
    header = stream.Header(**facts | {"shape": (20,), "times": tuple(facts["times"])})
    for coded in (Coded.chain, Coded.packed, Coded.raw):
        block = Block(coded, 2**20, 0, bytes(100), least=1, growth=1)
        data = with_header(version, facts, stream.pack_block(header, 0, block))
        with pytest.raises(qs.StreamError, match=r"examples|bytes of values"):
            read(data)


def test_a_layered_header_does_not_allocate():
    for version in (1, 3):
        _, facts, rest = parts(golden("layers", version))
        for count in (10**8, 2**16 + 1):
            forged = with_header(version, facts | {"count": count, "block": count}, rest)
            tracemalloc.start()
            with pytest.raises(qs.StreamError):
                read(forged)
            assert tracemalloc.get_traced_memory()[1] < 2**24
            tracemalloc.stop()


def test_the_end_of_a_layered_stream_is_read():
    data = golden("layers", 3)
    altered = bytearray(data)
    altered[-6] ^= 1
    for broken in (bytes(altered), data + b"more"):
        with pytest.raises(qs.StreamError, match="end"):
            read(broken)
    header = stream.read_header(file := io.BytesIO(data))
    layers = list(stream.read_blocks(file, header))
    longer = io.BytesIO()
    longer.write(header.pack())
    stream.write_blocks(longer, header, [*layers, layers[-1]])
    with pytest.raises(qs.StreamError, match="after the last"):
        read(longer.getvalue())
    shorter = qs.LayeredCodec(model()).decompress(data[:-3])  # the values are complete
    assert shorter.t == 0


@pytest.mark.parametrize("version", [1, 3])
def test_no_bit_of_the_end_of_a_layered_stream_may_differ(version):
    """Nor its first byte, by which it would be the head of a layer that is cut short."""
    data = golden("layers", version)
    size = stream._OLD_END.size if version < 3 else stream._END.size
    for bit in range(8 * (size + 4)):
        altered = bytearray(data)
        altered[-1 - bit // 8] ^= 1 << bit % 8
        with pytest.raises(qs.StreamError, match="end"):
            read(bytes(altered))


def test_blocks_that_were_moved_are_refused():
    x = written()
    codec = qs.Codec(model(), 6, block=20, workers=1, verify=False)
    data, other = codec.compress(x), codec.compress(x[::-1])
    header = stream.read_header(file := io.BytesIO(data))
    start = file.tell()
    blocks = list(stream.read_blocks(file, header))
    packed = [stream.pack_block(header, k, block) for k, block in enumerate(blocks)]
    end = data[start + sum(map(len, packed)) :]
    assert data == data[:start] + b"".join(packed) + end
    for order in ([1, 0, 2], [0, 0, 2], [0, 1, 1], [1, 2]):
        moved = data[:start] + b"".join(packed[k] for k in order) + end
        with pytest.raises(qs.StreamError, match=r"moved|missing"):
            codec.decompress(moved)
    header_2 = stream.read_header(file_2 := io.BytesIO(other))
    theirs = list(stream.read_blocks(file_2, header_2))
    foreign = stream.pack_block(header_2, 1, theirs[1])
    with pytest.raises(qs.StreamError, match="another stream"):
        codec.decompress(data[:start] + packed[0] + foreign + packed[2] + end)
    # Whoever seals the foreign block for this stream meets the digest of all values.
    sealed_ = stream.pack_block(header, 1, theirs[1])
    with pytest.raises(qs.StreamError, match="not those"):
        codec.decompress(data[:start] + packed[0] + sealed_ + packed[2] + end)


def test_the_checksum_of_values_is_checked():
    """In each way of coding: a payload that decodes well, and is not what was written."""
    m = model()
    codec = qs.Codec(m, workers=1, verify=False)
    for x in (written(), written()[:2], -0.0 * written()[:3].astype(np.float32)):
        data = codec.compress(x)
        header = stream.read_header(file := io.BytesIO(data))
        [block] = stream.read_blocks(file, header)
        wrong = Block(**vars(block) | {"checksum": block.checksum ^ 1})
        forged = data[: -len(_tail(data, header))] + stream.pack_block(header, 0, wrong)
        with pytest.raises(qs.StreamError, match="values are not those"):
            codec.decompress(forged + data[-17:])


def _tail(data: bytes, header: stream.Header) -> bytes:
    file = io.BytesIO(data)
    stream.read_header(file)
    return data[file.tell() :]


# What compress writes, decompress reads.


def test_a_large_example_is_read_at_default_settings():
    """One image of 256 x 256 pixels in colour, as int64: its nominal block was refused."""
    space = qs.Quantized((3, 256, 256), count=4)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(3, 6, -6))

    class Still(torch.nn.Module):
        def forward(self, x, time):
            return torch.zeros(*x.shape, 1)

    m = qs.Diffusion(space, kernel, qs.Velocity(), Still())
    x = np.random.default_rng(0).integers(0, 4, (1, 3, 256, 256))
    assert np.array_equal(m.decompress(m.compress(x, 2, workers=1)), x)


def test_any_size_of_block_is_read():
    x = written()
    for block in (10_000_000, 2**40):
        codec = qs.Codec(model(), 6, block=block, workers=1)
        assert np.array_equal(codec.decompress(codec.compress(x)), x)


def test_an_example_beyond_what_a_block_may_hold_is_refused_at_once(monkeypatch):
    monkeypatch.setattr("quasistatic.coding.codec.LARGEST", 100)
    with pytest.raises(ValueError, match="in parts"):
        qs.Codec(model(), 6).compress(written().astype("i8"))


def test_a_constant_block_is_packed_within_the_bounds():
    """A million examples that cost nothing: their block is one that a reader accepts."""
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(4), mean=0.2)
    m = qs.Diffusion(**HeartbeatOracle(20, 5).parts(kernel))
    x = np.zeros((300_000, 20), np.int64)
    codec = qs.Codec(m, 4, block=len(x), together=4096, workers=1, verify=False)
    # The model is not asked: packed, the values take less than any chain does.
    data = codec.compress(x[:6000])
    assert np.array_equal(codec.decompress(data), x[:6000])


def test_reading_xz_takes_bounded_memory():
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**30}]
    greedy = lzma.compress(bytes(1000), filters=filters)
    with pytest.raises(ValueError, match="xz"):
        unsqueeze(greedy, 1000)
    assert unsqueeze(squeeze(bytes(10**6)), 10**6) == bytes(10**6)


def test_batches_have_examples_whatever_their_numbers():
    for least, growth in ((1, 1), (1, 2**32 - 1), (64, 1)):
        assert batch_slices(10**4, least, growth, 64)[-1].stop == 10**4
