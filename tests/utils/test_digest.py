"""A file of tensors that was altered anywhere is refused."""

import json
import random

import pytest
import safetensors.torch
import torch

from quasistatic._utils import files


def saved(path):
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(3, dtype=torch.int64)}
    files.save_tensors(path, tensors, {"steps": 3})
    return tensors


def test_tensors_and_facts_come_back(tmp_path):
    tensors = saved(tmp_path / "x")
    found, facts = files.load_tensors(tmp_path / "x")
    assert facts == {"steps": 3}
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_every_altered_byte_is_an_error(tmp_path):
    saved(tmp_path / "x")
    whole, rng = (tmp_path / "x").read_bytes(), random.Random(0)
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1 << rng.randrange(8)
        (tmp_path / "y").write_bytes(altered)
        with pytest.raises(ValueError, match="damaged"):
            files.load_tensors(tmp_path / "y")


def test_a_file_without_a_digest_is_read(tmp_path):
    x = {"a": torch.ones(2)}
    facts = {"facts": json.dumps({"steps": 1})}
    (tmp_path / "x").write_bytes(safetensors.torch.save(x, metadata=facts))
    found, known = files.load_tensors(tmp_path / "x")
    assert torch.equal(found["a"], x["a"])
    assert known == {"steps": 1}


def test_equal_contents_give_equal_bytes(tmp_path):
    """The order of the metadata is that of their names, whatever the library makes of it."""
    tensors = {"β": torch.arange(3.0), "a": torch.zeros(2, 2, dtype=torch.bool)}
    written = set()
    for _ in range(20):
        files.save_tensors(tmp_path / "x", tensors, {"step": 3, "name": "β"})
        written.add((tmp_path / "x").read_bytes())
    assert len(written) == 1
    [data] = written
    assert int.from_bytes(data[:8], "little") % 8 == 0
    assert data.index(b'"facts"') < data.index(b'"sha256"')
    found, facts = files.load_tensors(tmp_path / "x")
    assert facts == {"step": 3, "name": "β"}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
