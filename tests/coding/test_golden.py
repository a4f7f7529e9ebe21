"""Streams that were written once and must be read for ever: a changed stream is a breaking change.

    python tests/test_golden.py

writes those of this version anew, for a new version only.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.coding import stream
from quasistatic.diagnostics.oracles import HeartbeatOracle

GOLDEN = Path(__file__).parents[1] / "golden"


def model() -> qs.Diffusion:
    """A closed form in float64: what it computes is the same everywhere but for last bits, which
    no symbol of these depends on."""
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(12), mean=0.2)
    return qs.Diffusion(**HeartbeatOracle(20, 5).parts(kernel))


def written() -> np.ndarray:
    """Heartbeats at every phase."""
    return ((np.arange(20) + np.arange(60)[:, None] * 3) % 5 == 0).astype(np.uint8)


def streams() -> dict[str, bytes]:
    x = written()
    return {
        "chain": qs.Codec(model(), block=40, workers=1).compress(x),
        "packed": qs.Codec(model(), workers=1).compress(x[:2]),
        "raw": qs.Codec(model(), workers=1).compress(-0.0 * x[:3].astype(np.float32)),
        "layers": qs.LayeredCodec(model(), 4).compress(x[:10]),
    }


@pytest.mark.parametrize("name", ["chain", "packed", "raw"])
def test_a_golden_stream_is_read(name):
    x = {"chain": written(), "packed": written()[:2], "raw": -0.0 * written()[:3].astype("f4")}[
        name
    ]
    again = model().decompress((GOLDEN / f"{name}-1.qs").read_bytes(), anyway=True)
    assert again.tobytes() == x.tobytes()


def test_a_golden_stream_in_layers_is_read():
    found = qs.LayeredCodec(model()).decompress((GOLDEN / "layers-1.qs").read_bytes(), anyway=True)
    assert found.t == 0
    assert np.array_equal(found.array, written()[:10])


@pytest.mark.parametrize("name", ["chain", "packed", "raw", "layers"])
def test_the_same_stream_is_written_by_the_same_arithmetic(name):
    """All but the header, which says who computed."""
    golden = (GOLDEN / f"{name}-1.qs").read_bytes()
    made = streams()[name]
    parts = []
    for data in (golden, made):
        start = int.from_bytes(data[10:14], "little") + 18
        parts.append(data[start:])
    assert parts[0] == parts[1]
    assert stream.VERSION == 1  # a new one has golden streams of its own, beside these


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    GOLDEN.mkdir(exist_ok=True)
    for each, data in streams().items():
        (GOLDEN / f"{each}-{stream.VERSION}.qs").write_bytes(data)
