"""The view of draws gives what its Python and its command line give."""

import base64

import numpy as np
import pytest
from studio_client import ask, asking, result, run_snippet, shipped


def values(images: dict, levels: int) -> np.ndarray:
    """The pixels of packed images as levels, with shape (n, pixels)."""
    data = np.frombuffer(base64.b64decode(images["data"]), np.uint8)
    return (data.reshape(images["count"], -1) / 255 * (levels - 1)).round().astype(int)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 5, "steps": 12, "seed": 3},
        {"n": 3, "steps": 6, "stepper": "unipc"},
        {"n": 2, "stepper": "heun", "seed": 1},
    ],
)
def test_python_and_command_give_the_draws_of_the_page(ask, run_snippet, fields, tmp_path):
    found = result(ask("sample", **fields))
    names = run_snippet(found["snippet"])
    drawn = values(found["images"], 17)
    np.testing.assert_array_equal(drawn, names["draws"].numpy())
    np.testing.assert_array_equal(drawn, np.load(tmp_path / "samples.npy"))


def test_bits_are_shown_as_they_are(shipped, run_snippet):
    found = result(asking(shipped, "binarized-mnist")("sample", n=2, steps=4))
    drawn = values(found["images"], 2)
    np.testing.assert_array_equal(drawn, run_snippet(found["snippet"])["draws"].flatten(1).numpy())


def test_draws_are_shown_on_their_way_from_noise(ask):
    events = ask("sample", n=2, steps=40)
    times = [each["t"] for each in events if each["event"] == "frame"]
    assert times[0] == 1000
    assert times == sorted(times, reverse=True)


def test_quality_is_the_bound_of_the_draws(ask, run_snippet):
    found = result(ask("sample", n=8, steps=20, quality=True))
    names = run_snippet(found["snippet"])
    score = names["model"].score(names["draws"], 32, rng=0)
    assert found["bits_per_dim"]["mean"] == pytest.approx(
        score.bits_per_dim.mean().item(), rel=1e-5
    )
    assert found["evaluations"] == 20


def test_a_model_of_bits_offers_the_steppers_that_can_walk_it(shipped):
    facts = shipped.get("/api/run", params={"name": "binarized-mnist"}).json()
    assert facts["steppers"] == ["ancestral", "ddim"]
    assert (facts["height"], facts["width"], facts["levels"]) == (28, 28, 2)
    digits = shipped.get("/api/run", params={"name": "digits"}).json()
    assert len(digits["steppers"]) == 5
    assert (digits["height"], digits["width"]) == (8, 8)
