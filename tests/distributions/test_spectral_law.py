"""Spectral laws of pictures and signals: their basis, dense equivalents, and fits."""

import math

import pytest
import torch
from torch import Tensor

from conftest import assert_mean, close
from quasistatic.distributions.mixtures import (
    CosineBasis,
    GaussianBlock,
    Mixture,
    NoiseLevel,
    SharedDraws,
    SpectralBlock,
)
from quasistatic.distributions.mixtures.cosine_basis import cosines
from quasistatic.distributions.mixtures.fitting import (
    ByClusters,
    ByEnergy,
    FullNormals,
    SpectralCandidate,
    SpectralFit,
)

SHAPES = [((6,), 1), ((3, 4), 1), ((3, 4), 2), ((2, 3, 4), 2), ((2, 3), 0)]
every_shape = pytest.mark.parametrize(("shape", "axes"), SHAPES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def directed(shape: tuple[int, ...], axes: int) -> CosineBasis:
    """A basis whose directions are random at each frequency."""
    plain = CosineBasis.plain(shape, axes)
    turned = torch.linalg.qr(torch.randn(plain.directions.shape, generator=generator()))[0]
    return CosineBasis(shape, axes, turned)


def law(shape: tuple[int, ...], axes: int, components: int = 3) -> Mixture:
    basis, rng = directed(shape, axes), generator(1)
    mean = torch.randn(components, basis.width, generator=rng)
    variance = 0.05 + torch.rand(components, basis.width, generator=rng)
    weight = torch.randn(components, generator=rng).log_softmax(0)
    return Mixture(weight, (SpectralBlock(basis, mean, variance),))


def level(rows: int, signal: float, noise: float) -> NoiseLevel:
    each = (torch.full((rows, 1), value) for value in (signal, noise, 1.0))
    return NoiseLevel(*each, torch.zeros(0))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_cosines_are_orthonormal_and_diagonalise_the_laplacian(n):
    """With reflecting ends the second difference has eigenvalue -4 sin^2(pi f / 2n)."""
    table = cosines(n)
    assert close(table @ table.T, torch.eye(n, dtype=torch.float64))
    difference = torch.diff(torch.eye(n, dtype=torch.float64), dim=0)
    expected = 4 * (math.pi * torch.arange(n, dtype=torch.float64) / (2 * n)).sin().square()
    assert close(table @ difference.T @ difference @ table.T, torch.diag(expected), atol=1e-12)


@every_shape
def test_the_basis_is_orthogonal_and_its_squares_carry_variances(shape, axes):
    basis = directed(shape, axes)
    matrix = basis.matrix()
    x = torch.randn(4, basis.width, generator=generator(2))
    assert close(matrix @ matrix.T, torch.eye(basis.width))
    assert close(basis.turn(x), x @ matrix.T)
    assert close(basis.back(basis.turn(x)), x)
    variance = torch.rand(2, 5, basis.width, generator=generator(3))
    exact = (matrix.T @ torch.diag_embed(variance) @ matrix).diagonal(dim1=2, dim2=3)
    assert close(basis.value_variance(variance), exact)


@every_shape
def test_a_spectral_law_is_its_dense_normals(shape, axes):
    """log p, the denoiser and the law of missing values are those of full covariance matrices."""
    of = law(shape, axes)
    block = of.blocks[0]
    dense = Mixture(of.log_weight, (block.dense,))
    x = of.sample(7, generator(4))
    assert close(of.log_prob(x), dense.log_prob(x))
    x_t = 0.8 * x + 0.6 * torch.randn(x.shape, generator=generator(5))
    found, exact = (each.denoise(x_t, level(7, 0.8, 0.6)) for each in (of, dense))
    assert close(found.mean, exact.mean)
    assert close(found.variance, exact.variance)
    x[::2, 1::3] = math.nan
    assert close(of.log_prob(x), dense.log_prob(x))
    found, exact = (each.condition(x).moments() for each in (of, dense))
    assert close(found.mean, exact.mean)
    assert close(found.variance, exact.variance)
    drawn = of.complete(x[:1], 30_000, SharedDraws(generator()))[0]
    assert_mean(drawn, exact.mean[0])


@every_shape
def test_rows_are_white_where_they_have_one_component(shape, axes):
    """The whitened x_t of a single normal is standard normal."""
    of = law(shape, axes, components=1)
    x_t = 0.5 * of.sample(20_000, generator(6))
    x_t = x_t + 0.7 * torch.randn(x_t.shape, generator=generator(7))
    evidence = of.blocks[0].evidence(x_t, level(len(x_t), 0.5, 0.7))
    white = evidence.denoised(of.log_weight[:, None] + evidence.total).white
    assert_mean(white, 0.0)
    assert_mean(white[:, :, None] * white[:, None], torch.eye(white.shape[1]))


def test_large_examples_with_holes_are_refused():
    block = SpectralBlock(
        CosineBasis.plain((64, 64), 2), torch.zeros(32, 4096), torch.ones(32, 4096)
    )
    x = torch.zeros(1, 4096)
    x[0, 0] = math.nan
    with pytest.raises(ValueError, match="too large covariance"):
        block.evidence(x)


def textures(n: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Examples of two normals with different spectra."""
    basis = CosineBasis.plain(shape, min(2, len(shape)))
    rng = generator(seed)
    rough = torch.rand(n, 1, generator=rng) < 0.4
    fall = torch.arange(1, basis.width + 1).to(torch.float64) ** -0.5
    scale = torch.where(rough, 1.0 + 0 * fall, 0.3 * fall)
    return basis.to(scale).back(scale * torch.randn(n, basis.width, generator=rng))


def test_a_fit_finds_the_law_that_made_the_examples():
    """Two components of known spectra: the share and the spectra come back."""
    x = textures(6000, (4, 4), 0).reshape(-1, 4, 4)
    of = SpectralFit((4, 4)).law(x, SpectralCandidate(2, 2, ByEnergy()), rounds=40)
    order = of.blocks[0].variance.sum(1).argsort()
    assert of.log_weight.exp()[order].tolist() == pytest.approx([0.6, 0.4], abs=0.03)
    smooth, rough = of.blocks[0].variance[order]
    fall = 0.09 / torch.arange(1, 17)
    assert ((rough - 1).abs() < 0.12).all()
    assert ((smooth / fall).log().abs() < 0.15).all()


def test_the_choice_is_the_best_on_examples_that_were_not_seen():
    """The chosen law is better on new examples than one normal, and the reported figure is that of
    new examples."""
    x, new = (textures(n, (6, 6), s).reshape(-1, 6, 6) for n, s in ((2000, 0), (1000, 1)))
    fit = SpectralFit((6, 6))
    found = fit.best(x)
    one = fit.law(x, SpectralCandidate(1, 2, ByEnergy()))
    nats = found.law.log_prob(new.flatten(1))
    assert found.candidate.axes == 2
    assert nats.mean() > one.log_prob(new.flatten(1)).mean() + 1
    assert nats.mean().item() == pytest.approx(
        found.held_out, abs=(5 * nats.std() / math.sqrt(400)).item()
    )


def test_examples_that_share_a_frame_have_a_basis_of_their_own():
    """Values that depend on their place alone are no texture."""
    root = torch.randn(12, 12, generator=generator()) / 3
    x = torch.randn(3000, 12, generator=generator(1)) @ root
    found = SpectralFit((3, 4)).best(x.reshape(-1, 3, 4))
    assert found.candidate.axes == 0


def test_signals_that_begin_at_any_place_have_full_normals():
    """A bump at one of four places, with its own height, is no mixture of normals that share a
    basis: full covariance matrices win on new examples, and their figure is that of new ones."""
    place = torch.arange(24.0)

    def bumps(n: int, seed: int) -> torch.Tensor:
        rng = generator(seed)
        at = 3.0 + 6 * torch.randint(0, 4, (n, 1), generator=rng)
        height = 1 + 0.3 * torch.randn(n, 1, generator=rng)
        noise = 0.05 * torch.randn(n, 24, generator=rng)
        return height * torch.exp(-((place - at) ** 2) / 2) + noise

    x, new = bumps(2000, 0), bumps(1000, 1)
    fit = SpectralFit((24,))
    found = fit.best(x)
    assert isinstance(found.candidate, FullNormals)
    assert isinstance(found.law.blocks[0], GaussianBlock)
    nats = found.law.log_prob(new.double())
    spectral = fit.law(x, SpectralCandidate(8, 0, ByClusters()))
    assert nats.mean() > spectral.log_prob(new).mean() + 1
    error = (nats.std() / math.sqrt(400)).item()
    assert nats.mean().item() == pytest.approx(found.held_out, abs=5 * error)
    # The truth: which of four places, then a normal of rank one and white noise.
    assert nats.mean() > _log_p_of_bumps(new, place).mean() - 1.2


def _log_p_of_bumps(x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    each = []
    for at in (3.0, 9.0, 15.0, 21.0):
        shape = torch.exp(-((place - at) ** 2) / 2).double()
        matrix = 0.09 * shape[:, None] * shape + 0.0025 * torch.eye(24).double()
        normal = torch.distributions.MultivariateNormal(shape, matrix)
        each.append(normal.log_prob(x.double()) - math.log(4))
    return torch.stack(each).logsumexp(0)


def test_clusters_are_found():
    """Ten clusters far apart are ten components of equal weight."""
    middle = 20 * torch.randn(10, 1, 12, generator=generator())
    x = (middle + torch.randn(10, 40, 12, generator=generator(1))).flatten(0, 1)
    of = SpectralFit((12,)).law(x, SpectralCandidate(10, 1, ByClusters()))
    assert close(of.log_weight.exp(), torch.full((10,), 0.1), atol=1e-6)


def test_rescaling_the_examples_moves_log_p_by_minus_log_c_a_value():
    x = textures(500, (4, 4), 0).reshape(-1, 4, 4)
    candidate = SpectralCandidate(4, 2, ByEnergy())
    ours = SpectralFit((4, 4), floor=1e-4).law(x, candidate)
    theirs = SpectralFit((4, 4), floor=1e-2).law(10 * x, candidate)
    moved = theirs.log_prob(10 * x.flatten(1)) + 16 * math.log(10)
    assert close(ours.log_prob(x.flatten(1)), moved, atol=1e-6)


def test_bad_examples_get_a_clear_error():
    fit = SpectralFit((4, 4))
    with pytest.raises(ValueError, match=r"examples of shape \(N, 4, 4\)"):
        fit.best(torch.zeros(3, 5, 5))
    with pytest.raises(ValueError, match="without NaN"):
        fit.best(torch.full((3, 4, 4), math.nan))
    with pytest.raises(ValueError, match="1 or 2 axes"):
        SpectralFit((4, 4), axes=3)
    with pytest.raises(ValueError, match="which is positive"):
        SpectralFit((4, 4), floor=0.0)
