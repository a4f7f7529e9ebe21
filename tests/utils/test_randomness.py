"""Draws for tensors that lie elsewhere than the generator."""

import dataclasses

import pytest
import torch

from quasistatic._utils import randomness
from quasistatic.distributions import Bernoulli, Gaussian

LAWS = [Gaussian(torch.zeros(3, 4), torch.ones(3, 4)), Bernoulli(torch.zeros(3, 4))]


def test_draws_are_those_of_the_generator(rng):
    like = torch.zeros(2, dtype=torch.float32)
    again = torch.Generator().manual_seed(0)
    for mine, plain in (
        (randomness.uniform((5,), rng, like), torch.rand(5, generator=again, dtype=torch.float32)),
        (randomness.normal((5,), rng, like), torch.randn(5, generator=again, dtype=torch.float32)),
        (randomness.permutation(7, rng, like), torch.randperm(7, generator=again)),
        (randomness.below(9, 50, rng, like), torch.randint(9, (50,), generator=again)),
    ):
        assert mine.dtype == plain.dtype
        assert torch.equal(mine, plain)
    assert randomness.uniform((1,), rng, like, torch.float64).dtype == torch.float64


@pytest.mark.parametrize("draw", [randomness.uniform, randomness.normal])
def test_a_generator_draws_for_tensors_of_another_device(draw, rng):
    """The device `meta` has shapes and no numbers, and stands for any that is not the CPU."""
    like = torch.zeros(2, device="meta")
    assert draw((3,), rng, like).device == like.device
    assert randomness.permutation(3, rng, like).device == like.device


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_families_take_such_a_generator(law, rng):
    there = {f.name: getattr(law, f.name).to("meta") for f in dataclasses.fields(law)}
    assert type(law)(**there).sample(rng).device.type == "meta"


@pytest.mark.parametrize("draw", [randomness.uniform, randomness.normal])
@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 40), (5, 11), (16, 16), (31, 2)])
def test_the_draws_of_an_example_depend_on_its_number_only(draw, first, count):
    """In any split: the same rows, at each of several calls, of several shapes."""
    like = torch.zeros(())
    whole = randomness.ExampleStreams(7, 0, 64)
    some = randomness.ExampleStreams(7, first, count)
    for shape in ((3,), (), (2, 5)):
        expected = draw((64, *shape), whole, like)[first : first + count]
        assert torch.equal(draw((count, *shape), some, like), expected)


def test_streams_of_other_seeds_and_examples_are_independent():
    like = torch.zeros(())
    draws = torch.stack(
        [
            randomness.normal((64, 500), randomness.ExampleStreams(seed, 0, 64), like)
            for seed in (0, 1, 2)
        ]
    ).flatten(0, 1)
    assert abs(draws.mean().item()) < 5 / draws.numel() ** 0.5
    assert abs(draws.var().item() - 1) < 5 * (2 / draws.numel()) ** 0.5
    correlation = (draws @ draws.T / 500).fill_diagonal_(0)
    assert correlation.abs().max() < 6.5 / 500**0.5
    with pytest.raises(ValueError, match="for 64 examples, got shape"):
        randomness.normal((3, 2), randomness.ExampleStreams(0, 0, 64), like)


def test_a_seed_is_taken_from_a_generator_and_moves_it_on(rng):
    first, second = (randomness.seed_from(rng) for _ in range(2))
    assert first != second
    assert first == randomness.seed_from(torch.Generator().manual_seed(0))


def test_streams_of_rows_do_not_depend_on_the_rows_beside_them():
    """Three numbers for each of two rows, drawn together and alone."""
    like, sources = torch.empty(0), [torch.Generator().manual_seed(k) for k in (3, 4)]
    both = randomness.normal((6, 5), randomness.RowStreams(sources), like)
    alone = randomness.RowStreams([torch.Generator().manual_seed(4)])
    assert torch.equal(randomness.normal((3, 5), alone, like), both[3:])
    with pytest.raises(ValueError, match="are for 2 rows"):
        randomness.uniform((5, 2), randomness.RowStreams(sources), like)
