"""Streams that were written once and must be read for ever: a changed stream is a breaking change.

    python tests/coding/test_golden.py

writes those of this version anew, for a new version only.
"""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.coding import stream
from quasistatic.coding.header import NEWEST
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


def arrays() -> dict[str, np.ndarray]:
    x = written()
    return {"chain": x, "packed": x[:2], "raw": -0.0 * x[:3].astype(np.float32), "layers": x[:10]}


def streams(portable: bool) -> dict[str, bytes]:
    x = arrays()
    chain = qs.Codec(model(), block=40, workers=1, portable=portable)
    codec = qs.Codec(model(), workers=1, portable=portable)
    return {
        "chain": chain.compress(x["chain"]),
        "packed": codec.compress(x["packed"]),
        "raw": codec.compress(x["raw"]),
        "layers": qs.LayeredCodec(model(), 4, portable=portable).compress(x["layers"]),
    }


def golden(name: str, version: int) -> bytes:
    data = (GOLDEN / f"{name}-{version}.qs").read_bytes()
    assert data[8] == version
    return data


def blocks_of(data: bytes) -> list[stream.Block]:
    file = io.BytesIO(data)
    header = stream.read_header(file)
    return list(stream.read_blocks(file, header))


@pytest.mark.parametrize("version", [1, 3, 4])
@pytest.mark.parametrize("name", ["chain", "packed", "raw"])
def test_a_golden_stream_is_read(name, version):
    again = model().decompress(golden(name, version), anyway=version < 3)
    assert again.tobytes() == arrays()[name].tobytes()


@pytest.mark.parametrize("version", [1, 3, 4])
def test_a_golden_stream_in_layers_is_read(version):
    found = qs.LayeredCodec(model()).decompress(golden("layers", version), anyway=version < 3)
    assert found.t == 0
    assert np.array_equal(found.array, arrays()["layers"])


@pytest.mark.parametrize("name", ["chain", "packed", "raw", "layers"])
def test_the_blocks_of_version_1_are_still_what_native_floats_make(name):
    """By the same arithmetic; the container is another."""
    old, new = (blocks_of(data) for data in (golden(name, 1), streams(portable=False)[name]))
    assert old == new


@pytest.mark.parametrize("name", ["chain", "packed", "raw", "layers"])
def test_a_portable_stream_is_written_alike_everywhere(name):
    """To the byte, the header too: nothing in it depends on the machine."""
    assert streams(portable=True)[name] == golden(name, NEWEST)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    for each, data in streams(portable=True).items():
        (GOLDEN / f"{each}-{NEWEST}.qs").write_bytes(data)
