"""Dead leaves have the law that they state: each test knows the answer by another way."""

import math

import numpy as np
import pytest

from quasistatic.data import dead_leaves, same_leaf

BOUNDS = {"smallest": 1.5, "largest": 6.0}


def assert_means_agree(a: np.ndarray, b: np.ndarray | float) -> None:
    """Independent values (n,) have the mean of others, or a given one, within 5 standard errors."""
    variance = a.var() / len(a) + np.var(b) / np.size(b)
    assert abs(a.mean() - np.mean(b)) <= 5 * math.sqrt(variance), (a.mean(), np.mean(b))


def visible(x: np.ndarray) -> np.ndarray:
    """How many leaves each noiseless image shows, (n,)."""
    ordered = np.sort(x.reshape(len(x), -1), axis=1)
    return 1 + (np.diff(ordered, axis=1) > 0).sum(1)


def laid_one_by_one(n: int, size: int, smallest: float, largest: float) -> np.ndarray:
    """The definition, word for word: centres over the square enlarged by the largest radius, all
    leaves laid, the first that holds a pixel shown."""
    rng = np.random.default_rng(7)
    y, x = np.divmod(np.arange(size**2), size)
    images = np.empty((n, size**2))
    for image in images:
        centre = -largest + (size - 1 + 2 * largest) * rng.random((2, 1000, 1))
        u = rng.random((1000, 1))
        radius = (smallest**-2 - u * (smallest**-2 - largest**-2)) ** -0.5
        held = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
        assert held.any(0).all()
        image[:] = rng.random(1000)[held.argmax(0)]
    return images.reshape(n, size, size)


@pytest.mark.parametrize("step", [(0, 1), (1, 0), (0, 2), (3, 4), (0, 7), (0, 11)])
def test_two_pixels_are_on_one_leaf_as_often_as_geometry_says(step):
    x = dead_leaves(2000, 12, noise=0.0, **BOUNDS)
    down, right = step
    same = x[:, down:, right:] == x[:, : 12 - down, : 12 - right]
    assert_means_agree(same.mean((1, 2)), float(same_leaf(math.hypot(*step), **BOUNDS)))


@pytest.mark.parametrize("distance", [1, 3, 9])
def test_covariance_is_the_probability_of_one_leaf(distance):
    noise = 0.4
    x = dead_leaves(4000, 10, noise=noise, **BOUNDS, seed=1).astype(float)
    product = (x[:, :, distance:] * x[:, :, :-distance]).mean((1, 2))
    assert_means_agree(product, (1 - noise**2) * float(same_leaf(distance, **BOUNDS)))
    assert_means_agree((x**2).mean((1, 2)), 1.0)
    assert_means_agree(x.mean((1, 2)), 0.0)


def test_leaves_that_are_not_drawn_change_no_picture():
    """Whole pictures, and not pairs of pixels only, have the law of the plain definition."""
    direct = visible(laid_one_by_one(400, 12, **BOUNDS))
    ours = visible(dead_leaves(4000, 12, noise=0.0, **BOUNDS))
    assert_means_agree(ours, direct)
    assert_means_agree(ours.astype(float) ** 2, direct.astype(float) ** 2)


def test_the_law_is_the_same_at_twice_the_scale():
    """Every second pixel of pictures with radii twice as large."""
    large = dead_leaves(2000, 16, smallest=3.0, largest=12.0, noise=0.0, seed=2)
    small = dead_leaves(2000, 8, smallest=1.5, largest=6.0, noise=0.0, seed=3)
    assert_means_agree(visible(large[:, ::2, ::2]), visible(small))


def test_greys_are_uniform():
    """At a corner and in the middle, which see different leaves: Kolmogorov's distance."""
    n = 4000
    x = dead_leaves(n, 9, noise=0.0, **BOUNDS)
    for pixel in (x[:, 0, 0], x[:, 4, 4]):
        cumulative = (np.sort(pixel) / math.sqrt(3) + 1) / 2
        assert np.abs(cumulative - (np.arange(n) + 0.5) / n).max() < 1.95 / math.sqrt(n)


def test_every_pixel_is_covered(monkeypatch):
    empty = np.empty

    def poisoned(shape, dtype=float):
        made = empty(shape, dtype)
        if made.dtype.kind == "f":
            made.fill(np.nan)
        return made

    monkeypatch.setattr(np, "empty", poisoned)
    x = dead_leaves(70, 32, noise=0.0, smallest=0.7, largest=1.5)
    assert (np.abs(x) <= math.sqrt(3) * (1 + 1e-6)).all()  # which NaN is not


def test_the_noise_is_gaussian_and_added_in_the_final_units():
    """Of one seed, the picture without noise tells the noise of the one with it."""
    noise = 0.3
    rest = dead_leaves(200, 16, noise=noise, seed=4).astype(float)
    rest -= math.sqrt(1 - noise**2) * dead_leaves(200, 16, noise=0.0, seed=4)
    rest = rest.ravel() / noise
    assert_means_agree(rest, 0.0)
    assert_means_agree(rest**2, 1.0)
    assert_means_agree(rest**4, 3.0)


def test_a_seed_fixes_the_pictures_and_more_of_them_begin_alike():
    x = dead_leaves(130, seed=5)
    assert x.dtype == np.float32
    assert x.shape == (130, 32, 32)
    assert np.array_equal(x, dead_leaves(130, seed=5))
    for n in (0, 1, 70):
        assert np.array_equal(x[:n], dead_leaves(n, seed=5))
    assert not np.isclose(x, dead_leaves(130, seed=6)).all((1, 2)).any()
    # Pictures of one seed, from one generator or from two, are all different.
    assert len(np.unique(x[:, 0, 0])) == 130


@pytest.mark.parametrize("size", [1, 300])
def test_any_size_is_drawn(size):
    x = dead_leaves(2, size, smallest=5.0, largest=40.0)
    assert x.shape == (2, size, size)
    assert not np.array_equal(x[0], x[1])


def test_one_leaf_of_one_radius_is_a_lens():
    """Two disks of radius r at distance d share 2 r² acos(d/2r) − d/2 sqrt(4 r² − d²)."""
    r, d = 3.0, np.array([0.0, 1.0, 4.0, 5.9, 6.1, 50.0])
    shared = [2 * r**2 * math.acos(e / 6) - e / 2 * math.sqrt(36 - e**2) if e < 6 else 0 for e in d]
    expected = np.array(shared) / (2 * math.pi * r**2 - np.array(shared))
    assert np.allclose(same_leaf(d, r, r * (1 + 1e-9)), expected, atol=1e-7)


def test_the_probability_of_one_leaf_is_a_correlation():
    d = np.linspace(0, 70, 500)
    p = same_leaf(d)
    assert p[0] == 1
    assert (np.diff(p) <= 0).all()
    assert (p[d >= 64] == 0).all()
    assert (p[d < 60] > 0).all()
    assert np.allclose(same_leaf(2 * d, 4.0, 64.0), p)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": -1}, "n must be 0 or more"),
        ({"size": 0}, "size 1 or more"),
        ({"noise": 1.0}, "give 0 <= noise < 1, got 1.0"),
        ({"smallest": 0.0}, "0 < smallest < largest, got 0.0 and 32.0"),
        ({"smallest": 32.0}, "0 < smallest < largest, got 32.0"),
        ({"largest": math.inf}, "0 < smallest < largest"),
    ],
)
def test_leaves_that_have_no_law_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        dead_leaves(**({"n": 2} | wrong))
