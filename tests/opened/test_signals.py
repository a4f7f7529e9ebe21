"""Signals, the rows of an array (N, L): their model is a spectral law of arrays of shape (L,)."""

from dataclasses import replace

import numpy as np
import pytest

import quasistatic as qs
from quasistatic.opened import ARRAYS, fit, kind_of, signal_fit
from quasistatic.opened import open as open_run


def walks(count, length, seed):
    """Signals of a known normal law: sums of normal steps."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(count, length)), 1).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    np.save(folder / "x.npy", walks(2000, 16, 0))
    fit(folder / "x.npy", "signals", out=folder / "run", steps=4)
    return folder


def test_the_model_of_signals_is_one_of_arrays(run):
    assert kind_of(run / "run") == ARRAYS
    model = open_run(run / "run")
    assert tuple(model.model.space.shape) == (16,)
    assert isinstance(model.model.space, qs.Continuous)
    assert (run / "run" / "law.json").is_file()


@pytest.mark.parametrize("better", ["law", "network"])
def test_a_pilot_chooses_the_start_and_a_resumed_run_keeps_it(better, tmp_path, monkeypatch):
    """Walks are one normal, which the law has at once. Where the pilot's bits say the reverse, the
    network without a law is trained, and the same call resumes that one."""
    np.save(tmp_path / "x.npy", walks(300, 16, 0))
    if better == "network":
        found = signal_fit._compared
        monkeypatch.setattr(
            signal_fit,
            "_compared",
            lambda *args: replace(found(*args), network=-1e3),
        )
    answer = fit(tmp_path / "x.npy", "signals", out=tmp_path / "run", minutes=0.05)
    assert answer.facts["start"] == better
    assert any("after 0 s of training each" in str(line) for line in answer.shown)
    model = qs.load(tmp_path / "run")
    assert isinstance(model.network, qs.networks.SpectralResidual) == (better == "law")
    again = fit(tmp_path / "x.npy", "signals", out=tmp_path / "run", minutes=0.05)
    assert again.facts["start"] == better
    assert again.facts["steps"] == answer.facts["steps"]


def test_its_likelihood_is_near_that_of_the_walks(run):
    """A walk of standard normal steps has the density of its steps."""
    new = walks(400, 16, 1)
    steps = np.diff(new, axis=1, prepend=0)
    truth = (-0.5 * steps**2 - 0.5 * np.log(2 * np.pi)).sum(1)
    score = open_run(run / "run").score(new, evaluations=16).values
    lost = (truth - score.nats.double().numpy()) / 16
    assert -0.02 < lost.mean() < 0.3  # a law of frequencies, and a bound of 1000 steps


def test_every_verb_answers_signals(run):
    model = open_run(run / "run")
    drawn = model.sample(400, times=100, out=run / "s.npy").values
    assert drawn.shape == (400, 16)
    # The deviation of a walk after k steps is sqrt(k).
    assert np.allclose(drawn.std(0) / np.arange(1, 17) ** 0.5, 1, atol=0.25)
    holes = walks(3, 16, 2)
    holes[:, 8:] = np.nan
    made = model.complete(holes, times=30, draws=8, particles=8, out=run / "c.npy").values
    assert np.array_equal(made[:, :, :8], np.broadcast_to(holes[:, None, :8], (3, 8, 8)))
    after = made[:, :, 8] - made[:, :, 7]  # the first step of the hidden part
    assert np.abs(after.mean(1)).max() < 1.5
    found = model.report(evaluations=2, out=run / "page.html")
    assert "independent normal samples" in (run / "page.html").read_text()
    assert found.facts["report"] == str(run / "page.html")
