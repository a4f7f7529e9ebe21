"""The data that recipes train on have the laws that they say."""

import numpy as np
import pytest

from quasistatic import data
from quasistatic.data.synthetic import roll_curve

# swiss roll


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.7])
def test_the_roll_has_mean_zero_and_variance_one(noise):
    n = 400_000
    x = data.swiss_roll(n, noise, seed=3)
    assert (np.abs(x.mean(0)) < 5 / n**0.5 * x.std(0)).all()
    # The mean over the two values of a point: its own standard error is that of n points.
    square = (x**2).mean(1)
    assert abs(square.mean() - 1) < 5 * square.std() / n**0.5


def test_the_noise_is_added_in_the_final_units():
    """Of one seed, the roll without noise tells the noise of the roll with it."""
    noise, n = 0.3, 200_000
    clean = data.swiss_roll(n, 0.0, seed=4)
    rest = data.swiss_roll(n, noise, seed=4) - clean * np.sqrt(1 - noise**2)
    assert np.allclose(rest.std(0), noise, rtol=5 / (2 * n) ** 0.5)
    assert abs((rest * clean).mean()) < 5 * noise / (2 * n) ** 0.5


def test_the_roll_is_an_archimedean_spiral():
    """In the curve's own units the radius is the angle, from 1.5 pi to 4.5 pi."""
    angle = np.linspace(1.5 * np.pi, 4.5 * np.pi, 500)
    curve = roll_curve(angle)
    flat = np.stack([angle * np.cos(angle), angle * np.sin(angle)], -1)
    # An affine map of one scale: distances are all in one ratio.
    ratio = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    ratio /= np.linalg.norm(np.diff(flat, axis=0), axis=1)
    assert np.allclose(ratio, ratio[0])


@pytest.mark.parametrize("noise", [0.025, 0.5, 2.0])
def test_noise_as_scikit_learn_counts_it(noise):
    """Its roll, scaled to unit variance, is ours with the converted noise: alike in every
    direction that a two-sample test of means, squares and fourth powers can see."""
    from sklearn.datasets import make_swiss_roll

    n = 100_000
    theirs, _ = make_swiss_roll(n, noise=noise, random_state=0)
    theirs = theirs[:, [0, 2]]
    theirs = (theirs - theirs.mean(0)) / theirs.var(0).mean() ** 0.5
    ours = data.swiss_roll(n, data.roll_noise(noise), seed=1)
    for power in (lambda x: x, lambda x: x**2, lambda x: x**4, lambda x: x[:, ::-1] * x**2):
        a, b = power(theirs), power(ours)
        error = 5 * ((a.var(0) + b.var(0)) / n) ** 0.5
        assert (np.abs(a.mean(0) - b.mean(0)) < error).all()


@pytest.mark.parametrize("noise", [-0.1, 1.0, np.nan])
def test_a_noise_that_leaves_no_roll_is_refused(noise):
    with pytest.raises(ValueError, match="give 0 <= noise < 1, got"):
        data.swiss_roll(10, noise)


# heartbeat


@pytest.mark.parametrize(("length", "period"), [(20, 5), (7, 3), (4, 4)])
def test_a_heart_beats_once_in_every_period(length, period):
    x = data.heartbeat(20_000, length, period, seed=1)
    assert set(np.unique(x)) == {0.0, 1.0}
    # Every window of one period holds one beat, and the beat repeats.
    windows = np.lib.stride_tricks.sliding_window_view(x, period, axis=1).sum(-1)
    assert (windows == 1).all()
    assert (x[:, period:] == x[:, :-period]).all()
    sequences, counts = np.unique(x, axis=0, return_counts=True)
    assert len(sequences) == period
    p = 1 / period
    assert (np.abs(counts / len(x) - p) < 5 * (p * (1 - p) / len(x)) ** 0.5).all()


@pytest.mark.parametrize("make", [data.swiss_roll, data.heartbeat])
def test_a_seed_fixes_the_draws(make):
    assert np.array_equal(make(50, seed=3), make(50, seed=3))
    assert not np.array_equal(make(50, seed=3), make(50, seed=4))


# tables


def test_the_digits_are_those_of_scikit_learn():
    x = data.digits()
    assert x.shape == (1797, 64)
    assert np.array_equal(np.unique(x), np.arange(17))
    # The first is a nought: dark in the middle, bright around it.
    first = x[0].reshape(8, 8)
    assert first[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert x.sum() == 561718


@pytest.mark.parametrize(("valid", "test"), [(0.1, 0.2), (0.5, 0.01)])
def test_a_split_is_a_partition(valid, test):
    x = np.arange(3000.0).reshape(1000, 3)
    parts = data.split(x, valid, test)
    sizes = [len(parts.train), len(parts.valid), len(parts.test)]
    assert sizes == [round((1 - valid - test) * 1000), round(valid * 1000), round(test * 1000)]
    rows = np.concatenate([parts.train, parts.valid, parts.test])
    assert np.array_equal(rows[rows[:, 0].argsort()], x)
    assert not np.array_equal(rows, x)  # in an order of its own


def test_a_split_is_fixed_by_its_seed():
    x = np.arange(500)
    first, again, other = data.split(x), data.split(x), data.split(x, seed=1)
    for part in ("train", "valid", "test"):
        assert np.array_equal(getattr(first, part), getattr(again, part))
        assert set(getattr(first, part)) != set(getattr(other, part))
    # Another share of validation leaves the test rows as they are: they are held out once.
    assert np.array_equal(data.split(x, valid=0.3).test, first.test)


@pytest.mark.parametrize(("n", "valid", "test"), [(2, 0.1, 0.2), (100, 0.0, 0.2), (100, 0.5, 0.5)])
def test_a_split_that_leaves_a_part_empty_is_refused(n, valid, test):
    with pytest.raises(ValueError, match=f"{n} rows cannot be split"):
        data.split(np.arange(n), valid, test)
