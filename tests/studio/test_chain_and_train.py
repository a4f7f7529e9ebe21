"""The chain in both directions, and the curves of runs that are done, that train, and that are
damaged."""

import base64
import json
import threading
import time

import numpy as np
import pytest
import torch
from studio_client import ask, asking, client_of, result, run_snippet, shipped
from test_sample import values

import quasistatic as qs
from quasistatic.sampling import walk


@pytest.fixture
def chain(ask):
    x = values(result(ask("examples", count=1))["images"], 17)[0].astype(float)
    return x, result(ask("chain", values=x.tolist(), seed=3))


def test_the_forward_side_begins_at_the_data(chain):
    x, found = chain
    np.testing.assert_array_equal(values(found["data"], 17)[0], x)
    assert found["times"][0] == 0
    assert found["times"][-1] == 1000
    near, far = (values(found["forward"][k]["x"], 17)[0] for k in (1, -1))
    assert np.abs(near - x).mean() < 1
    assert np.abs(far - x).mean() > 4


def test_estimates_follow_the_data_where_there_is_little_noise(chain):
    x, found = chain
    estimate = values(found["forward"][5]["estimate"], 17)[0]
    assert np.abs(estimate - x).mean() < 1
    packed = [each["deviation"]["data"] for each in found["forward"][1:]]
    spread = [np.frombuffer(base64.b64decode(each), np.uint8).mean() for each in packed]
    assert spread[0] < spread[-1], "noise makes the estimate uncertain"


def test_the_way_back_is_the_walk_of_the_model(chain):
    _, found = chain
    model = qs.open("digits").model
    states = {state.t: state.x for state in walk(model, 1, 100, 3)}
    drawn = model.space.decode(states[0])
    np.testing.assert_array_equal(values(found["backward"][0]["x"], 17), drawn.numpy())


def test_the_python_of_the_chain_runs(chain, run_snippet):
    names = run_snippet(chain[1]["snippet"])
    assert names["estimate"].shape == (1, 64)


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """A model of points of the plane, saved as a run."""
    folder = tmp_path_factory.mktemp("plane") / "run"
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model = qs.Diffusion(
        qs.Continuous(2),
        qs.GaussianKernel(qs.schedules.linear_log_snr(20, 9, -7)),
        qs.Velocity(),
        qs.networks.MLP(2, width=16),
    )
    model.save(folder)
    torch.set_default_dtype(before)
    with client_of(folder) as client:
        yield asking(client, str(folder)), client, str(folder)


def test_points_have_arrows_and_a_density(plane):
    ask, client, run = plane
    facts = client.get("/api/run", params={"name": run}).json()
    assert facts["look"] == "points"
    found = result(ask("chain"))
    frame = found["backward"][3]
    assert len(frame["x"]["values"]) == 300
    assert np.shape(frame["density"]) == (32, 32)
    assert np.sum(frame["density"]) == pytest.approx(600, rel=0.2)
    assert np.shape(found["forward"][3]["arrows"]) == (225, 4)
    longest = np.abs(np.array(found["forward"][3]["arrows"])[:, 2:]).max()
    assert longest <= 0.18 * facts["reach"] * 1.01


def test_points_are_drawn_and_scored(plane):
    ask, _, _ = plane
    drawn = result(ask("sample", n=5))["images"]["values"]
    assert len(drawn) == 5
    found = result(ask("score", values=drawn[0], evaluations=8))
    assert found["mean"] is not None


def test_a_run_without_a_recipe_says_that_it_has_no_data(plane):
    ask, _, _ = plane
    events = ask("examples", source="test")
    assert "was not trained from a recipe" in events[-1]["message"]


def test_the_curves_of_a_shipped_model(ask):
    events = ask("train")
    records = [each for event in events if event["event"] == "records" for each in event["records"]]
    assert result(events)["done"]
    assert records[0]["step"] == 50
    assert records[-1]["valid_bits_per_dim"] == pytest.approx(2.025, abs=0.01)


def test_the_curves_of_a_run_that_trains_come_as_they_are_written(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"format": 1, "model": {}, "fit": {"steps": 40}}')
    path = folder / "metrics.jsonl"
    path.write_text('{"step": 10, "bits_per_dim": 3.0}\n{"step": 20, "bits_')

    def train():
        time.sleep(1.0)
        with path.open("a") as file:
            file.write('per_dim": 2.0}\n')
        time.sleep(0.7)
        (folder / "model.safetensors").write_bytes(b"")

    thread = threading.Thread(target=train)
    thread.start()
    with client_of(folder) as client:
        facts = client.get("/api/run", params={"name": str(folder)}).json()
        events = asking(client, str(folder))("train")
    thread.join()
    assert facts["views"] == ["train", "peek"]
    assert [event["records"] for event in events if event["event"] == "records"] == [
        [{"step": 10, "bits_per_dim": 3.0}],
        [{"step": 20, "bits_per_dim": 2.0}],
    ]
    assert events[0]["steps"] == 40
    assert result(events)["done"]


def test_a_damaged_record_says_which_line(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"format": 1, "model": {}}')
    (folder / "metrics.jsonl").write_text('{"step": 10}\n{"step"\n')
    with client_of(folder) as client:
        events = asking(client, str(folder))("train")
    assert "damaged in line 2" in events[-1]["message"]


def test_a_run_that_is_done_is_opened_again(tmp_path, plane):
    """The studio opens a run anew when its weights have changed."""
    from pathlib import Path

    _, _, run = plane
    folder = tmp_path / "run"
    folder.mkdir()
    stored = json.loads(Path(run, "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stored))
    with client_of(folder) as client:
        first = client.get("/api/run", params={"name": str(folder)}).json()
        (folder / "model.safetensors").write_bytes(Path(run, "model.safetensors").read_bytes())
        second = client.get("/api/run", params={"name": str(folder)}).json()
    assert first["views"] == ["train", "peek"]
    assert "sample" in second["views"]


def test_draws_of_a_checkpoint_are_those_of_its_mean_weights(tmp_path):
    """While a run trains, the studio draws from its checkpoint; when it is done, from its result.
    The code beside the draws gives the same."""
    from quasistatic.recipes.newest import open_newest

    folder, seen = tmp_path / "run", []
    x = qs.data.heartbeat(256, seed=0)
    torch.manual_seed(0)
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(10), mean=0.2)
    model = qs.Diffusion(qs.Binary(20), kernel, qs.Clean(), qs.networks.MLP(20, width=8))

    def look(progress):
        if not (folder / "checkpoint.safetensors").exists() or seen:
            return
        newest = open_newest(folder)
        with client_of(folder) as client:
            found = result(asking(client, str(folder))("peek", n=3, seed=5))
        seen.append((newest, found))

    state = qs.fit(model, x, steps=60, save_every=0.0, run=folder, callbacks=[look], progress=False)
    newest, found = seen[0]
    assert (found["step"], found["done"], newest.done) == (newest.step, False, False)
    assert newest.step < 60
    names = {}
    exec(found["snippet"]["python"], names)  # the run is done by now: other weights, same code
    assert names["newest"].step == 60
    expected = newest.model.sample(3, 10, rng=5)
    assert found["images"]["values"] == expected.double().tolist()
    after = open_newest(folder)
    assert (after.step, after.done) == (60, True)
    for mine, kept in zip(after.model.parameters(), state.mean, strict=True):
        torch.testing.assert_close(mine, kept, rtol=0, atol=0)


def test_what_cannot_be_drawn_from_is_said(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"format": 1, "model": {}}')
    with client_of(folder) as client:
        assert "has no checkpoint yet" in asking(client, str(folder))("peek")[-1]["message"]
    (folder / "checkpoint-000000010").mkdir()
    with client_of(folder) as client:
        assert "is in shards" in asking(client, str(folder))("peek")[-1]["message"]
