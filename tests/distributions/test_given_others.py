"""Each column given the others: by hiding it, by known regressions, and by enumeration."""

import math

import pytest
import torch

from quasistatic.distributions.mixtures import (
    AtomBlock,
    CategoricalBlock,
    ClassLaw,
    GaussianBlock,
    Mixture,
    RealLaw,
    RowsGivenOthers,
)

K, SIZES = 3, (2, 3)


def law() -> Mixture:
    """Three components of three real values, one of three atoms, and two columns of classes."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(K, 3, 3, generator=rng)
    normal = GaussianBlock.full(torch.randn(K, 3, generator=rng), root @ root.mT + torch.eye(3))
    places = torch.tensor([-1.0, 0.5, 2.0])
    atoms = AtomBlock(places, torch.randn(K, 3, generator=rng).log_softmax(1))
    logits = torch.randn(K, 5, generator=rng).split(SIZES, 1)
    classes = CategoricalBlock(torch.cat([each.log_softmax(1) for each in logits], 1), SIZES)
    return Mixture(torch.tensor([0.5, 0.3, 0.2]).log(), (normal, atoms, classes))


OWNER = torch.tensor([0, 1, 2, 3, 4, 4, 5, 5, 5])
"""The column of each value: three real values, an atom, a class of two, a class of three."""

TWO_PLACES = torch.tensor([0, 1, 2, 2, 3, 3, 0, 0, 0])
"""The same values as columns that own a real value and an atom, or a real value and a class."""


def rows(holes: float = 0.0, owner: torch.Tensor = OWNER) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    x = law().sample(40, rng)
    hidden = torch.rand(40, int(owner.max()) + 1, generator=rng) < holes
    return torch.where(hidden[:, owner], torch.nan, x)


@pytest.mark.parametrize("owner", [OWNER, TWO_PLACES], ids=["one place", "two places"])
@pytest.mark.parametrize("holes", [0.0, 0.4])
def test_a_column_costs_what_hiding_it_saves(owner, holes):
    x = rows(holes, owner)
    found = RowsGivenOthers.of(law(), x, owner).log_prob
    for column in range(found.shape[1]):
        hidden = torch.where(owner == column, torch.nan, x)
        saved = law().log_prob(x) - law().log_prob(hidden)
        assert torch.allclose(found[:, column], saved, atol=1e-10)


@pytest.mark.parametrize("holes", [0.0, 0.4])
def test_the_law_of_a_real_column_is_its_density_given_the_others(holes):
    """Hidden or not: the density at any value is the ratio of two marginals."""
    x = rows(holes)
    every = torch.arange(len(x))
    for column in range(3):
        each = RowsGivenOthers.of(law(), x, OWNER).laws(column, every)
        assert list(each) == [column]
        real = each[column]
        assert isinstance(real, RealLaw)
        value = torch.linspace(-3, 3, len(x))
        at, without = x.clone(), x.clone()
        at[:, column], without[:, column] = value, torch.nan
        ratio = law().log_prob(at) - law().log_prob(without)
        assert torch.allclose(real.density(value[:, None])[:, 0].log(), ratio, atol=1e-9)


def test_the_law_of_a_class_is_bayes_by_enumeration():
    x = rows(0.3)
    every = torch.arange(len(x))
    for column, first, size in ((3, 3, 3), (4, 4, 2), (5, 6, 3)):
        found = RowsGivenOthers.of(law(), x, OWNER).laws(column, every)[first]
        assert isinstance(found, ClassLaw)
        each = []
        for k in range(size):
            at = x.clone()
            if column == 3:
                at[:, 3] = law().blocks[1].places[k]  # type: ignore[attr-defined]
            else:
                at[:, first : first + size] = torch.eye(size)[k]
            each.append(law().log_prob(at))
        assert torch.allclose(found.p, torch.stack(each, 1).softmax(1), atol=1e-12)


def test_quantiles_and_regions_of_one_normal_are_known():
    one = RealLaw(torch.ones(1, 2), torch.tensor([[1.0, -2.0]]), torch.tensor([[2.0, 0.5]]))
    z = 1.959964
    expected = torch.tensor([[1 - 2 * z, 1, 1 + 2 * z], [-2 - z / 2, -2, -2 + z / 2]])
    assert torch.allclose(one.quantile([0.025, 0.5, 0.975]), expected, atol=1e-5)
    for found, low, high in zip(
        one.regions(0.95), expected[:, 0].tolist(), expected[:, 2].tolist(), strict=True
    ):
        assert len(found) == 1
        assert found[0] == pytest.approx((low, high), abs=0.02)


def test_two_modes_have_two_regions_and_the_mass_is_the_share():
    two = RealLaw(
        torch.tensor([[0.6], [0.4]]), torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [0.5]])
    )
    regions = two.regions(0.9)[0]
    assert len(regions) == 2
    mass = sum((two.cdf(torch.tensor([[b]])) - two.cdf(torch.tensor([[a]]))) for a, b in regions)
    assert mass.item() == pytest.approx(0.9, abs=0.01)
    assert two.cdf(two.quantile([0.1, 0.6, 0.99]))[0].tolist() == pytest.approx([0.1, 0.6, 0.99])
    assert math.isclose(two.density(torch.tensor([[0.0]])).item(), 0.6 / (2 * math.pi) ** 0.5)
