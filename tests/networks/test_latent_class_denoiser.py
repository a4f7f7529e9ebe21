"""Latent classes: what they say of x_0 through noise, by identities of the density they imply."""

import math

import pytest
import torch
from torch import Tensor

from quasistatic.distributions.mixtures import completed_rows, drawn_rows
from quasistatic.distributions.mixtures.components import Part
from quasistatic.distributions.mixtures.em import clustered, maximised, one_class
from quasistatic.distributions.mixtures.latent_class import LatentClasses
from quasistatic.networks import LatentDenoiser, LatentMLP

SIZES = (2, 3)


def law(log_share: Tensor | None = None) -> LatentClasses:
    """Three components of two real columns and two of classes."""
    rng = torch.Generator().manual_seed(0)
    mean = 2 * torch.randn(3, 2, generator=rng)
    root = torch.randn(3, 2, 2, generator=rng)
    variance, basis = torch.linalg.eigh(root @ root.mT + 0.1 * torch.eye(2))
    weight = torch.tensor([0.5, 0.3, 0.2]).log()
    logits = torch.randn(3, 5, generator=rng).split(SIZES, 1)
    share = torch.cat([each.log_softmax(1) for each in logits], 1)
    pi = torch.tensor([0.7, 0.3, 0.2, 0.3, 0.5]).log()
    return LatentClasses(Part(weight, mean, variance, basis), share, pi, SIZES)


def rows() -> Tensor:
    """Some x_t, the last of them with holes."""
    real = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-1.0, 1.0], [0.5, 2.0], [1.0, 0.0]])
    one_hot = torch.eye(5)[[0, 1, 0, 1, 0]] + torch.eye(5)[[2, 3, 4, 4, 3]]
    x = torch.cat([real, one_hot], 1)
    x[2, 0], x[3, 2:4], x[4, 1], x[4, 4:] = (math.nan,) * 4
    return x


SIGNAL, NOISE, KEEP = 0.8, 0.6, 0.6


def noised(of: LatentClasses, but: int | None = None) -> LatentClasses:
    """The law of x_t, one column of classes left as it is."""
    part = of.normals
    spread = Part(
        part.log_weight, SIGNAL * part.mean, SIGNAL**2 * part.variance + NOISE**2, part.basis
    )
    share = (KEEP * of.log_share.exp() + (1 - KEEP) * of.log_pi.exp()).log()
    if but is not None:
        share = torch.where(of.owner == but, of.log_share, share)
    return LatentClasses(spread, share, of.log_pi, of.sizes)


def told(of: LatentClasses, x: Tensor) -> Tensor:
    scales = (torch.full((len(x), 1), each) for each in (SIGNAL, NOISE, KEEP))
    return of.denoised(x, *scales)


def test_the_moments_are_what_the_density_implies():
    """Tweedie: E[x_0 | x_t] = (x_t + noise^2 grad log p(x_t)) / signal where a value is there."""
    x = rows()
    real = x[:, :2].clone().requires_grad_()
    whole = noised(law()).log_prob(torch.cat([real, x[:, 2:]], 1)).sum()
    (slope,) = torch.autograd.grad(whole, real)
    tweedie = (x[:, :2] + NOISE**2 * slope) / SIGNAL
    there = ~x[:, :2].isnan()
    assert torch.allclose(told(law(), x)[:, :2, 0][there], tweedie[there], atol=1e-9)


def test_what_is_absent_has_the_moments_of_its_draws():
    """At next to no noise, those of exact draws given the rest of the row."""
    x, rng = rows()[2:], torch.Generator().manual_seed(0)
    drawn = completed_rows(law(), x, 20_000, rng)
    one = torch.ones(len(x), 1)
    found = law().denoised(x, one, 1e-4 * one, one)
    hidden = x[:, :2].isnan()
    mean, variance = drawn[..., :2].mean(1), drawn[..., :2].var(1)
    assert torch.allclose(found[:, :2, 0][hidden], mean[hidden], atol=0.03)
    assert torch.allclose(found[:, :2, 1][hidden], variance[hidden], rtol=0.05)
    share = drawn[..., 2:].mean(1)
    hidden = x[:, 2:].isnan()
    assert torch.allclose(found[:, 2:, 0].exp()[hidden], share[hidden], atol=0.015)
    known = ~x.isnan()[:, None].expand_as(drawn)
    assert torch.equal(drawn[known], x[:, None].expand_as(drawn)[known])


@pytest.mark.parametrize("column", [0, 1])
def test_a_class_has_its_probability_given_the_other_columns(column):
    """By enumeration: p(x_0 = v, the other columns of x_t) for each class v of a column."""
    x, first, size = rows(), (0, 2)[column], SIZES[column]
    each = []
    for v in range(size):
        with_v = x.clone()
        with_v[:, 2 + first : 2 + first + size] = torch.eye(size)[v]
        each.append(noised(law(), column).log_prob(with_v))
    exact = torch.stack(each, 1).log_softmax(1)
    found = told(law(), x)[:, 2 + first : 2 + first + size, 0]
    assert torch.allclose(found, exact, atol=1e-9)


def test_draws_have_the_law_s_moments():
    x = drawn_rows(law(), 40_000, torch.Generator().manual_seed(0))
    weight = law().normals.log_weight.exp()
    mean = torch.cat([law().normals.mean, law().log_share.exp()], 1)
    assert torch.allclose(x.mean(0), weight @ mean, atol=0.03)
    assert (x[:, 2:4].sum(1) == 1).all()
    assert (x[:, 4:].sum(1) == 1).all()


def test_expectation_maximisation_finds_a_law_through_holes():
    """Nearly as likely on new rows as the law itself, with a fifth of all values missing."""
    rng = torch.Generator().manual_seed(1)
    x, new = (drawn_rows(law(), 3000, rng) for _ in range(2))
    hidden = torch.rand(3000, 4, generator=rng) < 0.2
    x[hidden[:, [0, 1, 2, 2, 3, 3, 3]]] = math.nan
    alone = one_class(x, x[:, 2:].nanmean(0).log(), SIZES, 1.0)
    floor = torch.full((2,), 1e-3)
    found = maximised(x, clustered(x, 3, alone, floor, 0), alone, floor)
    truth, lonely = law().log_prob(new).mean(), alone.log_prob(new).mean()
    assert lonely < truth - 0.5
    assert truth - 0.05 < found.log_prob(new).mean() < truth + 0.01


def test_a_normal_on_a_lattice_is_drawn_to_its_numbers():
    """Against the sum over all numbers; where it is wide, nothing changes."""
    part = Part(torch.zeros(1), torch.zeros(1, 1), torch.ones(1, 1), torch.eye(1)[None])
    none = torch.zeros(1, 0)
    one = LatentClasses(part, none, none[0], ())
    lattice = torch.tensor([[-1.0], [0.5], [1.5]])
    network = LatentDenoiser(1, (), 1, 3)
    network.start_at(one, torch.tensor([6.0, 2.0, -8.0]), torch.ones(3), lattice)
    x = torch.tensor([[-3.0], [-0.9], [0.2], [0.26], [2.0]])
    numbers = torch.arange(-1, 1.6, 0.5)
    for step in (1, 2):
        signal, noise, _ = network.scales(torch.tensor([step / 3]))
        log_p = -(numbers**2) / 2 - (x - signal * numbers) ** 2 / (2 * noise**2)
        mean = (log_p.softmax(1) * numbers).sum(1)
        found = network(x, torch.full((5,), step / 3))
        assert torch.allclose(found[:, 0, 0], mean, atol=1e-6)
    wide = network(x, torch.ones(5))[:, 0]
    assert torch.equal(wide, one.denoised(x, *network.scales(torch.ones(5)))[:, 0])


def test_a_network_starts_as_the_mixture_and_is_told_of_holes():
    network = LatentMLP(7, SIZES, 3, 4, width=8)
    network.mixture.start_at(law(), torch.linspace(4, -4, 4), torch.linspace(0.9, 0.1, 4))
    x, time = rows(), torch.full((5,), 0.5)
    assert not network.speaks
    found, exact = network(x, time), network.mixture(x, time)
    assert torch.equal(found[..., 0], exact[..., 0])
    assert (found[:, :2, 2:] == 0).all()
    with torch.no_grad():
        network.correction.read_out.weight += 0.1
    assert network.speaks
    assert network(x, time).isfinite().all()
    with pytest.raises(ValueError, match="log_pi must be finite and have shape"):
        network.mixture.start_at(
            LatentClasses(law().normals, law().log_share, torch.zeros(4), SIZES),
            torch.zeros(4),
            torch.ones(4),
        )
