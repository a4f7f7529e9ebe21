"""Random views show what they say: each pixel of a view tells where it was taken from."""

import numpy as np
import pytest
import torch

from quasistatic.data import Crops, Flips, Rows

GREY, COLOUR = (5, 6, 7), (5, 3, 6, 7)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    """Each value is its own place in memory."""
    return np.arange(np.prod(shape)).reshape(shape)


def taken_from(views: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The image, the channel, the row and the column of each pixel, each (B, C, h, w)."""
    image, *channel, y, x = np.unravel_index(views, shape)
    views = [each.reshape(len(each), -1, *each.shape[-2:]) for each in (image, y, x)]
    image, y, x = views
    return image, (channel[0] if channel else np.zeros_like(image)), y, x


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("flips", [False, True])
def test_a_crop_is_a_rectangle_of_its_image(shape, flips, rng):
    source = Crops(numbered(shape), (3, 4), flips)
    rows = torch.randint(5, (400,), generator=rng)
    image, channel, y, x = taken_from(source.batch(rows, rng).numpy(), shape)
    assert (image == rows.numpy()[:, None, None, None]).all()
    assert (channel == np.arange(channel.shape[1])[:, None, None]).all()
    assert (y == y[:, :1, :1, :1] + np.arange(3)[:, None]).all()
    step = np.diff(x, axis=-1)
    assert (step == step[:, :1, :1, :1]).all()
    assert (x == x[:, :1, :1]).all()
    assert set(step.ravel()) == ({1, -1} if flips else {1})


def test_places_and_reflections_are_uniform(rng):
    n = 24_000
    source = Crops(numbered(GREY), (3, 4))
    image, _, y, x = taken_from(source.batch(torch.zeros(n, dtype=torch.long), rng).numpy(), GREY)
    assert not image.any()
    mirrored = x[:, 0, 0, 0] > x[:, 0, 0, 1]
    kinds = (y.min((1, 2, 3)) * 4 + x.min((1, 2, 3))) * 2 + mirrored
    counts = np.bincount(kinds, minlength=32)
    p = 1 / 32  # 4 rows, 4 columns and 2 ways: each alike, so all independent
    assert counts.shape == (32,)
    assert (np.abs(counts / n - p) < 5 * (p * (1 - p) / n) ** 0.5).all()


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_a_crop_of_the_whole_is_the_image(shape, rng):
    x = numbered(shape).astype(np.uint8)
    rows = torch.tensor([4, 0, 0])
    whole = Crops(x, (6, 7), flips=False)
    assert torch.equal(whole.batch(rows, rng), Rows(x).batch(rows, rng))
    assert whole.batch(rows, rng).dtype == torch.uint8


def test_an_epoch_has_as_many_views_of_each_image_as_were_asked_for(rng):
    source = Crops(numbered(GREY), 2, views=3)
    assert len(source) == 15
    assert source.shape == (2, 2)
    assert Crops(numbered(COLOUR), 2).shape == (3, 2, 2)
    image, *_ = taken_from(source.batch(torch.arange(15), rng).numpy(), GREY)
    assert np.bincount(image[:, 0, 0, 0]).tolist() == [3] * 5


@pytest.mark.parametrize("shape", [GREY, COLOUR, (5, 7, 1)])
def test_flips_mirror_left_and_right_half_of_the_time(shape, rng):
    x = numbered(shape)
    n = 4000
    rows = torch.randint(5, (n,), generator=rng)
    source = Flips(x)
    views = source.batch(rows, rng).numpy()
    assert source.shape == shape[1:]
    assert len(source) == 5
    as_is = (views == x[rows]).reshape(n, -1).all(1)
    mirrored = (views == x[rows][..., ::-1]).reshape(n, -1).all(1)
    assert (as_is | mirrored).all()
    if shape[-1] > 1:
        assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / n**0.5
        # Each row by a coin of its own: neighbours agree half of the time.
        assert abs((mirrored[1:] == mirrored[:-1]).mean() - 0.5) < 5 * 0.5 / n**0.5


@pytest.mark.parametrize("make", [lambda x: Crops(x, 3), Flips])
def test_the_generator_fixes_the_views(make):
    source = make(numbered(GREY))
    rows = torch.arange(5).repeat(10)
    first, again, other = (
        source.batch(rows, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_fingerprints_tell_views_and_data_apart():
    x = numbered(GREY)
    sources = [
        *(Rows(x), Flips(x), Crops(x, 3), Crops(x, (3, 4)), Crops(x, 3, flips=False)),
        *(Crops(x, 3, views=2), Crops(x + 1, 3), Flips(x + 1)),
    ]
    prints = [str(source.fingerprint()) for source in sources]
    assert len(set(prints)) == len(prints)
    assert Crops(x, 3).fingerprint() == Crops(x.copy(), (3, 3)).fingerprint()


@pytest.mark.parametrize("size", [7, (6, 8), 0, (-1, 2)])
def test_a_crop_that_does_not_fit_is_refused(size):
    with pytest.raises(ValueError, match="does not fit images of 6 x 7: choose a size from 1 x 1"):
        Crops(numbered(GREY), size)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"channels, height, width\), got \(5, 42\): reshape"):
        Crops(numbered(GREY).reshape(5, -1), 3)
    with pytest.raises(ValueError, match=r"rows of shape \(42,\): reshape"):
        Flips(numbered(GREY).reshape(5, -1))
    with pytest.raises(ValueError, match="must be 1 or more, got 0"):
        Crops(numbered(GREY), 3, views=0)
