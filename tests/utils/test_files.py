"""Files are whole or absent, whatever happens while they are written."""

import errno
import os
import stat

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic._utils import files
from quasistatic._utils.validation import as_array, as_tensor


def fails(error: BaseException):
    def call(*arguments):
        raise error

    return call


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "x.bin"
    files.write_bytes(path, b"old")
    monkeypatch.setattr(os, call, fails(FULL))
    with pytest.raises(OSError, match=r"could not be written \(No space left") as caught:
        files.write_bytes(path, b"new" + bytes(1000))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert "free some space or choose another folder" in str(caught.value)
    assert "what was there before is untouched" in str(caught.value)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.bin"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_interrupt_leaves_the_old_file_and_stays_what_it_is(tmp_path, monkeypatch, error, call):
    path = tmp_path / "x.bin"
    files.write_bytes(path, b"old")
    monkeypatch.setattr(os, call, fails(error))
    with pytest.raises(type(error)):
        files.write_bytes(path, b"new")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.bin"]
    assert path.read_bytes() == b"old"


def test_a_file_appears_under_its_name_only_when_it_is_whole_and_on_disk(tmp_path, monkeypatch):
    """The order matters: write, sync, then rename; and from the same folder, as a rename across
    disks is a copy."""
    order = []
    fsync, replace = os.fsync, os.replace

    def synced(number):
        order.append("fsync")
        assert os.fstat(number).st_size == 5
        fsync(number)

    def renamed(source, target):
        order.append("replace")
        assert os.path.dirname(source) == str(tmp_path / "deep")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    files.write_bytes(tmp_path / "deep" / "x.bin", b"whole")
    assert order == ["fsync", "replace"]
    assert (tmp_path / "deep" / "x.bin").read_bytes() == b"whole"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="could not be written") as caught:
        files.write_bytes(tmp_path / "file" / "x.bin", b"new")
    assert str(tmp_path / "file" / "x.bin") in str(caught.value)


def test_a_file_has_the_rights_that_the_user_gives_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "x", "β")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert (tmp_path / "x").read_bytes() == "β".encode()


def test_sweeping_removes_leftovers_only(tmp_path):
    for name in (".x.bin.k2j.part", "x.bin", "notes.part", ".hidden"):
        (tmp_path / name).write_text("")
    files.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "notes.part", "x.bin"]
    files.sweep(tmp_path / "no such folder")


# tensors

TENSORS = {
    "a.weight": torch.linspace(-1, 1, 12, dtype=torch.float32).reshape(3, 4),
    "bits": torch.tensor([True, False]),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "one": torch.tensor(0.1, dtype=torch.float64),
    "none": torch.zeros(0, 3),
}


def test_tensors_and_facts_come_back_bit_for_bit(tmp_path):
    facts = {"step": 3, "score": 0.1 + 0.2, "best": None, "name": "β"}
    files.save_tensors(tmp_path / "x", TENSORS, facts)
    tensors, again = files.load_tensors(tmp_path / "x")
    assert again == facts
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_views_and_tensors_that_share_memory_are_saved(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    shared = {"whole": whole, "again": whole, "turned": whole.T, "part": whole[1:, ::2]}
    files.save_tensors(tmp_path / "x", shared, {})
    tensors, _ = files.load_tensors(tmp_path / "x")
    assert all(torch.equal(tensors[name], tensor) for name, tensor in shared.items())


def test_a_file_cut_anywhere_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    files.save_tensors(path, TENSORS, {"step": 3})
    whole = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"x\.safetensors is damaged or no safetensors file"):
            files.load_tensors(path)


def test_another_kind_of_file_or_none_is_named(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "pickle.pt")
    with pytest.raises(ValueError, match=r"pickle\.pt is damaged or no safetensors file"):
        files.load_tensors(tmp_path / "pickle.pt")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        files.load_tensors(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        files.load_tensors(tmp_path)


def test_a_run_on_a_full_disk_stops_and_goes_on_later(tmp_path, monkeypatch):
    def run():
        torch.manual_seed(0)
        kernel = qs.BinomialKernel(qs.schedules.cosine(4))
        model = qs.Diffusion(qs.Binary(3), kernel, qs.Clean(), qs.networks.MLP(3, 8, 1))
        x = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
        return qs.fit(model, x, run=tmp_path, steps=4, save_every=0.0, validations=1)

    fsync, count = os.fsync, [0]

    def fills(number):
        count[0] += 1
        if count[0] == 3:  # config, metrics, and then the checkpoint
            raise FULL
        fsync(number)

    monkeypatch.setattr(os, "fsync", fills)
    with pytest.raises(OSError, match="free some space"):
        run()
    assert not list(tmp_path.glob(".*"))
    monkeypatch.undo()
    assert run().step == 4


# arrays at the door


@pytest.mark.filterwarnings("error")
def test_arrays_that_torch_cannot_share_are_copied():
    x = np.arange(6.0).reshape(2, 3)
    frozen = x.copy()
    frozen.flags.writeable = False
    odd = [np.broadcast_to(x[:1], (2, 3)), frozen, x[::-1, ::-1], x.astype(">f4")]
    for array in odd:
        tensor = as_array(array, (3,))
        assert torch.equal(tensor.double(), torch.tensor(array.tolist()))
        tensor += 1.0  # the copy is the tensor's own
    assert x.tolist() == frozen.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_what_is_no_array_of_numbers_is_a_type_error():
    for thing in ("text", object(), [[1, 2], [3]], {"a": 1}):
        with pytest.raises(TypeError, match="mask must be an array of numbers, got"):
            as_tensor(thing, "mask")
    with pytest.raises(TypeError, match=r"x must be real, got torch\.complex"):
        as_array(torch.zeros(2, 3, dtype=torch.complex64), (3,))
    with pytest.raises(ValueError, match=r"x must have shape \(examples, 3\), got \(\)"):
        as_array(1.0, (3,))
