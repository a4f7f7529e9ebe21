"""A batch that does not fit into memory is evaluated in parts, with the same numbers."""

import warnings

import pytest
import torch
from torch import nn

import quasistatic as qs
from device_cases import build


class Cramped(nn.Module):
    """A network that has memory for a few examples only."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most, self.largest = network, most, 0

    def forward(self, x, time):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        self.largest = max(self.largest, len(x))
        return self.network(x, time)


def cramped(most: int) -> tuple[qs.Diffusion, qs.Diffusion, object]:
    case = build("bits levels")
    return case.model, case.model.with_network(Cramped(case.model.network, most)), case.x


def test_what_does_not_fit_is_evaluated_in_parts_and_said_once_for_each_size():
    model, small, x = cramped(7)
    with pytest.warns(UserWarning, match="examples at once do not fit into the memory") as said:
        found = small.score(x, 5, rng=0)
    assert [str(each.message).split()[0] for each in said] == ["24", "12"]
    assert torch.allclose(found.nats, model.score(x, 5, rng=0).nats, rtol=1e-12)
    assert small.network.largest == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the size is remembered
        assert torch.equal(small.sample(20, 6, rng=0), model.sample(20, 6, rng=0))


def test_a_network_without_memory_for_one_example_is_an_error_that_says_what_to_do():
    _, small, x = cramped(0)
    with (
        pytest.warns(UserWarning, match="do not fit"),
        pytest.raises(torch.OutOfMemoryError, match=r"not even one example of shape \(5,\) fits"),
    ):
        small.score(x, 5, rng=0)


def test_a_training_step_names_the_setting_that_halves_its_memory():
    case = build("bits levels")
    case.model.network = Cramped(case.model.network, 24)
    case.model.network.most = 3
    with pytest.raises(torch.OutOfMemoryError, match="set accumulate=2 to take half as many"):
        qs.fit(case.model, case.x, steps=2, batch=8)
