"""Other kinds of runs: with a condition, of photos in colours, of diffusers, and of curves."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from studio_client import asking, client_of, result, run_snippet
from test_sample import values
from test_score import upload

import quasistatic as qs
from quasistatic.conditions import ClassLabel

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def saved(folder, *parts, **more):
    """A model with small random weights, as a run."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        torch.manual_seed(0)
        qs.Diffusion(*parts, **more).save(folder)
    finally:
        torch.set_default_dtype(before)
    client = client_of(folder)
    return asking(client, str(folder)), client.get("/api/run", params={"name": str(folder)}).json()


KERNEL = qs.GaussianKernel(qs.schedules.linear_log_snr(20, 7, -7))


@pytest.fixture
def labelled(tmp_path):
    condition = ClassLabel(3, ("cat", "dog", "fox"))
    space = qs.Quantized((3, 3), 8)
    network = qs.networks.MLP((3, 3), width=8, condition=3)
    return saved(tmp_path / "labelled", space, KERNEL, qs.Velocity(), network, condition)


def test_a_class_and_guidance_are_those_of_python_and_command(labelled, run_snippet, tmp_path):
    ask, facts = labelled
    assert facts["condition"] == {"classes": ["cat", "dog", "fox"]}
    found = result(ask("sample", n=4, steps=6, given="dog", guidance=1.5, quality=True))
    names = run_snippet(found["snippet"])
    drawn = values(found["images"], 8)
    np.testing.assert_array_equal(drawn, names["draws"].flatten(1).numpy())
    np.testing.assert_array_equal(drawn, np.load(tmp_path / "samples.npy").reshape(4, 9))
    plain = result(ask("sample", n=4, steps=6, given="dog"))
    assert "Guidance" not in plain["snippet"]["python"]
    run_snippet(plain["snippet"])


def test_a_class_is_given_to_scores_and_completions(labelled, run_snippet, tmp_path):
    ask, _ = labelled
    x = np.arange(9.0) % 8
    found = result(ask("score", values=x.tolist(), given="fox", evaluations=10))
    np.save(tmp_path / "x.npy", x.reshape(1, 3, 3))
    names = run_snippet(found["snippet"])
    assert found["mean"] == pytest.approx(names["score"].bits_per_dim.item(), rel=1e-6)
    other = result(ask("score", values=x.tolist(), given="cat", evaluations=10))
    assert other["mean"] != found["mean"]
    sent = [None if k < 4 else v for k, v in enumerate(x.tolist())]
    done = result(ask("complete", values=sent, given="fox", draws=3, particles=4, times=6))
    np.save(
        tmp_path / "x.npy", np.array([np.nan if v is None else v for v in sent]).reshape(1, 3, 3)
    )
    again = run_snippet(done["snippet"])["found"]
    np.testing.assert_array_equal(values(done["draws"], 8), again.draws[0].flatten(1).numpy())


def test_a_class_that_there_is_not_is_named(labelled):
    ask, _ = labelled
    events = ask("sample", n=2, steps=4, given="cow")
    assert events[-1]["event"] == "error"
    assert "cow" in events[-1]["message"]


def test_colours_come_and_go_in_the_order_of_the_model(tmp_path, run_snippet):
    network = qs.networks.MLP((3, 4, 5), width=8)
    space = qs.Quantized((3, 4, 5), 256)
    ask, facts = saved(tmp_path / "photos", space, KERNEL, qs.Velocity(), network)
    assert (facts["height"], facts["width"], facts["colours"]) == (4, 5, 3)
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 0], picture[1, 2, 2] = 200, 90
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    read = result(ask("read", files=[upload("red.png", buffer.getvalue())]))
    assert not read["note"]
    shown = np.frombuffer(base64.b64decode(read["images"]["data"]), np.uint8).reshape(4, 5, 3)
    np.testing.assert_array_equal(shown, picture)
    found = result(ask("sample", n=2, steps=5))
    drawn = np.frombuffer(base64.b64decode(found["images"]["data"]), np.uint8).reshape(2, 4, 5, 3)
    again = run_snippet(found["snippet"])["draws"].numpy()
    np.testing.assert_array_equal(drawn.transpose(0, 3, 1, 2), again)
    scored = result(ask("score", values=picture.transpose(2, 0, 1).ravel().tolist(), evaluations=8))
    assert scored["places"]["by_value"]["count"] == 1


def test_a_fitted_folder_of_images(run_snippet):
    client = client_of(FIXTURES / "runs_of_5a09a48" / "images")
    run = str(FIXTURES / "runs_of_5a09a48" / "images")
    facts = client.get("/api/run", params={"name": run}).json()
    assert facts["look"] == "images"
    found = result(asking(client, run)("sample", n=2, steps=5))
    drawn = np.frombuffer(base64.b64decode(found["images"]["data"]), np.uint8)
    again = run_snippet(found["snippet"])["draws"].numpy()
    top = facts["levels"] - 1
    shape = (2, facts["height"], facts["width"], facts["colours"])
    np.testing.assert_array_equal(
        (drawn / 255 * top).round().astype(int).reshape(shape)[..., 0], again
    )


def test_a_folder_of_diffusers():
    run = str(FIXTURES / "diffusers")
    client = client_of(run)
    facts = client.get("/api/run", params={"name": run}).json()
    assert facts["look"] == "images"
    assert not facts["data"]
    found = result(asking(client, run)("sample", n=1, steps=3, stepper="ddim"))
    assert found["images"]["count"] == 1


def test_curves_are_drawn_completed_and_followed_along_the_chain(tmp_path, run_snippet):
    network = qs.networks.MLP(12, width=8)
    ask, facts = saved(tmp_path / "curves", qs.Continuous(12), KERNEL, qs.Velocity(), network)
    assert facts["look"] == "curves"
    drawn = result(ask("sample", n=3, steps=6))
    again = run_snippet(drawn["snippet"])["draws"].numpy()
    np.testing.assert_allclose(drawn["images"]["values"], again, rtol=2e-3, atol=1e-3)
    x = drawn["images"]["values"][0]
    sent = [None if k > 7 else v for k, v in enumerate(x)]
    done = result(ask("complete", values=sent, draws=2, particles=4, times=6))
    np.testing.assert_allclose(np.array(done["draws"]["values"])[:, :8], [x[:8]] * 2, rtol=1e-3)
    chain = result(ask("chain", values=x))
    assert len(chain["forward"][4]["estimate"]["values"][0]) == 12


def test_bits_of_five_values_have_no_picture(tmp_path):
    space, kernel = qs.Binary(5), qs.BinomialKernel(qs.schedules.erase_evenly(20))
    ask, facts = saved(tmp_path / "bits", space, kernel, qs.Clean(), qs.networks.MLP(5, width=8))
    assert facts["look"] == "curves"
    assert set(np.ravel(result(ask("sample", n=4))["images"]["values"])) <= {0.0, 1.0}
