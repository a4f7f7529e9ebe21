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
    sure = torch.eye(4)[[2, 0, 3]]
    assert randomness.choice(sure, rng).tolist() == [2, 0, 3]


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
