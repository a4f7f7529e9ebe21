"""Streams that version 5a09a48 wrote, by the folders of `tests/fixtures`.

A network is computed as it was, so its streams are read. The closed-form law of a table is computed
by other formulas, so its streams are refused with the release to use.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import quasistatic as qs
from quasistatic.coding.compatibility import check_header
from quasistatic.coding.float_reproducibility import platform_facts
from quasistatic.coding.header import read_header

FIXTURES = Path(__file__).parents[1] / "fixtures"
DIGITS = FIXTURES / "runs_of_5a09a48" / "digits"
LAWS = [FIXTURES / "format_1" / "ring", FIXTURES / "format_1" / "penguins"]


@pytest.fixture(autouse=True)
def as_it_was(float32):
    """The type in which that version worked."""


def test_the_fingerprint_of_a_network_is_what_it_was():
    with (DIGITS / "rows.qs").open("rb") as stream:
        header = read_header(stream)
    assert header.version == 1
    check_header(header, qs.load(DIGITS), "examples", anyway=True)  # raises if it differs


def test_a_stream_of_a_network_is_read_by_equal_arithmetic():
    stream = (DIGITS / "rows.qs").read_bytes()
    model = qs.load(DIGITS)
    with (DIGITS / "rows.qs").open("rb") as file:
        if read_header(file).arithmetic != platform_facts(model):
            pytest.skip("the stream depends on the machine that wrote it")
    again = model.decompress(stream)
    assert np.array_equal(again, load_digits().images[:3].reshape(3, 64))


@pytest.mark.parametrize("folder", LAWS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("anyway", [False, True])
def test_a_stream_of_the_earlier_law_names_the_release_to_use(folder, anyway):
    said = "It was written before the closed-form law of tables changed"
    with pytest.raises(qs.StreamError, match=said) as caught:
        qs.load(folder).decompress((folder / "rows.qs").read_bytes(), anyway)
    assert re.search("Decompress it with the release that wrote it .*5a09a48", str(caught.value))


def test_a_stream_of_another_law_in_the_format_of_today_is_another_model_s():
    stream = qs.load(LAWS[0]).compress(np.array([[0.5, -0.25]]), workers=1)
    other = qs.load(FIXTURES / "format_1" / "sides")
    with pytest.raises(qs.StreamError, match="written by another model"):
        other.decompress(stream)


def test_the_command_says_it_too(refused):
    folder = LAWS[0]
    said = refused("decompress", folder, folder / "rows.qs")
    assert "rows.qs: the stream has format 2. It was written before" in said
