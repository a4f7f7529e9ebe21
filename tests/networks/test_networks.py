"""Networks: what holds of them before any training."""

import math

import pytest
import torch
from torch import nn

from quasistatic.networks import MLP, RBF, DiT, Multiscale
from quasistatic.networks.mlp import _with_detail
from quasistatic.networks.time import fourier_features


def wake(network: nn.Module) -> nn.Module:
    """Weights that are not at their start, where some read-outs are zero."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=rng)
    return network.eval()


NETWORKS = {
    "mlp": lambda: MLP((2, 3), 16, 2, outputs=2, dropout=0.5, detail=2),
    "multiscale": lambda: Multiscale((2, 3), 8, 2, 2, dense=(16,), outputs=2),
    "rbf": lambda: RBF((2, 3), 8, 10, outputs=2),
    "dit": lambda: DiT((2, 3), 8, 2, 2, outputs=2, patch=1, axes=1),
}
every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())


def batch(rng: torch.Generator, n: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 2, 3, generator=rng), torch.arange(1, n + 1) / 10


@every_network
def test_each_example_is_answered_by_itself(make, rng):
    network = wake(make())
    x, time = batch(rng)
    whole = network(x, time)
    order = torch.randperm(7, generator=rng)
    assert torch.allclose(network(x[order], time[order]), whole[order], atol=1e-12)
    alone = torch.cat([network(x[i : i + 1], time[i : i + 1]) for i in range(7)])
    assert torch.allclose(alone, whole, atol=1e-12)
    assert len(whole.flatten(1).unique(dim=0)) == 7


@every_network
def test_every_output_hears_every_value_and_the_time(make, rng):
    network = wake(make())
    x, time = batch(rng, 1)

    def answer(flat):
        return network(flat.reshape(1, 2, 3), time).flatten()

    jacobian = torch.autograd.functional.jacobian(answer, x.flatten())
    assert (jacobian.abs() > 1e-6).all()
    assert not torch.allclose(network(x, time), network(x, time + 0.2))


@every_network
def test_every_weight_is_learned(make, rng):
    network = wake(make()).train()
    x = torch.randn(200, 2, 3, generator=rng)
    time = (1 + torch.arange(200) % 10) / 10
    network(x, time).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@every_network
def test_the_shape_of_an_example_is_only_a_way_to_write_it(make, rng):
    network = wake(make())
    shape = network.shape
    flat = type(network)(**{f: getattr(network, f) for f in network.__dataclass_fields__})
    flat.load_state_dict(network.state_dict())
    assert flat.shape == shape == (2, 3)
    x, time = batch(rng)
    assert torch.equal(flat.eval()(x, time), network(x, time))
    assert type(network)(6, 8, 2).shape == (6,)


# SD15's basis functions


def units(network: RBF, x: torch.Tensor) -> torch.Tensor:
    """The hidden units at x (B, D), read by a read-out that is the identity."""
    hidden = network.hidden
    probe = RBF(network.shape, hidden, 1, outputs=1 if network.shape == (hidden,) else hidden)
    with torch.no_grad():
        probe.centre.copy_(network.centre)
        probe.log_radius.copy_(network.log_radius)
        probe.read_out.zero_()
        for k in range(hidden):
            probe.read_out[0, k, k] = 1.0
    return probe(x, torch.ones(len(x)))[:, 0]


def test_the_basis_functions_share_out_one(rng):
    network = RBF(2, 9, 5, reach=2.0)
    x = 30 * torch.randn(500, 2, generator=rng)  # far outside the centres too
    shares = units(network, x)
    assert shares.shape == (500, 9)
    assert (shares >= 0).all()
    assert torch.allclose(shares.sum(1), torch.ones(500), atol=1e-12)
    # At a centre its own function is the largest, when all are of one width.
    assert units(network, network.centre.detach()).argmax(1).tolist() == list(range(9))


def test_the_basis_functions_are_gaussian_in_ratio(rng):
    """Of two functions the ratio is that of their Gaussians."""
    network = RBF(2, 4, 5)
    with torch.no_grad():
        network.log_radius += 0.3 * torch.randn(4, generator=rng)
    x = torch.randn(50, 2, generator=rng)
    found = units(network, x).log()
    square = (x[:, None] - network.centre).square().sum(-1)
    expected = -square / (2 * network.log_radius.exp() ** 2)
    assert torch.allclose(found.diff(dim=1), expected.diff(dim=1), atol=1e-9)


def test_each_time_has_a_read_out_of_its_own(rng):
    network = RBF(2, 4, 6, outputs=1)
    x = torch.randn(6, 2, generator=rng)
    time = torch.arange(1, 7) / 6
    assert torch.equal(network(x, time), torch.zeros(6, 2, 1))  # it starts at the forward step
    with torch.no_grad():
        network.read_out[3] = 7.0
    # As the functions sum to one, a constant read-out is a constant answer: at that time only.
    expected = torch.zeros(6, 2, 1)
    expected[3] = 7.0
    assert torch.allclose(network(x, time), expected)


@pytest.mark.parametrize("steps", [2, 40, 999, 4000])
def test_no_time_is_read_as_its_neighbour(steps):
    """t / T in float32 is rounded back to the same t."""
    network = RBF(1, 1, steps).float()
    with torch.no_grad():
        network.read_out[:, 0, 0] = torch.arange(1.0, steps + 1)
    t = torch.arange(1, steps + 1)
    answer = network(torch.zeros(steps, 1, dtype=torch.float32), (t / steps).float())
    assert torch.equal(answer[:, 0, 0].long(), t)


# the perceptron


def test_it_starts_from_the_output_it_is_given(rng):
    output = torch.randn(2, 3, 2, generator=rng)
    network = MLP((2, 3), 16, 2, outputs=2).start_at(output)
    x, time = batch(rng)
    assert (network(x, time) - output).abs().mean() < 0.15  # the read-out starts small
    assert network.start_at(output) is network
    with torch.no_grad():
        network.read_out.weight.zero_()
    assert torch.equal(network(x, time), output.expand(7, 2, 3, 2))


def test_dropout_is_for_training_alone(rng):
    network = MLP((2, 3), 64, 2, dropout=0.5)
    x, time = batch(rng)
    assert not torch.equal(network(x, time), network(x, time))
    network.eval()
    assert torch.equal(network(x, time), network(x, time))


def test_detail_tells_apart_what_is_close(rng):
    """The features repeat with the longest period; half of the shortest turns the finest over."""
    octaves = 4
    x = torch.rand(20, 3, generator=rng)
    features = _with_detail(x, octaves)
    assert features.shape == (20, 3 * (1 + 2 * octaves))
    assert torch.equal(features[:, :3], x)
    waves = features[:, 3:].reshape(20, 2, octaves, 3)
    assert torch.allclose(waves.square().sum(1), torch.ones(20, octaves, 3))  # sines and cosines
    again = _with_detail(x + 2, octaves)[:, 3:].reshape(20, 2, octaves, 3)
    assert torch.allclose(again, waves, atol=1e-9)
    moved = _with_detail(x + 2 / 2**octaves, octaves)[:, 3:].reshape(20, 2, octaves, 3)
    assert torch.allclose(moved[:, :, -1], -waves[:, :, -1], atol=1e-9)
    assert torch.equal(_with_detail(x, 0), x)


# the time


def test_time_features_are_sines_and_cosines_of_half_turns():
    time = torch.tensor([0.25, 0.5, 1.0])
    features = fourier_features(time, 2)
    half = 0.5**0.5
    expected = [
        [0.25, half, 1.0, half, 0.0],
        [0.5, 1.0, 0.0, 0.0, -1.0],
        [1.0, 0.0, 0.0, -1.0, 1.0],
    ]
    assert torch.allclose(features, torch.tensor(expected), atol=1e-12)


@pytest.mark.parametrize("steps", [10, 1000])
def test_no_two_times_look_alike(steps):
    """Least of all the two ends, which features of whole turns would confuse."""
    time = torch.arange(1, steps + 1) / steps
    features = fourier_features(time, 8)
    distance = torch.cdist(features, features) + 9 * torch.eye(steps)
    assert distance.min() > math.pi / steps  # a step away at the least
    assert distance[0, -1] > 2
