"""Measures of samples: closed forms, brute force, and what must not change them."""

import hashlib
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity
from torch import nn

from conftest import assert_mean
from quasistatic.diagnostics.metrics import Features, fid, kid, parzen
from quasistatic.diagnostics.metrics import features as features_room
from quasistatic.diagnostics.metrics.features import resized


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# Parzen windows


def test_the_window_is_the_kernel_density_of_the_samples():
    samples, valid, test = (numbers(n, 3, 4, seed=i) for i, n in enumerate((50, 20, 30)))
    found = parzen(samples, valid, test, [0.3])
    density = KernelDensity(bandwidth=0.3, rtol=1e-12).fit(samples.flatten(1).numpy())
    expected = torch.from_numpy(density.score_samples(test.flatten(1).numpy()))
    assert torch.allclose(found.nats, expected, rtol=1e-10)
    assert torch.allclose(found.bits * math.log(2), expected, rtol=1e-10)
    assert found.stderr() == pytest.approx(expected.std().item() / math.sqrt(30))
    expected = density.score_samples(valid.flatten(1).numpy()).mean()
    assert found.valid_nats == pytest.approx((expected,))


def test_one_window_far_from_its_example_keeps_its_digits():
    """exp(-784 / (2 0.01^2)) is zero in any floating type; its logarithm is not."""
    found = parzen(torch.zeros(1, 784), torch.zeros(1, 784), torch.ones(1, 784), [0.01])
    expected = -784 / (2 * 0.01**2) - 784 / 2 * math.log(2 * math.pi * 0.01**2)
    assert found.nats.item() == pytest.approx(expected, rel=1e-12)


def test_the_width_is_chosen_on_the_validation_data_alone():
    samples = numbers(40, 5)
    near, far = samples + 0.001, numbers(200, 5, seed=1)
    widths = [0.01, 0.1, 0.3, 1.0]
    best = {
        name: max(widths, key=lambda sigma, x=x: parzen(samples, x, x, [sigma]).nats.mean())
        for name, x in (("near", near.clamp(max=1)), ("far", far))
    }
    assert best["near"] != best["far"]
    assert parzen(samples, near.clamp(max=1), far, widths).sigma == best["near"]
    assert parzen(samples, far, near.clamp(max=1), widths).sigma == best["far"]
    assert parzen(samples, near.clamp(max=1), far, widths).at_the_end
    assert not parzen(samples, far, far, widths).at_the_end


def test_chunks_change_nothing(monkeypatch):
    arrays = [numbers(n, 6, seed=n) for n in (30, 17, 23)]
    whole = parzen(*arrays)
    monkeypatch.setattr(sys.modules["quasistatic.diagnostics.metrics.parzen"], "PAIRS", 100)
    assert torch.allclose(parzen(*arrays).nats, whole.nats, rtol=1e-13)


def test_bytes_and_float32_are_scored_in_float64():
    bits = (numbers(30, 6) < 0.5).to(torch.uint8)
    found = parzen(bits, bits.float(), bits.numpy())
    assert found.nats.dtype == torch.float64
    assert torch.equal(found.nats, parzen(*[bits.double()] * 3).nats)


def test_the_number_comes_with_how_little_it_says():
    found = parzen(*[numbers(5, 2)] * 3)
    assert "T16" in found.caution


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samples": torch.full((2, 3), 255.0)}, r"samples must lie in \[0, 1\], got 255: divide"),
        ({"test": torch.full((2, 3), math.nan)}, r"test must lie in \[0, 1\], got nan"),
        ({"valid": torch.zeros(2, 4)}, r"valid holds examples of shape \(4,\) and samples"),
        ({"test": torch.zeros(0, 3)}, r"test must have shape \(examples, ...\), got \(0, 3\)"),
        ({"sigmas": [0.1, 0.0]}, r"positive numbers, got \(0.1, 0.0\)"),
        ({"sigmas": []}, r"one or more positive numbers, got \(\)"),
    ],
)
def test_what_a_window_cannot_be_is_refused(change, said):
    given = {name: torch.zeros(2, 3) for name in ("samples", "valid", "test")}
    with pytest.raises(ValueError, match=said):
        parzen(**(given | change))


# FID


def rows_with(mean: torch.Tensor, covariance: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    """n rows whose own mean and covariance are those, exactly."""
    x = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(seed))
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return white @ torch.linalg.cholesky(covariance).T + mean


def test_fid_of_gaussians_that_commute_is_the_closed_form():
    """|mu_a - mu_b|^2 + sum (sigma_a - sigma_b)^2 over the common axes."""
    basis = torch.linalg.qr(numbers(6, 6)).Q
    spread_a, spread_b = numbers(6, seed=1) + 0.1, numbers(6, seed=2) + 0.1
    mean_a, mean_b = numbers(6, seed=3), numbers(6, seed=4)
    a = rows_with(mean_a, basis @ torch.diag(spread_a**2) @ basis.T, 50, 5)
    b = rows_with(mean_b, basis @ torch.diag(spread_b**2) @ basis.T, 70, 6)
    expected = ((mean_a - mean_b) ** 2).sum() + ((spread_a - spread_b) ** 2).sum()
    assert fid(a, b) == pytest.approx(expected.item(), rel=1e-10)


def test_fid_of_any_two_is_what_the_roots_of_eigenvalues_say():
    """The trace of (C_a C_b)^(1/2) by the eigenvalues of C_a C_b, where they are well apart."""
    a, b = numbers(60, 5), numbers(80, 5, seed=1) @ numbers(5, 5, seed=2)
    roots = torch.linalg.eigvals(a.T.cov() @ b.T.cov()).real.sqrt().sum()
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = apart + a.T.cov().trace() + b.T.cov().trace() - 2 * roots
    assert fid(a, b) == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("n", [5, 100], ids=["fewer rows than features", "more"])
def test_fid_to_itself_is_nothing_and_it_is_symmetric(n):
    a, b = numbers(n, 40), numbers(n + 3, 40, seed=1) ** 2
    assert abs(fid(a, a)) < 1e-12
    assert fid(a, b) > 0.1
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-12)


def test_fid_and_kid_do_not_see_a_rotation_and_fid_no_shift_of_both(rng):
    a, b = numbers(30, 8), numbers(40, 8, seed=1) ** 2
    turn = torch.linalg.qr(numbers(8, 8, seed=2)).Q
    assert fid(a @ turn + 3, b @ turn + 3) == pytest.approx(fid(a, b), rel=1e-9)
    assert fid(2 * a, 2 * b) == pytest.approx(4 * fid(a, b), rel=1e-12)
    one, two = kid(a, b, blocks=1).mean, kid(a @ turn, b @ turn, blocks=1).mean
    assert one == pytest.approx(two, rel=1e-9)


# KID


def test_kid_of_a_few_rows_by_hand(rng):
    a, b = numbers(4, 3).tolist(), numbers(5, 3, seed=1).tolist()

    def kernel(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / 3 + 1) ** 3

    def mean(pairs):
        values = [kernel(x, y) for x, y in pairs]
        return sum(values) / len(values)

    within = [
        mean((x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j) for s in (a, b)
    ]
    expected = sum(within) - 2 * mean((x, y) for x in a for y in b)
    found = kid(a, b, blocks=1, rng=rng)
    assert found.mean == pytest.approx(expected, rel=1e-12)
    assert math.isnan(found.stderr)


def test_kid_is_unbiased_where_the_laws_are_equal():
    """The mean over many pairs of tiny sets is zero: with pairs of a row and itself it is not."""
    x = torch.randn(4000, 2, 3, 5, generator=torch.Generator().manual_seed(0))
    values = torch.tensor([kid(a, b, blocks=1).mean for a, b in x])
    assert_mean(values, 0.0)
    assert (values < 0).double().mean() > 0.3  # an unbiased estimate of zero is often below it


def test_kid_s_error_is_the_spread_of_its_mean():
    """Over many repetitions the error that is stated is the one that is made."""
    x = torch.randn(300, 2, 40, 4, generator=torch.Generator().manual_seed(1))
    made = [kid(a, b + 0.5, blocks=8) for a, b in x]
    spread = torch.tensor([each.mean for each in made]).std()
    stated = torch.tensor([each.stderr**2 for each in made]).mean().sqrt()
    assert stated == pytest.approx(spread.item(), rel=0.15)


def test_kid_tells_two_laws_apart_by_what_the_kernel_expects(rng):
    """x, y standard normal in D = 1, b moved by m: E k = polynomial moments in closed form."""
    m = 0.7
    a = torch.randn(20_000, 1, generator=rng)
    b = torch.randn(20_000, 1, generator=rng) + m
    # k(x, y) = 1 + 3xy + 3(xy)^2 + (xy)^3, with moments mu_k of each law: sum of (difference)^2.
    moments = np.array([0, m, 1 + m**2, m**3 + 3 * m]) - np.array([0, 0, 1, 0])
    expected = (np.array([1, 3, 3, 1]) * moments**2).sum()
    found = kid(a, b, blocks=20, rng=rng)
    assert abs(found.mean - expected) < 4 * found.stderr


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (torch.zeros(3, 2), torch.zeros(3, 4), "has 2 features and features_b 4"),
        (torch.zeros(1, 2), torch.zeros(3, 2), "at least 2 images, got \\(1, 2\\)"),
        (torch.zeros(3, 2, 2), torch.zeros(3, 2), "shape \\(images, features\\)"),
        (torch.zeros(3, 2), torch.full((3, 2), math.nan), "features_b holds nan at \\(0, 0\\)"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(a, b, said):
    for measure in (fid, kid):
        with pytest.raises(ValueError, match=said):
            measure(a, b)


def test_blocks_of_one_row_are_refused():
    with pytest.raises(ValueError, match=r"blocks must be from 1 to 2, .* got 3"):
        kid(torch.rand(9, 2), torch.rand(5, 2), blocks=3)


# features


def test_resizing_lines_up_the_corners_of_pixels():
    """An affine picture stays affine up to the last pixel, which is held: output i is input
    i n / side."""
    n, m, side = 5, 7, 299
    rows, columns = torch.arange(n)[:, None], torch.arange(m)
    x = (3.0 * rows + 10.0 * columns).reshape(1, 1, n, m)
    place = torch.arange(side) / side
    expected = 3 * (place * n).clamp(max=n - 1)[:, None] + 10 * (place * m).clamp(max=m - 1)
    assert torch.allclose(resized(x, side)[0, 0], expected, rtol=1e-6)
    same = numbers(2, 3, side, side)
    assert torch.allclose(resized(same, side), same, rtol=1e-14)


class _Shown(nn.Module):
    """In the network's place: says what it was shown."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, ::150, ::150].flatten(1)


@pytest.fixture
def shown(tmp_path, monkeypatch) -> Path:
    """A file that passes for the network's."""
    path = tmp_path / "fid_inception.pt"
    torch.jit.script(_Shown()).save(str(path))
    monkeypatch.setattr(features_room, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def bytes_(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, shape, generator=generator).to(torch.uint8)


def test_the_network_sees_three_colours_from_minus_one_to_one(shown):
    grey = bytes_(5, 28, 28)
    found = Features(shown, batch=2)(grey.numpy())
    assert torch.equal(found, Features(shown)(grey[:, None].expand(-1, 3, -1, -1)))
    assert torch.allclose(found[:, 0], (grey[:, 0, 0].float() - 128) / 128)
    assert found.shape == (5, 3 * 2 * 2)


def test_features_are_kept_by_what_the_images_are(shown, tmp_path, monkeypatch):
    cache = tmp_path / "kept"
    images = bytes_(4, 3, 8, 9)
    found = Features(shown, cache)(images)
    assert len(list(cache.iterdir())) == 1
    other = images.clone()
    other[2, 1, 5, 5] += 1
    assert not torch.equal(Features(shown, cache)(other), found)
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(Features, "_some", None)  # from here on nothing can be computed
    assert torch.equal(Features(shown, cache)(images), found)
    with pytest.raises(TypeError):
        Features(shown, cache)(images.flip(-1))


def test_a_missing_network_says_which_file_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"need fid_inception.pt.*SHA-256 7ff4a85c3a"):
        Features(tmp_path / "no.pt")


def test_another_file_is_not_run(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"something else")
    digest = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(ValueError, match=f"has SHA-256 {digest}, and fid_inception.pt has 7ff4"):
        Features(tmp_path / "net.pt")


def test_images_that_are_none_are_refused(shown):
    network = Features(shown)
    with pytest.raises(TypeError, match=r"must be 8-bit .* got torch.float64"):
        network(torch.rand(2, 8, 8))
    for shape in ((2, 1, 8, 8), (8, 8), (0, 8, 8)):
        with pytest.raises(ValueError, match=r"shape \(N, H, W\) or \(N, 3, H, W\)"):
            network(torch.zeros(shape, dtype=torch.uint8))


INCEPTION = Path(os.environ.get("QUASISTATIC_DATA", "")) / "fid_inception.pt"


@pytest.mark.skipif(not INCEPTION.is_file(), reason="no fid_inception.pt under QUASISTATIC_DATA")
def test_the_real_network_tells_noise_from_stripes():
    network = Features(INCEPTION)
    stripes = (255 * (torch.arange(32) // 4 % 2)).to(torch.uint8).expand(6, 32, 32)
    noisy = stripes ^ (bytes_(6, 32, 32) & 7)
    other = bytes_(6, 32, 32, seed=1)
    sets = [network(images) for images in (noisy, stripes ^ (bytes_(6, 32, 32, seed=2) & 7), other)]
    assert sets[0].shape == (6, 2048)
    assert fid(sets[0], sets[1]) < 0.1 * fid(sets[0], sets[2])
    assert kid(sets[0], sets[1], blocks=1).mean < 0.1 * kid(sets[0], sets[2], blocks=1).mean
