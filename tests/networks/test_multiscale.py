"""SD15's network for images: its convolution, its bumps of time, and how the two are read out."""

import math

import pytest
import torch
import torch.nn.functional as F

from conftest import close
from quasistatic.networks import Multiscale
from quasistatic.networks.image_layout import Grid
from quasistatic.networks.multiscale import _MultiscaleConvolution, bump_functions

# bumps of time


@pytest.mark.parametrize(("count", "steps"), [(1, 5), (2, 40), (10, 1000)])
def test_bumps_share_out_one_at_every_time(count, steps):
    time = torch.arange(1, steps + 1) / steps
    g = bump_functions(time, count)
    tau, w = [(j + 0.5) / count for j in range(count)], 1 / count
    weight = torch.stack([(-((time - each) ** 2) / (2 * w**2)).exp() for each in tau], 1)
    assert close(g, weight / weight.sum(1, keepdim=True))
    assert close(g.sum(1), torch.ones(steps))


def test_bumps_are_local_and_evenly_spread():
    """Each is the largest of all in its own tenth of time, falls away from its middle, and is
    next to nothing four spacings off; the last is the first in a mirror."""
    time = (torch.arange(1000) + 0.5) / 1000
    g = bump_functions(time, 10)
    assert g.argmax(1).tolist() == [i // 100 for i in range(1000)]
    middle = 0.05 + 0.1 * torch.arange(10)
    away = (time[:, None] - middle).abs()
    assert g[away > 0.4].max() < 3e-3
    assert (g[away < 0.05].min() > 3e-1).all()
    assert close(g.flip(0, 1), g)


# the convolution at many scales


def plain(inside: int, outside: int, sizes: tuple[int, ...], scales: int, kernel: int, rng):
    """A multi-scale convolution with random weights and no biases."""
    grid = Grid.of(sizes, len(sizes))
    layer = _MultiscaleConvolution(grid, inside, outside, scales, kernel)
    with torch.no_grad():
        for conv in layer.convs:
            conv.weight.copy_(torch.randn(conv.weight.shape, generator=rng))
            conv.bias.zero_()
    return layer


def block_means(x: torch.Tensor, edge: int) -> torch.Tensor:
    """Each value replaced by the mean over the block of x (*sizes) that holds it."""
    if x.ndim == 0 or edge == 1:
        return x
    blocks = torch.zeros(x.shape).long()
    for axis, size in enumerate(x.shape):
        index = torch.arange(size) // edge
        shape = [1] * x.ndim
        shape[axis] = size
        blocks = blocks * (1 + int(index.max())) + index.reshape(shape)
    flat = blocks.flatten()
    sums = torch.zeros(int(flat.max()) + 1).index_add(0, flat, x.flatten())
    return (sums / flat.bincount())[flat].reshape(x.shape)


SIZES = [(8, 8), (28, 28), (6, 10), (7, 5), (4, 9), (1, 8), (13,), (5, 6, 3)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_with_kernels_of_one_cell_it_is_a_sum_of_block_means(sizes, rng):
    """sum_k a_k (mean over the block of edge 2^k), of sizes that 2^k does not divide too."""
    layer = plain(1, 1, sizes, 3, 1, rng)
    x = torch.randn(*sizes, generator=rng)
    share = [conv.weight.item() for conv in layer.convs]
    expected = sum(a * block_means(x, 2**k) for k, a in enumerate(share))
    assert close(layer(x[None, None])[0, 0], expected)


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_one_bright_place_shows_each_kernel_enlarged(scale, rng):
    """What a scale makes of a bright cell is its kernel, mirrored, in blocks of 4^-k."""
    layer = plain(1, 1, (24, 24), 3, 3, rng)
    with torch.no_grad():
        for k, conv in enumerate(layer.convs):
            conv.weight *= float(k == scale)
    x = torch.zeros(1, 1, 24, 24)
    x[0, 0, 13, 9] = 1.0
    edge = 2**scale
    small = torch.zeros(24 // edge, 24 // edge)
    i, j = 13 // edge, 9 // edge
    small[i - 1 : i + 2, j - 1 : j + 2] = layer.convs[scale].weight[0, 0].flip(0, 1) / edge**2
    expected = small.repeat_interleave(edge, 0).repeat_interleave(edge, 1)
    assert close(layer(x)[0, 0], expected)


def test_with_one_scale_it_is_a_convolution(rng):
    layer = plain(2, 3, (5, 6), 1, 5, rng)
    x = torch.randn(4, 2, 5, 6, generator=rng)
    assert close(layer(x), F.conv2d(x, layer.convs[0].weight, padding=2))


# the network as a whole


def small(shape, **others) -> Multiscale:
    """A network without dense layers, as these see every place at once."""
    torch.manual_seed(1)
    given = {"width": 4, "depth": 2, "scales": 3, "dense": (), "local": (5,), "bumps": 3}
    network = Multiscale(shape, **(given | others)).eval()
    with torch.no_grad():
        network.read_out.weight *= 10
    return network


@pytest.mark.parametrize("shape", [(96,), (48, 40)], ids=str)
def test_far_from_the_borders_a_shifted_image_has_a_shifted_answer(shape, rng):
    """By a multiple of the coarsest cell; by less, the blocks show, but for a single scale."""
    x = torch.randn(2, *shape, generator=rng)
    time = torch.tensor([0.2, 0.9])
    axes = tuple(range(1, x.ndim))

    def gap(network, by):
        """The largest difference where neither the seam nor the padding is heard."""
        moved = network(x.roll((by,) * len(axes), axes), time)
        back = moved.roll((-by,) * len(axes), axes)
        inner = (slice(None), *[slice(16, -20)] * len(axes))
        return (back - network(x, time))[inner].abs().max()

    assert gap(small(shape), 4) < 1e-12
    assert gap(small(shape), 1) > 1e-3
    assert gap(small(shape, scales=1), 1) < 1e-12


def test_only_the_read_out_knows_the_time(rng):
    """Over all times the answers to one x are combinations of J coefficients a value."""
    network = small((6, 5), bumps=4, outputs=2)
    time = torch.linspace(0.01, 1, 50)
    x = torch.randn(1, 6, 5, generator=rng)
    answers = network(x.expand(50, 6, 5), time).flatten(1)
    y = torch.linalg.lstsq(bump_functions(time, 4), answers)
    assert torch.linalg.matrix_rank(answers, rtol=1e-10) == 4
    assert close(bump_functions(time, 4) @ y.solution, answers)


@pytest.mark.parametrize(
    ("shape", "axes", "own"),
    [
        ((5,), None, 1),
        ((4, 7), None, 1),
        ((3, 4, 7), None, 3),
        ((3, 9), 1, 3),
        ((2, 3, 5, 4), None, 6),
        ((2, 4, 5, 6), 3, 2),
    ],
    ids=str,
)
def test_coefficients_go_to_their_own_value_output_and_bump(shape, axes, own):
    """z_i = sum_j y_ij g_j(t), SD15 Eq. 62: where the read-out is constant it is known."""
    network = small(shape, axes=axes, outputs=2, scales=2)
    y = torch.randn(3, 2, own, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        network.read_out.weight.zero_()
        network.read_out.bias.copy_(y.flatten())
    time = torch.tensor([0.1, 0.5, 1.0, 0.7])
    z = torch.einsum("bj,joc->bco", bump_functions(time, 3), y)
    leading = shape[: len(shape) - network.axes] if network.axes else shape[:-2]
    expected = z.reshape(4, *leading, *[1] * (len(shape) - len(leading)), 2)
    assert close(network(torch.zeros(4, *shape), time), expected.expand(4, *shape, 2))


def test_channels_are_channels_and_not_more_places(rng):
    """A change of one value of (C, L) reaches all channels of the places near it, however far
    apart the channels are; an image of that size passes it to near rows only."""
    signal = small((8, 16), axes=1, scales=1, depth=1)
    image = small((8, 16), scales=1, depth=1)
    x = torch.randn(1, 8, 16, generator=rng)
    moved = x.clone()
    moved[0, 0, 4] += 1.0
    near = torch.zeros(8, 16, dtype=torch.bool)
    near[:, 3:6] = True  # a kernel of three places
    for network, reached in ((signal, near), (image, near & (torch.arange(8)[:, None] < 2))):
        gap = network(moved, torch.ones(1)) - network(x, torch.ones(1))
        assert torch.equal(gap[0, ..., 0] != 0, reached)


def count(network: Multiscale) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_number_of_weights_is_known():
    """Convolutions at each scale, dense layers from all values to `dense_features` for each
    place, layers on a place, and 2 J coefficients for each value."""
    network = Multiscale((3, 10, 12), 8, 2, 3, 5, (20, 30), 4, (6,), 7, outputs=2)
    convolutions = 3 * (3 * 8 * 25 + 8) + 3 * (8 * 8 * 25 + 8)
    dense = (360 * 20 + 20) + (20 * 30 + 30) + (30 * 4 * 120 + 4 * 120)
    places = (12 * 6 + 6) + (6 * 42 + 42)
    assert count(network) == convolutions + dense + places
    assert count(Multiscale((3, 10, 12), dense=())) == count(Multiscale((3, 50, 40), dense=()))
    assert count(Multiscale((28, 28), outputs=2)) == 1_713_128


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": (28, 28), "outputs": 2},
        {"shape": (3, 9, 14), "dense": ()},
        {"shape": (10, 6), "depth": 0, "dense": (7,)},
        {"shape": 20, "local": ()},
    ],
    ids=str,
)
def test_every_weight_is_learned_from_the_start(arguments, rng):
    network = Multiscale(**arguments)
    x = torch.randn(4, *network.shape, generator=rng)
    (network(x, torch.rand(4, generator=rng)) - 1).square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_layers_can_be_left_out(rng):
    """Without dense layers a far place is not heard; without convolutions the near ones are
    heard by the dense layers only, and a place has its features from them alone."""
    x = torch.zeros(1, 64)
    far = x.clone()
    far[0, 63] = 1.0
    time = torch.ones(1)
    local = small((64,))
    assert torch.equal(local(x, time)[0, 0], local(far, time)[0, 0])
    whole = small((64,), depth=0, dense=(8,))
    assert not torch.equal(whole(x, time)[0, 0], whole(far, time)[0, 0])
    assert whole.pixelwise[0].in_channels == whole.dense_features == 2


@pytest.mark.parametrize("outputs", [1, 2])
def test_training_starts_near_zero(outputs, rng):
    network = Multiscale((28, 28), outputs=outputs)
    x = torch.randn(4, 28, 28, generator=rng)
    z = network(x, torch.tensor([0.01, 0.3, 0.6, 1.0]))
    assert z.shape == (4, 28, 28, outputs)
    assert 1e-4 < z.std() < 0.2
    assert z.mean().abs() < 0.2


def test_single_precision_agrees(rng):
    network = small((2, 9, 14), dense=(8,), outputs=2)
    x, time = torch.randn(3, 2, 9, 14, generator=rng), torch.rand(3, generator=rng)
    exact = network(x, time)
    single = network.float()(x.float(), time.float())
    assert single.dtype == torch.float32
    assert close(single.double(), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"scales": 6}, "data of 28 by 20 have 1 to 5 scales, got scales=6: .* an edge of 32"),
        ({"scales": 0}, "data of 28 by 20 have 1 to 5 scales, got scales=0"),
        ({"kernel": 4}, "its edge is odd, got 4"),
        ({"depth": 0, "dense": ()}, "leave no layer that sees more than one place"),
        ({"axes": 3}, "got axes=3"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        Multiscale((28, 20), **arguments)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 20])
def test_the_coarsest_scale_that_is_allowed_sees_half_of_the_data_and_more(size, rng):
    """With as many scales as the error allows, one layer of kernels of one cell joins all places
    of a cell of 2^(scales - 1), and no others; with one scale less, of half of that."""
    most = 1 + int(math.log2(size))
    with pytest.raises(ValueError, match=f"1 to {most} scales"):
        small((size,), scales=most + 1)
    for scales in range(1, most + 1):
        network = small((size,), scales=scales, depth=1, kernel=1)
        x = torch.randn(1, size, generator=rng)
        moved = x.clone()
        moved[0, 0] += 1.0
        gap = (network(moved, torch.ones(1)) - network(x, torch.ones(1)))[0, :, 0]
        cell = 2 ** (scales - 1)
        assert torch.equal(gap != 0, torch.arange(size) < cell)
        assert size / 2 < 2 ** (most - 1) <= size
