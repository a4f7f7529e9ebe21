"""Published files are found, fetched and checked; what is wrong with one is told by its place."""

import contextlib
import gzip
import hashlib
import http.server
import io
import os
import struct
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

from quasistatic import data
from quasistatic.data import formats, images, textures
from quasistatic.data.formats import Content
from quasistatic.data.published import Archive, Loose, Published

DATA = os.environ.get("QUASISTATIC_DATA", "")


def needs(folder: str) -> pytest.MarkDecorator:
    """Skips a test of real data where they are not."""
    there = bool(DATA) and (Path(DATA) / folder).is_dir()
    return pytest.mark.skipif(not there, reason=f"QUASISTATIC_DATA has no folder {folder}")


# real data


@needs("mnist")
def test_mnist_is_the_published_one():
    split, labels = data.mnist(), data.mnist_labels()
    assert [len(part) for part in (split.train, split.valid, split.test)] == [50000, 10000, 10000]
    assert {part.shape[1:] for part in (split.train, split.valid, split.test)} == {(28, 28)}
    assert split.train.dtype == np.uint8
    # The loader has compared the hashes. What is left is the split: the digits that begin each.
    assert labels.train[:5].tolist() == [5, 0, 4, 1, 9]
    assert labels.valid[:5].tolist() == [3, 8, 6, 9, 6]
    assert labels.test[:5].tolist() == [7, 2, 1, 0, 4]
    assert labels.train.dtype == np.int64
    assert [len(part) for part in (labels.train, labels.valid, labels.test)] == [
        50000,
        10000,
        10000,
    ]
    assert torch.as_tensor(split.train).shape == (50000, 28, 28)  # which warns if it is read-only


@needs("binarized_mnist")
@needs("mnist")
def test_binarized_mnist_is_mnist_in_bits():
    split, grey = data.binarized_mnist(), data.mnist()
    assert [len(part) for part in (split.train, split.valid, split.test)] == [50000, 10000, 10000]
    for part in (split.train, split.valid, split.test):
        assert part.dtype == np.uint8
        assert set(np.unique(part)) == {0, 1}
    # A pixel was 1 with its grey as the probability. In another order the mean pictures agree.
    bits, greys = (np.concatenate([x.train, x.valid, x.test]).mean(0) for x in (split, grey))
    assert np.abs(bits - greys / 255).max() < 5 * 0.5 / 70_000**0.5
    # The rows are in the order of the file: the first 200 test images are noughts, empty inside.
    assert split.test[:200, 14, 14].mean() < 0.05
    assert split.test[:, 14, 14].mean() > 0.3


@needs("bark")
def test_bark_is_the_published_one():
    """SHA-256 of the decoded pixels of all 160 images in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(textures._NAMES):
        digest.update(textures.read_image(textures._BARK.find(name)).tobytes())
    known = "f513b3ede0cd5a1bde8d196e84c95924cb4a6b919f3a0c2278def0f62a6a22d2"
    assert digest.hexdigest() == known


@needs("bark")
def test_bark_is_split_by_image():
    whole = data.bark_images(["T02", "T04"])
    parts = [whole.train, whole.valid, whole.test]
    assert [part.shape for part in parts] == [(64, 480, 640), (8, 480, 640), (8, 480, 640)]
    rows = [image.tobytes() for part in parts for image in part]
    assert len(set(rows)) == 80
    # A class is split alike whichever others are taken, and otherwise by another seed.
    alone = data.bark_images(["T04"])
    assert np.array_equal(alone.test, whole.test[4:])
    assert not np.array_equal(data.bark_images(["T04"], seed=1).test, alone.test)


@needs("bark")
def test_views_of_bark_are_crops_of_their_own_part():
    whole, views = data.bark_images(["T01"]), data.bark(100, ["T01"], crops=3, views=5)
    assert views.train.shape == (100, 100)
    assert len(views.train) == 5 * 32
    assert views.valid.shape == views.test.shape == (12, 100, 100)
    assert np.array_equal(data.bark(100, ["T01"], crops=3).test, views.test)
    windows = np.lib.stride_tricks.sliding_window_view
    for held_out, images_ in ((views.valid, whole.valid), (views.test, whole.test)):
        for number, view in enumerate(held_out):
            rows = windows(images_[number % 4], (1, 100))[:, :, 0]
            assert (rows == view[0]).all(-1).any()


@needs("cifar-10-batches-bin")
def test_cifar_is_the_published_one():
    split, labels = data.cifar10(), data.cifar10_labels()
    assert split.train.shape == (45000, 3, 32, 32)
    assert split.valid.shape == (5000, 3, 32, 32)
    assert split.test.shape == (10000, 3, 32, 32)
    assert labels.train[:5].tolist() == [6, 9, 9, 4, 1]
    assert np.bincount(labels.test).tolist() == [1000] * 10
    # The first training image, a frog, has a red corner of 59, a green of 62, a blue of 63.
    assert split.train[0, :, 0, 0].tolist() == [59, 62, 63]


def test_a_class_of_bark_that_is_none_is_refused():
    for classes in (["T05"], [], ["T01", "T01"]):
        with pytest.raises(ValueError, match="classes are some of T01, T02, T03, T04, each once"):
            data.bark_images(classes)


# formats


def as_file(raw: bytes) -> Content:
    return Content(Path("some.file"), raw)


def idx_bytes(array: np.ndarray, kind: int) -> bytes:
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")],
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 4)])
def test_idx_gives_back_what_was_written(kind, dtype, shape, rng):
    array = torch.randint(-100, 100, shape, generator=rng).numpy().astype(dtype)
    found = formats.idx(as_file(idx_bytes(array, kind)))
    assert np.array_equal(found, array)
    assert found.dtype == np.dtype(dtype[1:])
    assert found.dtype.isnative
    assert found.flags.writeable


DIGITS = idx_bytes(np.zeros((2, 3, 4), np.uint8), 8)
BITS = b"0 1 1\n1 0 0\n"


@pytest.mark.parametrize(
    ("raw", "offset", "expected", "found"),
    [
        (b"", 0, "two zero bytes", "''"),
        (b"\x89PNG" + DIGITS, 0, "two zero bytes", r"'\x89P'"),
        (b"\0\0\x08", 3, "an IDX header of 4 bytes", "the end"),
        (b"\0\0\x07\x03" + DIGITS[4:], 2, "an IDX type (0x08, ", "0x07"),
        (DIGITS[:15], 15, "3 sizes up to byte 16", "the end of the file"),
        (DIGITS[:-1], 39, "40 bytes, 2 x 3 x 4 values of 1 bytes", "the end of the file"),
        (DIGITS + b"xy", 40, "the end of the file", "2 bytes more"),
        (b"\0\0\x0e\x04" + b"\xff" * 16, 20, "bytes, 4294967295 x", "the end of the file"),
    ],
)
def test_a_damaged_idx_is_told_by_its_byte(raw, offset, expected, found):
    with pytest.raises(ValueError, match=f"some.file is damaged at byte {offset}: expected ") as e:
        formats.idx(as_file(raw))
    assert expected in str(e.value)
    assert f"found {found}" in str(e.value)


def test_cifar_records_are_a_label_and_three_planes():
    planes = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), np.uint8)
    labels = np.array([3, 0, 9, 1], np.uint8)
    raw = b"".join(bytes([k]) + x.tobytes() for k, x in zip(labels, planes, strict=True))
    found, classes = formats.cifar(as_file(raw), records=4)
    assert np.array_equal(found, planes)
    assert np.array_equal(classes, labels)
    for damaged, says in (
        (raw[:-1], "byte 12291: expected 12292 bytes, 4 records of 3073 bytes, found the end"),
        (raw[:3073], "byte 3073: expected 12292 bytes"),
        (raw + b"\0", "byte 12292: expected the end of the file, after 4 records"),
        (raw[:6146] + b"\x0b" + raw[6147:], "byte 6146: expected a label from 0 to 9, found 11"),
    ):
        with pytest.raises(ValueError, match=f"some.file is damaged at {says}"):
            formats.cifar(as_file(damaged), records=4)


def test_bits_give_back_what_was_written(rng):
    bits = torch.randint(0, 2, (50, 7), generator=rng).numpy()
    text = "".join(" ".join(map(str, row)) + "\n" for row in bits)
    found = formats.bits(as_file(text.encode()), 7)
    assert np.array_equal(found, bits)
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("raw", "offset", "expected", "found"),
    [
        (BITS[:-1], 11, "a line's end in line 2", "the end of the file"),
        (BITS[:7], 7, "a space in line 2, of 3 digits", "the end of the file"),
        (BITS + b"1", 13, "a space in line 3", "the end of the file"),
        (b"0 2 1\n" + BITS, 2, "0 or 1 in line 1", "'2'"),
        (BITS + b"0 1\n" + BITS, 15, "a space in line 3", r"'\n'"),
        (BITS + b"0 1 1 0\n" + BITS, 17, "a line's end in line 3", "' '"),
        (BITS.replace(b"\n", b"\r\n"), 5, "a line's end in line 1", r"'\r'"),
        (b"011000" + BITS, 1, "a space in line 1", "'1'"),
        (BITS + b"\xff 1 1\n", 12, "0 or 1 in line 3", r"'\xff'"),
    ],
)
def test_damaged_bits_are_told_by_line_and_byte(raw, offset, expected, found):
    with pytest.raises(ValueError, match=f"some.file is damaged at byte {offset}: expected") as e:
        formats.bits(as_file(raw), 3)
    assert expected in str(e.value)
    assert f"found {found}" in str(e.value)


def test_a_file_is_read_plain_or_zipped_whatever_its_name(tmp_path):
    path = tmp_path / "some.file"
    for raw in (DIGITS, gzip.compress(DIGITS), b"", b"\x1f"):
        path.write_bytes(raw)
        assert formats.read(path).data == (DIGITS if len(raw) > 1 else raw)


def test_a_damaged_gzip_stream_is_told(tmp_path):
    path = tmp_path / "some.gz"
    raw = gzip.compress(np.random.default_rng(0).bytes(1000))
    path.write_bytes(raw[:500])
    with pytest.raises(ValueError, match=r"some\.gz is damaged at byte 500: expected more of a"):
        formats.read(path)
    for place in (2, 500, -6):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place:][1:])
        with pytest.raises(ValueError, match=r"some.gz is damaged in its first \d+ bytes"):
            formats.read(path)


# finding and fetching


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A machine with an empty cache and no folder named."""
    monkeypatch.delenv("QUASISTATIC_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "quasistatic"


@contextlib.contextmanager
def served(files: dict[str, bytes]):
    """An address that answers with these files, and what was asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = files.get(self.path[1:])
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def md5(raw: bytes) -> str:
    return f"md5:{hashlib.md5(raw).hexdigest()}"


def nobody() -> Loose:
    """A mirror where nothing listens."""
    return Loose("http://127.0.0.1:9/", {"a": md5(b""), "b": md5(b"")})


def test_a_file_is_found_where_the_user_says_then_in_the_cache(cache, tmp_path, monkeypatch):
    files = Published("Some data", "some", ("a", "b"))
    mine = tmp_path / "mine"
    for path in (mine / "some" / "a.gz", cache / "some" / "a", cache / "some" / "b"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert files.find("a") == cache / "some" / "a"
    monkeypatch.setenv("QUASISTATIC_DATA", str(mine))
    assert files.find("a") == mine / "some" / "a.gz"
    assert files.find("b") == cache / "some" / "b"


def test_a_missing_file_says_which_files_go_where(cache, monkeypatch, tmp_path):
    files = Published("Some data", "some", ("a", "b"), (nobody(),))
    started = time.monotonic()
    with pytest.raises(FileNotFoundError) as caught:
        files.find("b")
    assert time.monotonic() - started < 5
    for part in (
        "Some data is not on this machine: there is no some/b",
        "under QUASISTATIC_DATA (not set)",
        f"the cache ({cache})",
        "Tried http://127.0.0.1:9/, which failed: ConnectionError",
        f"Put its 2 files (a, b), plain or gzipped, into {cache / 'some'}, or into a folder some",
    ):
        assert part in str(caught.value)
    monkeypatch.setenv("QUASISTATIC_DATA", str(tmp_path / "mine"))
    with pytest.raises(FileNotFoundError, match=rf"QUASISTATIC_DATA \({tmp_path / 'mine'}\)"):
        files.find("b")


def test_a_fetched_file_is_checked_and_kept(cache):
    body = gzip.compress(DIGITS)
    with served({"a.gz": body}) as (url, asked):
        files = Published("Some data", "some", ("a",), (Loose(url, {"a": md5(body)}, ".gz"),))
        for _ in range(2):
            path = files.find("a")
            assert path == cache / "some" / "a.gz"
            assert path.read_bytes() == body
    assert asked == ["/a.gz"]


def test_a_file_with_a_wrong_hash_is_removed_and_the_next_mirror_asked(cache):
    with served({"a": b"forged"}) as (bad, _), served({"a": b"true"}) as (good, _):
        wrong, right = (Loose(url, {"a": md5(b"true")}) for url in (bad, good))
        with pytest.raises(FileNotFoundError, match=r"not the published one.*it was removed"):
            Published("Some data", "some", ("a",), (wrong,)).find("a")
        assert list((cache / "some").iterdir()) == []
        path = Published("Some data", "some", ("a",), (nobody(), wrong, right)).find("a")
        assert path.read_bytes() == b"true"


def test_a_mirror_without_the_file_is_passed_over(cache):
    with served({}) as (url, _), pytest.raises(FileNotFoundError, match="HTTPError, 404"):
        Published("Some data", "some", ("a",), (Loose(url, {"a": md5(b"")}),)).find("a")


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, raw in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return stream.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return stream.getvalue()


@pytest.mark.parametrize(("pack", "unpack"), [(tar_of, pooch.Untar), (zip_of, pooch.Unzip)])
def test_an_archive_leaves_the_files_that_are_wanted(cache, pack, unpack):
    body = pack({"T01/a": b"one", "T02/deep/b": b"two", "readme": b"no"})
    with served({"all": body}) as (url, asked):
        mirror = Archive(f"{url}all", md5(body), unpack, ("a", "b"))
        files = Published("Some data", "some", ("a", "b"), (mirror,))
        assert [files.find(name).read_bytes() for name in ("a", "b")] == [b"one", b"two"]
        assert sorted(path.name for path in (cache / "some").iterdir()) == ["a", "b"]
        assert asked == ["/all"]
        lacking = Published("Some data", "some", ("a", "b", "c"), (mirror,))
        with pytest.raises(FileNotFoundError, match="all, which does not hold it"):
            lacking.find("c")
        forged = Archive(f"{url}all", md5(b"other"), unpack, ("a", "b"))
        with pytest.raises(FileNotFoundError, match="sent a file all that is not the"):
            Published("Some data", "other", ("a", "b"), (forged,)).find("a")
        assert list((cache / "other").iterdir()) == []


def place(folder: Path, name: str, raw: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(raw)


def test_another_file_in_a_published_one_s_place_is_refused(cache, tmp_path, monkeypatch):
    """First by its format, which tells the byte; if that is right, by its hash."""
    monkeypatch.setenv("QUASISTATIC_DATA", str(tmp_path))
    place(tmp_path / "mnist", "train-images-idx3-ubyte.gz", gzip.compress(DIGITS[:-3]))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is damaged at byte 37"):
        data.mnist()
    place(tmp_path / "mnist", "train-images-idx3-ubyte", DIGITS)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is not the published file: its"):
        data.mnist()
    place(tmp_path / "binarized_mnist", "binarized_mnist_train.amat", b"0 1\n")
    with pytest.raises(ValueError, match="at byte 3: expected a space in line 1, of 784 digits"):
        data.binarized_mnist()
    place(tmp_path / "cifar-10-batches-bin", "data_batch_1.bin", b"\x01" * 5000)
    with pytest.raises(ValueError, match=r"data_batch_1.bin is damaged at byte 5000: expected 307"):
        data.cifar10()
    place(tmp_path / "cifar-10-batches-bin", "data_batch_1.bin", bytes(30_730_000))
    with pytest.raises(ValueError, match=r"its md5 is .*5dd7e06a14cb22eb9f671a540d1b7c25"):
        data.cifar10_labels()


@pytest.mark.parametrize("published", [images._MNIST, images._BITS, images._CIFAR, textures._BARK])
def test_every_mirror_knows_every_file(published):
    """And a hash of what it sends, of an algorithm that the machine has."""
    for mirror in published.mirrors:
        if isinstance(mirror, Loose):
            assert tuple(mirror.hashes) == published.names
            hashes = list(mirror.hashes.values())
        else:
            assert mirror.names == published.names
            hashes = [mirror.hash]
        for algorithm, _, digest in (known.partition(":") for known in hashes):
            assert len(digest) == 2 * hashlib.new(algorithm).digest_size
