"""NumPy files that are cut short, damaged or forged: an error that names the file, at once."""

import io
import random
import zipfile

import numpy as np
import pytest

from quasistatic.data.file_kinds import may_be_signals
from quasistatic.data.numpy_files import read_numpy
from quasistatic.opened import ARRAYS, IMAGES, TABLE, fit, kind_of_data

X = np.arange(24, dtype="f8").reshape(6, 4)


def written(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "npy":
        np.save(file, X)
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(file, X)
    return file.getvalue()


KINDS = ["npy", "npz", "compressed"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_array_is_read(tmp_path, kind):
    (tmp_path / "x").write_bytes(written(kind))
    assert np.array_equal(read_numpy(tmp_path / "x"), X)


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_is_an_error(tmp_path, kind):
    data = written(kind)
    for end in range(len(data)):
        (tmp_path / "x").write_bytes(data[:end])
        with pytest.raises(ValueError, match="no NumPy array"):
            read_numpy(tmp_path / "x")


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_an_error_or_another_number(tmp_path, kind):
    data, rng = written(kind), random.Random(0)
    for _ in range(300):
        altered = bytearray(data)
        altered[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (tmp_path / "x").write_bytes(altered)
        try:
            found = read_numpy(tmp_path / "x")
        except ValueError:
            continue  # and no other error
        assert found.nbytes == X.nbytes


def header(shape: str, descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("shape", ["(10**12, 0)", "(1000000000000, 0)", "(0,)", "(2**70, 2)"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_forged_shape_ends_at_once(tmp_path, shape, zipped):
    data = header(shape) + bytes(16)
    if zipped:
        with zipfile.ZipFile(tmp_path / "x", "w") as archive:
            archive.writestr("arr_0.npy", data)
    else:
        (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="no NumPy array"):
        read_numpy(tmp_path / "x")


def test_a_bomb_is_refused_by_its_declared_size(tmp_path, monkeypatch):
    monkeypatch.setattr("quasistatic.data.numpy_files.LARGEST", 10**5)
    np.savez_compressed(tmp_path / "x.npz", np.zeros(10**6))
    with pytest.raises(ValueError, match="8,000,128 bytes"):
        read_numpy(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("values", "what"), [(["a"], "no real numbers"), ([1j], "no real numbers")]
)
def test_what_is_no_number_is_refused(tmp_path, values, what):
    np.save(tmp_path / "x.npy", np.array(values))
    with pytest.raises(ValueError, match=what):
        read_numpy(tmp_path / "x.npy")


def test_several_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", X, X)
    with pytest.raises(ValueError, match="2 arrays"):
        read_numpy(tmp_path / "x.npz")


def test_rows_that_may_be_signals_are_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.normal(size=(20, 128)), 1)
    for name, array, ambiguous in (
        ("walks", walks, True),
        ("noise", rng.normal(size=(20, 128)), False),
        ("few", walks[:, :20], False),
        ("bytes", (walks * 0).astype(np.uint8), False),
        ("holed", np.where(rng.random((20, 128)) < 0.001, np.nan, walks), True),
    ):
        path = tmp_path / f"{name}.npy"
        np.save(path, array)
        assert may_be_signals(path) == ambiguous
        if ambiguous:
            with pytest.raises(ValueError, match="Say --as signals or --as table"):
                kind_of_data(path)
        assert kind_of_data(path, "table") == TABLE
        assert kind_of_data(path, "signals") == ARRAYS
        assert kind_of_data(path, "images") == IMAGES


def test_signals_are_refused_where_they_are_none(tmp_path):
    walk = np.cumsum(np.random.default_rng(0).normal(size=(80, 6)), 1)
    np.save(tmp_path / "x.npy", walk[None])
    with pytest.raises(
        ValueError, match=r"holds one of shape \(1, 80, 6\): reshape it, or use --as"
    ):
        fit(tmp_path / "x.npy", "signals")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"signals are the rows of an array .* use --as table"):
        fit(tmp_path / "x.csv", "signals")
    np.save(tmp_path / "x.npy", walk[:9])
    with pytest.raises(ValueError, match="holds 9 signals"):
        fit(tmp_path / "x.npy", "signals")
    walk[6, 2] = np.nan
    np.save(tmp_path / "x.npy", walk)
    with pytest.raises(ValueError, match=r"1 signals have samples .* first row 7, sample 3"):
        fit(tmp_path / "x.npy", "signals")
