"""A model of this library as a folder that diffusers opens: the same function and noise."""

import json

import pytest
import torch

import quasistatic as qs
from quasistatic.networks import DiffusersUNet, UNet

SHAPE = (3, 8, 8)


def woken(network):
    """Weights that are not at their start, where some layers are zero."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.03 * torch.randn(weight.shape, generator=rng)
    return network.eval()


def small(outputs=1, **others):
    return DiffusersUNet(
        others.pop("shape", SHAPE),
        others.pop("steps", 1000),
        (8, 16),
        1,
        (1,),
        (1,),
        4,
        outputs,
        groups=4,
        middle_groups=4,
        **others,
    )


def built(head=None, network=None, schedule=None, space=None):
    network = woken(network or small())
    schedule = schedule or qs.schedules.linear(1000)
    space = space or qs.Quantized(tuple(network.shape), 256, 256 / 255)
    return qs.Diffusion(space, qs.GaussianKernel(schedule), head or qs.Noise(), network).eval()


MODELS = {
    "noise": lambda: built(),
    "velocity, cosine": lambda: built(
        qs.Velocity(qs.FixedLarge()), schedule=qs.schedules.cosine(1000)
    ),
    "x_0, clipped": lambda: built(qs.Clipped(qs.Clean())),
    "a learned range": lambda: built(qs.Noise(qs.LearnedRange()), small(2)),
    "a table of betas, 40 steps": lambda: built(
        schedule=qs.schedules.linear_log_snr(40), network=small(steps=40)
    ),
    "no signal at T": lambda: built(
        qs.Velocity(), small(steps=40), schedule=qs.schedules.erase_evenly(40)
    ),
    "grey": lambda: built(network=small(shape=(8, 12))),
    "UNet": lambda: built(network=UNet(SHAPE, 128, (1, 2), 1, (1,), outputs=1)),
    "UNet, attention at both, two heads": lambda: built(
        network=UNet((8, 8), 128, (1, 1), 2, (0, 1), heads=2)
    ),
    "UNet without attention below": lambda: built(
        network=UNet(SHAPE, 128, (1, 1), 1, (0,)), space=qs.Quantized(SHAPE)
    ),
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


def scene(model, n=6):
    x = torch.randn(n, *model.space.shape, generator=torch.Generator().manual_seed(1))
    return x, torch.linspace(1, model.steps, n).round().long()


@every_model
def test_what_is_written_is_read_as_the_same_model(make, tmp_path, float32):
    model = make()
    assert qs.to_diffusers(model, tmp_path / "out") == tmp_path / "out"
    again = qs.from_diffusers(tmp_path / "out", space=model.space)
    assert again.head == model.head
    x, t = scene(model)
    with torch.no_grad():
        ours, theirs = model.output(x, t), again.output(x, t)
    assert theirs.std() > 0.01
    assert torch.allclose(ours, theirs, atol=2e-5)
    tables = (each.kernel.schedule.alpha_bar for each in (model, again))
    assert torch.allclose(*tables, atol=1e-12)


@every_model
def test_diffusers_opens_it(make, tmp_path, float32):
    diffusers = pytest.importorskip("diffusers", reason="the bench extra is not installed")
    model = make()
    pipeline = diffusers.DDPMPipeline.from_pretrained(qs.to_diffusers(model, tmp_path))
    assert type(pipeline.unet).__name__ == "UNet2DModel"
    x, t = scene(model)
    channels = x if x.ndim == 4 else x[:, None]
    with torch.no_grad():
        ours = model.output(x, t).movedim(-1, 1).flatten(1)
        theirs = pipeline.unet(channels, t - 1).sample.flatten(1)
    assert torch.allclose(ours, theirs, atol=2e-5)
    table = pipeline.scheduler.alphas_cumprod.double()
    assert (table - model.kernel.schedule.alpha_bar[1:]).abs().max() < 1e-6
    # Its step from T, with the noise that its generator draws.
    with torch.no_grad():
        output, T = model.output(x, torch.full((6,), model.steps)), model.steps
        step = model.head.reverse(
            model.kernel, output, x, torch.full((6,), T - 1), torch.full((6,), T)
        )
        theirs = output.movedim(-1, 1).reshape(6, -1, *channels.shape[2:])
        drawn = pipeline.scheduler.step(
            theirs, T - 1, channels, generator=torch.Generator().manual_seed(0)
        ).prev_sample
        noise = torch.randn(channels.shape, generator=torch.Generator().manual_seed(0))
    expected = step.mean + step.variance.sqrt() * noise.reshape(x.shape)
    assert torch.allclose(drawn.reshape(x.shape), expected, rtol=1e-3, atol=1e-3)
    pictures = pipeline(batch_size=2, num_inference_steps=4, output_type="np").images
    height, width = model.space.shape[-2:]
    assert pictures.shape == (2, height, width, channels.shape[1])


REFUSALS = {
    "a narrow UNet": (
        lambda: built(network=UNet(SHAPE, 16, (1, 2), 1)),
        "the same number of groups",
    ),
    "another T": (
        lambda: built(network=UNet(SHAPE, 128, (1, 2), 1), schedule=qs.schedules.cosine(50)),
        "T = 1000",
    ),
    "framed": (lambda: built(network=UNet(SHAPE, 128, (1,), 1, (), framed=True)), "framed"),
    "a sigmoid": (lambda: built(qs.Noise(qs.Interpolated()), small(2)), "variance Interpolated"),
    "bits": (lambda: built(space=qs.Quantized(SHAPE, 2)), "256 levels"),
    "MLP": (lambda: built(network=qs.networks.MLP(SHAPE)), "MLP is no UNet2DModel"),
    "Levels": (lambda: qs.pictorial((8, 8), 256), "no head Levels"),
    "heads": (
        lambda: built(network=UNet(SHAPE, 128, (1, 2), 1, (1,), heads=2)),
        "heads of the same width",
    ),
}


@pytest.mark.parametrize(("make", "says"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_diffusers_does_not_have_is_refused_and_nothing_written(make, says, tmp_path, float32):
    with pytest.raises(ValueError, match=says):
        qs.to_diffusers(make(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="must be a Diffusion"):
        qs.to_diffusers(3, tmp_path)


def test_a_network_of_this_layout_learns_here(tmp_path, float32):
    """Trained here and written, it is the model that diffusers would open."""
    network = DiffusersUNet((4, 4), 50, (8, 8), 1, (), (), 4, groups=4, middle_groups=4)
    kernel = qs.GaussianKernel(qs.schedules.linear(50, 1e-4, 0.3))
    model = qs.Diffusion(qs.Quantized((4, 4), 256, 256 / 255), kernel, qs.Noise(), network)
    x = torch.full((64, 4, 4), 200)
    before = model.score(x[:4], rng=0).bits_per_dim.mean()
    qs.fit(model, x, steps=40, objective=qs.Simple(), lr=3e-3, progress=False)
    assert model.score(x[:4], rng=0).bits_per_dim.mean() < before - 1
    again = qs.from_diffusers(qs.to_diffusers(model, tmp_path))
    found, kept = (each.score(x[:4], rng=0).bits_per_dim for each in (again, model))
    assert torch.allclose(found, kept, atol=1e-4)
    config = json.loads((tmp_path / "unet" / "config.json").read_text())
    assert config["sample_size"] == 4
