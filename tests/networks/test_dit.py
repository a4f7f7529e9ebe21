"""The diffusion transformer: its start, its places, its blocks beside plain PyTorch modules."""

import pytest
import torch
from torch import Tensor, nn

from conftest import close
from quasistatic import Binary, BinomialKernel, Continuous, Diffusion, GaussianKernel, schedules
from quasistatic.heads import Levels, Velocity
from quasistatic.networks import DiT
from quasistatic.networks.dit import place_embedding

NETS = {
    "image": lambda: DiT((4, 6), 16, 2, 2, outputs=2, framed=True),
    "channels": lambda: DiT((3, 4, 4), 18, 2, 3, outputs=3),
    "signal": lambda: DiT((2, 8), 16, 1, 4, patch=4, axes=1),
    "line": lambda: DiT(6, 10, 2, 1, patch=1, ratio=2.0),
    "volume": lambda: DiT((4, 2, 6), 24, 1, 2, axes=3),
}
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())


def random_weights(network: nn.Module) -> nn.Module:
    """Away from the start, where every block is the identity."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=rng)
    return network.eval()


def batch(network: DiT, rng: torch.Generator, n: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(n, *network.shape, generator=rng), torch.linspace(0.1, 1, n)


@every_net
def test_before_training_the_output_is_zero_and_every_block_the_identity(make, rng):
    network = make()
    x, time = batch(network, rng)
    assert torch.equal(network(x, time), torch.zeros(*x.shape, network.outputs))
    h = torch.randn(3, 5, network.width, generator=rng)
    embedded = torch.randn(3, network.width, generator=rng)
    assert all(torch.equal(block(h, embedded), h) for block in network.blocks)


@every_net
def test_a_block_is_the_paper_s_in_plain_modules(make, rng):
    """The same weights in `nn.MultiheadAttention`, `nn.LayerNorm` and `nn.GELU` (PX23 Fig. 3)."""
    network = random_weights(make())
    block, width = network.blocks[0], network.width
    attention = nn.MultiheadAttention(width, network.heads, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(block.read.weight)
        attention.in_proj_bias.copy_(block.read.bias)
        attention.out_proj.load_state_dict(block.write.state_dict())
    norm, gelu = nn.LayerNorm(width, 1e-6, elementwise_affine=False), nn.GELU("tanh")
    h = torch.randn(3, 5, width, generator=rng)
    time = torch.randn(3, width, generator=rng)
    a, b, c, d, e, f = block.modulation.linear(time)[:, None].chunk(6, -1)
    seen = norm(h) * (1 + b) + a
    expected = h + c * attention(seen, seen, seen, need_weights=False)[0]
    inner = block.contract(gelu(block.expand(norm(expected) * (1 + e) + d)))
    assert close(block(h, time), expected + f * inner)


@every_net
def test_without_places_a_permutation_of_patches_permutes_the_output(make, rng):
    network = random_weights(make())
    x, time = batch(network, rng)
    grid, places = network.grid, network.grid.gather(x)
    order = torch.arange(len(network.place)).roll(1)
    moved = places.flatten(2)[..., order].reshape(places.shape)
    swapped = grid.scatter(moved, 1).reshape(x.shape)
    if network.framed:
        network.bias.data.zero_()

    def patches(out: Tensor) -> Tensor:
        each = [grid.gather(o.contiguous()).flatten(2) for o in out.unbind(-1)]
        return torch.stack(each, -1)

    plain, permuted = (patches(network(each, time)) for each in (x, swapped))
    assert not close(permuted, plain[:, :, order])
    network.place.zero_()
    plain, permuted = (patches(network(each, time)) for each in (x, swapped))
    assert close(permuted, plain[:, :, order])


@pytest.mark.parametrize("sizes", [(7,), (3, 5), (2, 3, 4)])
def test_the_inner_product_of_two_places_depends_on_their_distance_only(sizes):
    embedding = place_embedding(sizes, 12 * len(sizes) + 1).double()
    places = torch.cartesian_prod(*map(torch.arange, sizes)).reshape(len(embedding), -1)
    products = embedding @ embedding.T
    distance = (places[:, None] - places).abs()
    for gap in distance.flatten(0, 1).unique(dim=0):
        alike = products[(distance == gap).all(-1)]
        assert (alike - alike[0]).abs().max() < 1e-5
    assert len(embedding.unique(dim=0)) == len(embedding)


@pytest.mark.parametrize(
    "parts",
    [
        (Continuous((4, 6)), GaussianKernel(schedules.cosine(20)), Velocity(), 1),
        (Binary((4, 6)), BinomialKernel(schedules.erase_evenly(20)), Levels(), 2),
    ],
    ids=["velocity", "bits"],
)
def test_training_a_transformer_lowers_the_bound_s_loss(parts, rng):
    """It learns which of two images it sees, which only attention between places can tell."""
    from quasistatic import fit

    space, kernel, head, outputs = parts
    torch.manual_seed(0)
    image = (torch.rand(2, 4, 6, generator=rng) > 0.5).double()
    x = image[torch.randint(2, (256,), generator=rng)]
    model = Diffusion(space, kernel, head, DiT((4, 6), 32, 2, 4, outputs=outputs))
    before = model.score(x[:64], None, rng=torch.Generator().manual_seed(1)).nats.mean()
    fit(model, x, steps=150, batch=64, lr=3e-3, validations=0)
    after = model.score(x[:64], None, rng=torch.Generator().manual_seed(1)).nats.mean()
    assert after > before + 5


def test_sizes_and_widths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="divides each axis by 4 does not fit data of 6"):
        DiT(6, patch=4)
    with pytest.raises(ValueError, match="5 heads do not divide a width of 16"):
        DiT(6, 16, heads=5)
    with pytest.raises(ValueError, match="depth must be at least 1"):
        DiT(6, 16, 0)
    with pytest.raises(ValueError, match="3 axes need a width of at least 6"):
        place_embedding((2, 2, 2), 5)
    with pytest.raises(TypeError, match="only a framed network"):
        DiT(6).start_at(torch.zeros(6, 1))
