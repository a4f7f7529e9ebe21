"""Faults that users of other libraries reported, each kind by several samples: rare classes,
sentinels, neighbours, short types, stopped training, odd numbers, and threads."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch

import quasistatic as qs
from quasistatic import DiffusionDensity, DiffusionOutliers

N = 300


def reals(seed=0, columns=2):
    return np.random.default_rng(seed).normal(size=(N, columns))


@pytest.mark.parametrize(
    ("exponent", "columns"), [(1.3, 1), (1.6, 1), (1.6, 2), (2.0, 1), (2.5, 1)]
)
def test_the_level_holds_with_classes_that_few_rows_have(exponent, columns):
    rates = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"x": rng.normal(size=700)})
        for k in range(columns):
            frame[f"town{k}"] = [f"t{v}" for v in np.minimum(rng.zipf(exponent, 700), 5000)]
        detector = DiffusionOutliers(level=0.05, random_state=seed, steps=0).fit(frame[:200])
        rates.append(float((detector.predict(frame[200:]) == -1).mean()))
    error = max(np.std(rates, ddof=1) / 2, 0.01)
    assert np.mean(rates) < 0.05 + 3 * error


@pytest.mark.parametrize("sentinel", [99999.0, -9999.0, 1e9, -99999.0, 8888.0])
def test_a_far_number_that_recurs_hides_no_outlier(sentinel):
    x = reals()
    x[:6, 0] = sentinel
    odd = np.array([[0.05 * abs(sentinel) ** 0.5 + 20, 0.0]])
    assert DiffusionOutliers(level=0.05, steps=0).fit(x).p_values(odd)[0] < 0.05
    drawn = DiffusionDensity(steps=0).fit(x).sample(2000, random_state=0)[:, 0]
    assert (abs(drawn) < 5).mean() > 0.9  # 98 % of the rows are


def tables():
    rng = np.random.default_rng(1)
    a, b = reals(2).T
    holed = np.c_[a, b, a + b]
    holed[np.arange(N), np.arange(N) % 3] = np.nan
    turn = rng.uniform(0, 6.28, N)
    return {
        "reals": np.c_[a, a + b],
        "whole": np.c_[rng.poisson(9, N), rng.integers(0, 4, N)].astype(float),
        "holes": holed,
        "mixed": pd.DataFrame({"a": a, "c": rng.choice(["x", "y"], N), "n": rng.poisson(3, N)}),
        "atoms": np.c_[np.where(a > 0, a, 0), b],
        "circle": np.c_[np.sin(turn), np.cos(turn)] + 0.05 * reals(3),
    }


@pytest.mark.parametrize("name", tables())
def test_a_row_has_one_score_alone_among_others_and_in_any_order(name):
    x = tables()[name]
    density = DiffusionDensity(steps=30 if name == "circle" else 0, random_state=0).fit(x)
    all_, order = density.score_samples(x), np.random.default_rng(0).permutation(N)
    frame = isinstance(x, pd.DataFrame)
    shuffled = density.score_samples(x.iloc[order] if frame else x[order])
    assert np.array_equal(shuffled, all_[order])
    for k in (0, 7, 199):
        one = density.score_samples(x.iloc[[k]] if frame else x[[k]])
        assert one == pytest.approx(all_[k], rel=1e-9)


SPACES = {
    "reals": (qs.Continuous(3), qs.GaussianKernel(qs.schedules.cosine(20)), qs.Noise()),
    "bits": (qs.Binary(3), qs.BinomialKernel(qs.schedules.erase_evenly(20)), qs.Clean()),
    "levels": (
        qs.Dequantized((3,), 4),
        qs.GaussianKernel(qs.schedules.linear_log_snr(20, 9.0, -6.0)),
        qs.Velocity(),
    ),
}


def small(name):
    torch.manual_seed(0)
    space, kernel, head = SPACES[name]
    return qs.Diffusion(space, kernel, head, qs.networks.MLP(3, width=16))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", SPACES)
def test_weights_of_16_bits_are_refused_with_what_helps(name, dtype):
    model = small(name).to(dtype)
    with pytest.raises(TypeError, match=r"float32 or float64, got torch\..*call model.float"):
        model.score(np.zeros((2, 3)), 4)


class Stopped(Exception):
    pass


def stop(progress):
    raise Stopped


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("reals", {}),
        ("reals", {"ema": 0.9, "batch": 7}),
        ("bits", {}),
        ("bits", {"warmup": 9}),
        ("levels", {"batch": 50}),
    ],
)
def test_training_that_was_stopped_ends_as_if_it_was_not(name, options, tmp_path):
    x = (reals(4, 3) > 0).astype(np.float32)
    whole, cut = small(name), small(name)
    qs.fit(whole, x, steps=40, seed=0, **options)
    for _ in range(3):
        with pytest.raises(Stopped):
            qs.fit(
                *(small(name), x),
                **{"steps": 40, "seed": 0, "run": tmp_path / "r", "save_every": 1e-9},
                callbacks=[stop],
                **options,
            )
    qs.fit(cut, x, steps=40, seed=0, run=tmp_path / "r", **options)
    for one, two in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.equal(one, two)


def odd_numbers():
    a, b = reals(5).T
    rng = np.random.default_rng(6)
    holed = reals(7, 4) + a[:, None]
    holed[np.arange(N), np.arange(N) % 4] = np.nan
    return {
        "collinear": np.c_[a, 2 * a, a + b, b],
        "repeated": np.repeat(np.c_[a, b][:5], N // 5, 0),
        "zeros": np.c_[a, np.where(rng.random(N) < 0.7, 0, np.exp(b))],
        "far from zero": np.c_[1e13 + a, b],
        "small": np.c_[a * 1e-30, b],
        "holes": holed,
    }


@pytest.mark.parametrize("name", odd_numbers())
def test_odd_numbers_have_finite_scores_and_draws_as_wide(name):
    x = odd_numbers()[name]
    density = DiffusionDensity(steps=0).fit(x)
    assert np.isfinite(density.score_samples(x)).all()
    wide = density.sample(2000, random_state=0).std(0) / np.nanstd(x, 0)
    assert ((wide > 0.5) & (wide < 2)).all()


@pytest.mark.parametrize("name", ["reals", "whole", "holes", "mixed", "atoms"])
def test_threads_give_the_same_and_global_generators_stay(name):
    x = tables()[name]
    before, torch_state = np.random.get_state(legacy=False), torch.get_rng_state()  # noqa: NPY002
    density = DiffusionDensity(steps=0).fit(x)
    scores = density.score_samples(x)
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(t, scores) for t in pool.map(density.score_samples, [x] * 4))
    density.sample(5, random_state=0)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(after) == str(before)
    assert torch.equal(torch_state, torch.get_rng_state())


@pytest.mark.skipif(torch.get_num_threads() > 1, reason="OpenMP's threads do not survive a fork")
@pytest.mark.parametrize("name", ["reals", "mixed"])
def test_a_forked_process_gives_the_same(name):
    x = tables()[name]
    density = DiffusionDensity(steps=0).fit(x)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        forked = pool.apply_async(density.score_samples, (x,)).get(timeout=100)
    assert np.array_equal(forked, density.score_samples(x))
