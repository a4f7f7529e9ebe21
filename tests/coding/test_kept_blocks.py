"""Streams whose writing or reading was stopped, and goes on with the blocks that were finished."""

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.coding import Following, codec, compress_array, decompress_array

ROWS, BLOCK = 60, 10


@pytest.fixture(scope="module")
def coder():
    torch.manual_seed(0)
    model = qs.Diffusion(
        space=qs.Binary(6),
        kernel=qs.BinomialKernel(qs.schedules.erase_evenly(8)),
        head=qs.Clean(),
        network=qs.networks.MLP(6, width=8),
    ).double()
    return qs.Codec(model, block=BLOCK, workers=1)


@pytest.fixture
def x():
    return np.random.default_rng(0).integers(0, 2, (ROWS, 6)).astype(np.uint8)


def stopping(monkeypatch, name, at):
    """Lets the coder stop before block `at`; returns the blocks that it does."""
    done, real = [], getattr(codec, name)

    def stopped(chain, *rest):
        if len(done) == at:
            raise KeyboardInterrupt
        done.append(name)
        return real(chain, *rest)

    monkeypatch.setattr(codec, name, stopped)
    return done


def work(direction, coder, x, folder, following=None):
    """Writes a stream, or reads one; returns the bytes of what is written."""
    if direction == "encode":
        compress_array(coder, x, folder / "out", following)
        return (folder / "out").read_bytes()
    decompress_array(coder, folder / "x.qs", folder / "out", following=following)
    return (folder / "out").read_bytes()


@pytest.fixture(params=["encode", "decode"])
def direction(request):
    return request.param


def test_stopped_work_goes_on_after_the_last_finished_block(
    direction, coder, x, tmp_path, monkeypatch
):
    quick = qs.Codec(coder.model, block=BLOCK, workers=1, verify=False)
    compress_array(quick, x, tmp_path / "x.qs")
    whole = work(direction, quick, x, tmp_path)
    (tmp_path / "out").write_bytes(b"before")
    with monkeypatch.context() as patch:
        done = stopping(patch, direction, 4)
        with pytest.raises(KeyboardInterrupt):
            work(direction, quick, x, tmp_path)
        assert len(done) == 4
    assert (tmp_path / "out").read_bytes() == b"before"
    lines, counts = [], []
    with monkeypatch.context() as patch:
        done = stopping(patch, direction, 9)
        again = work(direction, quick, x, tmp_path, Following(lines.append, counts.append))
        assert len(done) == 2
    assert again == whole
    assert lines == ["continues after 4 finished pieces"]
    assert counts == [BLOCK] * 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.qs"]


def test_other_data_or_settings_start_afresh(coder, x, tmp_path, monkeypatch):
    for change in ("data", "times"):
        with monkeypatch.context() as patch:
            stopping(patch, "encode", 3)
            with pytest.raises(KeyboardInterrupt):
                compress_array(coder, x, tmp_path / "out")
        other = x ^ 1 if change == "data" else x
        own = qs.Codec(coder.model, 5, block=BLOCK, workers=1) if change == "times" else coder
        lines = []
        compress_array(own, other, tmp_path / "out", Following(lines.append))
        assert lines == ["starts afresh: the stopped run had other options or data"]
        assert (own.decompress((tmp_path / "out").read_bytes()) == other).all()


def test_a_damaged_block_is_coded_again(coder, x, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stopping(patch, "encode", 3)
        with pytest.raises(KeyboardInterrupt):
            compress_array(coder, x, tmp_path / "out")
    kept = tmp_path / ".out.pieces" / "000001"
    kept.write_bytes(kept.read_bytes()[:-3] + b"abc")
    compress_array(coder, x, tmp_path / "out")
    assert (coder.decompress((tmp_path / "out").read_bytes()) == x).all()
