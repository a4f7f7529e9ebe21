"""DDPM's U-Net: how data lie on its grid, what each of its parts computes, and what it depends on.

The parts with a fast form of their own are compared with the operations that they stand for.
"""

import itertools
import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from conftest import close
from quasistatic import Diffusion
from quasistatic.heads import Velocity
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.networks import UNet
from quasistatic.networks.image_layout import Grid
from quasistatic.networks.norms import Norm, NormSiLU
from quasistatic.networks.unet import _Attention, _Rise
from quasistatic.spaces import Continuous

NETS = {
    "image": lambda: UNet((8, 12), 8, (1, 2), 1, attention=(1,), outputs=2, framed=True),
    "patches": lambda: UNet((8, 12), 8, (1, 2), 1, attention=(0,), outputs=3, patch=2),
    "channels": lambda: UNet((3, 8, 4), 8, (1, 2, 3), 1, attention=(0, 2), heads=2, outputs=2),
    "signal": lambda: UNet((2, 16), 8, (1, 2, 2), 2, attention=(2,), outputs=2, axes=1, patch=2),
    "line": lambda: UNet(6, 5, (1, 3), 1, attention=(), framed=True),
    "volume": lambda: UNet((4, 2, 6), 8, (2, 1), 1, attention=(1,), axes=3, framed=True),
}
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())


def awake(network: nn.Module) -> nn.Module:
    """Weights that are not at their start, where the ends of branches are zero."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=rng)
    return network.eval()


def batch(network: UNet, rng: torch.Generator, n: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(n, *network.shape, generator=rng), torch.linspace(0.1, 1, n)


# the grid


GRIDS = [
    ((6,), None, 1),
    ((6,), None, 3),
    ((2, 8), 1, 2),
    ((4, 6), None, 2),
    ((3, 4, 6), None, 2),
    ((2, 3, 4, 2), 2, 2),
    ((4, 2, 6), 3, 2),
]
every_grid = pytest.mark.parametrize(("shape", "axes", "patch"), GRIDS, ids=str)


@every_grid
def test_a_patch_of_values_is_the_channels_of_a_place(shape, axes, patch, rng):
    grid = Grid.of(shape, axes, patch)
    x = torch.randn(2, *shape, generator=rng)
    found, values = grid.gather(x), x.reshape(2, grid.own, *grid.sizes)
    n = len(grid.sizes)
    assert found.shape == (2, grid.channels, *(size // patch for size in grid.sizes))
    for index in itertools.product(range(grid.own), *map(range, grid.sizes)):
        channel = index[0]
        for place in index[1:]:
            channel = channel * patch + place % patch
        at = (channel, *(place // patch for place in index[1:]))
        assert torch.equal(found[(slice(None), *at)], values[(slice(None), *index)])
    assert found.is_contiguous(memory_format=grid.memory_format)
    assert n == (axes or min(2, len(shape)))


@every_grid
def test_outputs_come_back_to_the_value_whose_channels_they_were(shape, axes, patch, rng):
    grid = Grid.of(shape, axes, patch)
    outputs = [torch.randn(2, *shape, generator=rng) for _ in range(3)]
    channels = torch.cat([grid.gather(each) for each in outputs], 1)
    back = grid.scatter(channels, 3)
    assert torch.equal(back.reshape(2, *shape, 3), torch.stack(outputs, -1))


@pytest.mark.parametrize(
    ("shape", "multiples", "patch", "near"),
    [
        ((28, 28), (1, 1, 1, 1), 1, ((24, 32), (24, 32))),
        ((28, 20), (1, 1), 4, ((24, 32), (16, 24))),
        ((3, 5, 4), (1, 2), 2, ((4, 8), (4,))),
        ((3,), (1, 1, 1), 1, ((4,),)),
    ],
)
def test_a_size_that_does_not_fit_is_told_which_do(shape, multiples, patch, near, rng):
    said = " by ".join(" or ".join(map(str, each)) for each in near)
    with pytest.raises(ValueError, match=re.escape(f"(the nearest: {said})")):
        UNet(shape, 4, multiples, 1, attention=(), patch=patch)
    for sizes in itertools.product(*near):  # and they do: every value is seen where it stands
        shape = (*shape[: -len(near)], *sizes)
        network = UNet(shape, 4, multiples, 1, attention=(), patch=patch).eval()
        with torch.no_grad():
            for weight in network.parameters():
                weight.copy_(0.5 * torch.randn(weight.shape, generator=rng))
        x = torch.randn(1, *network.shape, generator=rng, requires_grad=True)
        out = network(x, torch.ones(1))[..., 0]
        corner = (0, *(size - 1 for size in shape))
        (slope,) = torch.autograd.grad(out[corner], x)
        assert out.shape == x.shape
        assert slope[corner].abs() > 1e-6


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"axes": 3}, "1 to 2 of the axes of shape (8, 8)"),
        ({"axes": 0}, "the axes before them are channels"),
        ({"patch": 0}, "at least one value, got patch=0"),
        ({"attention": (2,)}, "must name resolutions from 0 to 1"),
        ({"attention": (-1,)}, "must name resolutions from 0 to 1"),
        ({"attention": (0,), "heads": 3}, "3 heads do not divide the 8 channels"),
    ],
)
def test_what_makes_no_network_is_refused(changed, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        UNet((8, 8), 8, (1, 2), 1, **({"attention": (1,)} | changed))


# the parts, against the operations that they stand for


def plain_norm(norm: NormSiLU, x: Tensor, told: Tensor | None) -> Tensor:
    """The formula, by loops over groups."""
    grouped = x.reshape(len(x), norm.num_groups, -1)
    centred = grouped - grouped.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()
    places = (1, -1, *[1] * (x.ndim - 2))
    z = (centred / deviation).reshape(x.shape) * norm.weight.reshape(places)
    z = z + norm.bias.reshape(places)
    if told is not None:
        scale, shift = told.reshape(*told.shape, *[1] * (x.ndim - 2)).chunk(2, 1)
        z = z * (1 + scale) + shift
    return z / (1 + (-z).exp())


NORMED = [(8, 5, 7), (12, 6), (4, 2, 3, 2), (5, 1, 1), (128, 2, 2)]


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("shape", NORMED, ids=str)
def test_the_norm_in_few_passes_is_the_formula(shape, told, rng):
    norm = awake(NormSiLU(shape[0]))
    x = (3 + torch.randn(3, *shape, generator=rng)).requires_grad_()
    beside = torch.randn(3, 2 * shape[0], generator=rng, requires_grad=True) if told else None
    inputs = [x, *norm.parameters(), *([beside] if told else [])]
    upstream = torch.randn(x.shape, generator=rng)
    found, expected = norm(x, beside), plain_norm(norm, x, beside)
    assert close(found, expected)
    pairs = [torch.autograd.grad(each, inputs, upstream) for each in (found, expected)]
    for mine, other in zip(*pairs, strict=True):
        assert close(mine, other, rtol=1e-8, atol=1e-8)


def test_the_norm_has_a_gradient_of_its_gradient(rng):
    norm = awake(NormSiLU(8))
    x = torch.randn(2, 8, 2, generator=rng, requires_grad=True)
    told = torch.randn(2, 16, generator=rng, requires_grad=True)
    assert torch.autograd.gradgradcheck(norm, (x, told))
    frozen = norm.requires_grad_(False)
    assert torch.autograd.gradgradcheck(lambda x: frozen(x, told.detach()), (x,))


def test_the_norm_keeps_its_digits_far_from_zero(rng):
    """In float32 as much as torch's own group norm: a mean 100 times the deviation."""
    norm, x = NormSiLU(8), 100 + torch.randn(4, 8, 6, 6, generator=rng)
    exact, x = norm(x), x.float()
    ours = (norm.float()(x) - exact).abs().max()
    theirs = (F.silu(F.group_norm(x, norm.num_groups)) - exact).abs().max()
    assert ours < 3 * theirs + 1e-6
    assert ours < 1e-4


@pytest.mark.parametrize("width", [1, 3, 8, 20, 96, 256, 130])
def test_groups_are_ddpm_s_or_fewer_of_at_least_four_channels(width):
    groups = Norm(width).num_groups
    assert width % groups == 0
    assert groups <= 32
    assert width // groups >= min(4, width)
    assert {8: 2, 96: 24, 256: 32}.get(width, groups) == groups


@pytest.mark.parametrize("sizes", [(5,), (4, 3), (2, 3, 1)], ids=str)
def test_to_rise_is_to_repeat_each_place_and_convolve(sizes, rng):
    grid = Grid.of((6, *sizes), len(sizes))
    rise, h = awake(_Rise(grid, 6)), torch.randn(2, 6, *sizes, generator=rng)
    assert close(rise(h), rise.conv(F.interpolate(h, scale_factor=2.0, mode="nearest")))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_the_softmax_of_every_pair_of_places(heads, rng):
    layer = awake(_Attention(Grid.of((3, 4), None), 8, heads))
    h = torch.randn(2, 8, 3, 4, generator=rng)
    read = layer.read(F.group_norm(h, layer.norm.num_groups, layer.norm.weight, layer.norm.bias))
    query, key, value = read.reshape(2, 3, heads, 8 // heads, 12).unbind(1)
    seen = torch.zeros_like(value)
    for i in range(12):
        score = (query[..., i, None] * key).sum(2) / math.sqrt(8 // heads)
        seen[..., i] = (score.softmax(-1)[:, :, None] * value).sum(-1)
    assert close(layer(h), h + layer.write(seen.reshape(2, 8, 3, 4)))


# the whole


@every_net
def test_each_example_is_answered_by_itself(make, rng):
    network = awake(make())
    x, time = batch(network, rng)
    whole = network(x, time)
    assert whole.shape == (*x.shape, network.outputs)
    order = torch.tensor([2, 0, 1])
    assert close(network(x[order], time[order]), whole[order])
    alone = torch.cat([network(x[i : i + 1], time[i : i + 1]) for i in range(3)])
    assert close(alone, whole)
    x[0] += 1
    again = network(x, time)
    assert close(again[1:], whole[1:])
    assert not close(again[0], whole[0], rtol=1e-3, atol=1e-3)


@every_net
def test_every_output_hears_every_value_and_the_time(make, rng):
    network = awake(make())
    x, time = batch(network, rng, 1)
    x.requires_grad_()
    out = network(x, time).flatten()
    for i in (0, len(out) // 2, len(out) - 1):
        heard = torch.autograd.grad(out[i], x, retain_graph=True)[0]
        assert (heard.abs() > 0).all()
    later = network(x, time + 0.001).flatten()  # the next of a thousand steps
    assert (later - out).abs().min() > 0


@every_net
def test_every_weight_is_learned(make, rng):
    network = awake(make()).train()
    network(*batch(network, rng)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@every_net
def test_it_starts_by_passing_on_what_it_is_given(make, rng):
    """Branches end in zeros: no weight within one has any say, but for those zeros themselves."""
    network = make()
    x, time = batch(network, rng)
    start = network(x, time)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if re.search(r"\.(first|told|norm|first_norm|read)\.", name):
                weight += torch.randn(weight.shape, generator=rng)
    assert close(network(x, time), start)
    assert close(network(x, time.flip(0)), start)


@pytest.mark.parametrize(("shape", "axes"), [((16, 24), 2), ((2, 16), 1)], ids=str)
@pytest.mark.parametrize("patch", [1, 2])
def test_what_moves_in_moves_out(shape, axes, patch, rng, monkeypatch):
    """On a torus a network without attention or a frame commutes with every shift by a place of
    its coarsest resolution, and with no smaller one."""
    network = awake(UNet(shape, 8, (1, 2), 1, attention=(), patch=patch, axes=axes, outputs=2))
    torus = {nn.Conv1d: nn.Conv1d._conv_forward, nn.Conv2d: nn.Conv2d._conv_forward}
    for module in network.modules():
        if type(module) in torus and module.kernel_size[0] == 3:
            module.padding_mode = "circular"
    monkeypatch.setattr(
        _Rise, "forward", lambda self, h: self.conv(F.interpolate(h, scale_factor=2.0))
    )
    x, time = batch(network, rng)
    whole, last = network(x, time), x.ndim - 1
    step = 2 * patch
    assert close(network(x.roll(step, last), time), whole.roll(step, last))
    assert close(network(x.roll(-3 * step, last), time), whole.roll(-3 * step, last))
    assert not close(network(x.roll(1, last), time), whole.roll(1, last), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("attention", "seen"),
    [((), []), ((0,), [(8, 12)] * 3), ((1,), [(4, 6)] * 4), ((0, 1), [(4, 6)] * 4 + [(8, 12)] * 3)],
)
def test_attention_is_at_the_resolutions_that_were_chosen(attention, seen, rng):
    """Once behind each block: one on the way down, two on the way up, and one in the middle."""
    network, found = UNet((16, 24), 8, (1, 2), 1, attention=attention, patch=2), []
    for module in network.modules():
        if isinstance(module, _Attention):
            module.register_forward_hook(lambda _, h, out: found.append(tuple(out.shape[2:])))
    network(*batch(network, rng))
    assert sorted(found) == seen


def test_patches_make_it_four_times_cheaper():
    def cost(patch: int) -> int:
        network = UNet((32, 32), 16, (1, 2), 1, attention=(), patch=patch)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 32, 32), torch.ones(1))
        return counter.get_total_flops()

    assert 3.6 < cost(1) / cost(2) < 4


@every_net
def test_how_it_lies_in_memory_changes_nothing(make, rng):
    network = awake(make())
    x, time = batch(network, rng)
    before = network(x, time)
    assert close(network(x.transpose(-1, 0).contiguous().transpose(-1, 0), time), before)
    for weight in network.parameters():
        weight.data = weight.data.contiguous()
    assert close(network(x, time), before)


def test_it_starts_from_the_output_it_is_given(rng):
    output = torch.randn(8, 12, 2, generator=rng)
    network = UNet((8, 12), 8, (1, 2), 1, outputs=2, framed=True)
    x, time = batch(network, rng)
    away = network(x, time)  # from zero
    assert network.start_at(output) is network
    assert close(network(x, time), output + away)
    assert away.abs().mean() < 0.15
    with pytest.raises(TypeError, match="framed=True"):
        UNet((8, 12), 8, (1, 2), 1, outputs=2).start_at(output)


def test_dropout_is_for_training_alone(rng):
    network = awake(UNet((8, 8), 8, (1, 2), 1, dropout=0.5))
    x, time = batch(network, rng)
    assert torch.equal(network(x, time), network(x, time))
    network.train()
    assert not close(network(x, time), network(x, time), rtol=1e-3, atol=1e-3)
    whole = awake(UNet((8, 8), 8, (1, 2), 1)).train()
    assert torch.equal(whole(x, time), whole(x, time))


def test_bfloat16_computes_the_same_to_its_digits(rng):
    network = awake(NETS["image"]()).float()
    x, time = (each.float() for each in batch(network, rng))
    exact = network(x, time)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x, time)
    assert (rounded - exact).abs().max() < 0.1 * exact.std()
    rounded.square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


# in a model


@every_net
def test_it_is_saved_and_built_again(make, rng, tmp_path):
    network = awake(make())
    head = Velocity()
    network = network if network.outputs == 1 else awake(_with(network, outputs=head.outputs))
    kernel = GaussianKernel(schedules.cosine(20))
    model = Diffusion(Continuous(network.shape), kernel, head, network)
    model.save(tmp_path)
    loaded = Diffusion.load(tmp_path)
    assert loaded.describe() == model.describe()
    assert loaded.network is not network
    x, time = batch(network, rng)
    stored = {name: each.float() for name, each in network.state_dict().items()}
    assert all(close(each.float(), stored[n]) for n, each in loaded.network.state_dict().items())
    assert close(loaded.network(x, time), network(x, time))


def _with(network: UNet, **changed) -> UNet:
    return UNet(**({f: getattr(network, f) for f in network.__dataclass_fields__} | changed))


def test_the_names_of_its_weights_are_what_saved_models_hold():
    """Changed, they would no longer load."""
    network = UNet((8, 8), 8, (1, 2), 1, attention=(1,), outputs=2, patch=2, framed=True)
    shapes = {name: tuple(each.shape) for name, each in network.state_dict().items()}
    assert len(shapes) == 129
    held = {
        "bias": (8, 8, 2),
        "read_in.weight": (8, 4, 3, 3),
        "time.2.weight": (32, 32),
        "down.0.residual.first_norm.weight": (8,),
        "down.0.residual.told.weight": (16, 32),
        "down.1.weight": (8, 8, 3, 3),
        "down.2.attention.read.weight": (48, 16, 1, 1),
        "middle.attention.write.bias": (16,),
        "last.residual.second.weight": (16, 16, 3, 3),
        "up.0.residual.skip.weight": (16, 32, 1, 1),
        "up.2.conv.weight": (16, 16, 3, 3),
        "norm.weight": (8,),
        "read_out.weight": (8, 8, 3, 3),
    }
    assert {name: shapes.get(name) for name in held} == held
