"""Models of pictures and signals that start at a spectral law, in one call."""

import math

import pytest
import torch

import quasistatic as qs
from quasistatic.distributions.mixtures import CategoricalBlock, Mixture
from quasistatic.networks import DiT, SpectralResidual
from quasistatic.recipes.spectral import weighed


def waves(n: int, seed: int, shape: tuple[int, ...] = (8, 8)) -> torch.Tensor:
    """Whole numbers from 0 to 63 that vary slowly along the last axis."""
    rng = torch.Generator().manual_seed(seed)
    phase = 6 * torch.rand(n, *[1] * len(shape), generator=rng)
    x = torch.arange(shape[-1]) / shape[-1]
    noise = torch.randn(n, *shape, generator=rng)
    return (32 + 12 * (2 * math.pi * x + phase).sin() + 2 * noise).round().clamp(0, 63)


@pytest.mark.parametrize(
    ("space", "axes"),
    [
        (qs.Quantized((8, 8), 64, 2.0), None),
        (qs.Dequantized((8, 8), 64, 2.0), None),
        (qs.Continuous((3, 8), 32.0, 10.0), 1),
        (qs.Continuous(16, 32.0, 10.0), None),
    ],
    ids=["levels", "dequantised", "channels of a signal", "signal"],
)
def test_a_model_starts_near_the_entropy_of_its_data(space, axes, rng):
    """Before training, K is at most a tenth of a nat a value below the law's own log p of held-out
    examples, and far above that of independent values."""
    train, held = (waves(n, s, space.shape) for n, s in ((1500, 0), (200, 1)))
    found = qs.spectral_law(space, train, axes=axes)
    model = qs.spectral_model(space, found.law, width=8, axes=axes, steps=400)
    nats = model.score(held, 40, rng=rng).nats / space.dims
    x_0 = space.encode(held, rng)
    known = found.law.log_prob(x_0.flatten(1).float()).double()
    if isinstance(space, qs.Quantized):  # the law is of values that are spread over their cells
        known = known.new_full(known.shape, found.held_out)
    known = (known + space.log_volume(x_0).flatten(1).sum(1)) / space.dims
    alone = -0.5 * math.log(2 * math.pi * math.e * train.var().item())
    assert nats.mean() > known.mean() - 0.1
    assert nats.mean() > alone + 0.4


def test_pictorial_starts_at_the_law_of_the_images():
    train, held = waves(600, 0).byte().numpy(), waves(60, 1)
    torch.manual_seed(0)
    ours = qs.pictorial((8, 8), 64, images=train, width=8)
    without = qs.pictorial((8, 8), 64, width=8)
    assert isinstance(ours.network, SpectralResidual)
    bits = [m.score(held, 24, rng=0).bits_per_dim.mean() for m in (ours, without)]
    assert bits[0] < bits[1] - 0.5


def test_a_network_that_learned_is_kept_and_one_that_did_not_is_left_out():
    """Both are weighed on examples that were not trained on, with the same noise."""
    train, held = waves(600, 0), waves(100, 1)
    space = qs.Quantized((8, 8), 64, 2.0)
    torch.manual_seed(0)
    law = qs.spectral_law(space, train).law
    model = qs.spectral_model(space, law, width=8, steps=100)
    with torch.no_grad():
        model.network.network.read_out.bias.fill_(0.5)
    found = weighed(model, held, 16, seconds=(1.0, 2.0))
    assert not found.kept
    assert not model.network.corrects
    assert str(found).endswith("so it is left out")
    assert f"spectral law: {found.law:.2f} bits per dimension after 1.0 s" in str(found)
    # A law that is too wide by a factor is easily corrected.
    block = law.blocks[0]
    wide = Mixture(law.log_weight, (type(block)(block.basis, block.mean, 9 * block.variance),))
    model = qs.spectral_model(space, wide, width=8, steps=100)
    qs.fit(model, train, steps=60, batch=32, lr=5e-3, ema=0.9, validations=0, progress=False)
    found = weighed(model, held, 16)
    assert found.kept
    assert found.network < found.law
    assert model.network.corrects
    with pytest.raises(TypeError, match="only a network that corrects a spectral law"):
        weighed(qs.pictorial((8, 8), 64, width=8), held)


def test_a_transformer_takes_the_place_of_the_u_net():
    space = qs.Quantized((3, 9, 10), 64, 2.0)
    law = qs.spectral_law(space, waves(100, 0, (3, 9, 10))).law
    model = qs.spectral_model(space, law, width=8, network=DiT)
    inner = model.network.network
    assert isinstance(getattr(inner, "network", inner), DiT)
    again = qs.Diffusion.build(model.describe())
    again.load_state_dict(model.state_dict())
    x = waves(3, 1, (3, 9, 10))
    assert torch.equal(again.score(x, 8, rng=0).nats, model.score(x, 8, rng=0).nats)


def test_what_is_no_picture_gets_a_clear_error():
    with pytest.raises(
        TypeError, match="Quantized, Dequantized, Continuous or Latent data, got Binary"
    ):
        qs.spectral_law(qs.Binary(4), torch.zeros(3, 4))
    classes = CategoricalBlock(torch.tensor([[0.5, 0.5]]).log(), (2,))
    with pytest.raises(TypeError, match="a law of one SpectralBlock, or of one GaussianBlock"):
        qs.spectral_model(qs.Continuous(4), Mixture(torch.zeros(1), (classes,)))


def test_a_law_for_each_class_starts_a_model_of_labelled_images():
    """Two classes whose waves have other directions: before training, the class is known."""
    y = torch.arange(400) % 2
    x = waves(400, 1)
    x = torch.where(y[:, None, None] == 1, x, x.mT)
    space, condition = qs.Quantized((8, 8), 64, 2.0), qs.conditions.ClassLabel(2, ("a", "b"))
    found = qs.spectral_law_per_class(space, x[:300], y[:300], condition)
    model = qs.spectral_model(space, found.law, width=8, steps=200, condition=condition)
    test, label = x[300:340], y[300:340]
    assert (model.classify(test, 4, rng=0).label == label).all()
    own, other = (
        model.score(test, 40, given=g, rng=0).bits_per_dim.mean() for g in (label, 1 - label)
    )
    assert own < other - 0.1
    one = qs.spectral_law(space, x[:300])
    assert found.held_out > one.held_out
    assert "2 classes" in repr(found)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([0, 1], "2 labels for 20 examples"),
        ([0] * 20, "class 1 has 0 examples"),
        ([0, 2] * 10, "no class 2"),
    ],
)
def test_labels_that_do_not_fit_get_a_clear_error(y, says):
    space = qs.Quantized((8, 8), 64, 2.0)
    with pytest.raises(ValueError, match=says):
        qs.spectral_law_per_class(space, waves(20, 0), y, qs.conditions.ClassLabel(2))
