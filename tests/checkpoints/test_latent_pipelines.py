"""Models of latents that diffusers saved: the same autoencoder and draws, and a density of images
where a scale of the decoder is given or measured."""

import json
import math

import numpy as np
import pytest
import torch
from diffusers_configurations import SMALL

import quasistatic as qs
from conftest import close
from quasistatic.distributions import total
from quasistatic.heads.variances import FixedLarge
from quasistatic.networks import DiffusersAutoencoder, DiffusersVQ
from quasistatic.sampling import DDIM
from quasistatic.sampling.steppers import State
from quasistatic.spaces.decoder_scale import measured_scale

diffusers = pytest.importorskip("diffusers", reason="the bench extra (diffusers) is not installed")

CODER = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
    "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
    "layers_per_block": 1,
    "latent_channels": 3,
    "norm_num_groups": 4,
    "scaling_factor": 0.8,
}
CODERS = {
    "plain": {},
    "attention": {
        "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
    },
    "three resolutions, two blocks": {
        "block_out_channels": (8, 8, 12),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 2,
        "act_fn": "gelu",
    },
    "no attention in the middle": {"mid_block_add_attention": False},
    "no convolutions about the latents": {"use_quant_conv": False, "use_post_quant_conv": False},
    "a shift": {"shift_factor": 0.3},
    "grey": {"in_channels": 1, "out_channels": 1},
    "one channel of latents": {"latent_channels": 1},
}
"""What each `AutoencoderKL` has beside :data:`CODER`."""


def shaken(network):
    """A network in evaluation mode, with weights that are no longer near zero."""
    network = network.float().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.05 * torch.randn(weight.shape, dtype=weight.dtype)
    return network


def autoencoder(changes=None, kind="AutoencoderKL"):
    torch.manual_seed(0)
    return shaken(getattr(diffusers, kind)(**CODER | (changes or {})))


def saved(folder, coder, network=None, **facts):
    """The folder of a pipeline of latents with a side of 8."""
    channels = getattr(coder.config, "vq_embed_dim", None) or coder.config.latent_channels
    if network is None:
        own = {"in_channels": channels, "out_channels": channels}
        network = shaken(diffusers.UNet2DModel(**SMALL | own))
    scheduler = diffusers.DDIMScheduler(
        **{"clip_sample": False, "timestep_spacing": "trailing"} | facts
    )
    if isinstance(network, diffusers.DiTTransformer2DModel):
        made = diffusers.DiTPipeline(network, coder, scheduler)
    else:
        made = diffusers.LDMPipeline(coder, network, scheduler)
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(folder)
    return made


def in_channels(x):
    return x if x.ndim == 4 else x[:, None]


@pytest.mark.parametrize("name", CODERS)
def test_the_autoencoder_is_the_same_function(name, tmp_path, float32):
    theirs = autoencoder(CODERS[name])
    saved(tmp_path, theirs)
    space = qs.from_diffusers(tmp_path).space
    ours, c = space.autoencoder, theirs.config
    assert isinstance(ours, DiffusersAutoencoder)
    shift = c.shift_factor or 0.0
    x = torch.rand(3, *space.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z = torch.randn(3, *space.state, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        law = theirs.encode(in_channels(x)).latent_dist
        mean, deviation = ours.encode(x)
        image = theirs.decode(in_channels(z) / c.scaling_factor + shift).sample
        location, log_scale = ours.decode(z)
    assert law.mean.std() > 0.05
    assert image.std() > 0.05
    expected = (law.mean - shift) * c.scaling_factor
    assert (in_channels(mean) - expected).abs().max() < 1e-5
    assert (in_channels(deviation) - law.std * c.scaling_factor).abs().max() < 1e-5
    assert (in_channels(location) - image).abs().max() < 1e-5
    assert log_scale is None
    count = sum(weight.numel() for weight in theirs.parameters())
    assert sum(weight.numel() for weight in ours.parameters()) == count


@pytest.mark.parametrize("changes", [{}, {"vq_embed_dim": 2}], ids=["plain", "another width"])
def test_a_quantised_autoencoder_is_the_same_function(changes, tmp_path, float32):
    theirs = autoencoder({"num_vq_embeddings": 11} | changes, "VQModel")
    saved(tmp_path, theirs)
    space = qs.from_diffusers(tmp_path).space
    assert isinstance(space.autoencoder, DiffusersVQ)
    x = torch.rand(3, *space.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z = 0.1 * torch.randn(3, *space.state, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        latents, image = theirs.encode(x).latents * 0.8, theirs.decode(z / 0.8).sample
        mean, deviation = space.autoencoder.encode(x)
        location, _ = space.autoencoder.decode(z)
    assert (mean - latents).abs().max() < 1e-5
    assert deviation is None
    assert (location - image).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["AutoencoderKL", "VQModel"])
def test_draws_from_the_same_noise_are_those_of_the_pipeline(kind, tmp_path, float32):
    pipeline = saved(tmp_path, autoencoder(kind=kind), beta_schedule="scaled_linear")
    model = qs.from_diffusers(tmp_path)
    rng = torch.Generator().manual_seed(3)
    theirs = pipeline(2, rng, num_inference_steps=20, output_type="np").images
    theirs = torch.from_numpy(theirs).movedim(-1, 1)
    start = torch.randn(2, *model.space.state, generator=torch.Generator().manual_seed(3))
    times = (pipeline.scheduler.timesteps + 1).flip(0).tolist()
    *_, last = DDIM().walk(model, State(start, times[-1]), times)
    with torch.no_grad():
        ours = model.space.autoencoder.decode(last.x)[0]
    assert theirs.std() > 0.01
    assert ((ours / 2 + 0.5).clamp(0, 1) - theirs).abs().max() < 1e-4
    # A draw of raw data is the same image in bytes.
    bytes_ = model.space.draw_raw(last.x, torch.Generator().manual_seed(0))
    assert (bytes_ - (255 * theirs).round()).abs().max() <= 1
    assert (bytes_ == (255 * theirs).round()).float().mean() > 0.999


def test_a_transformer_of_latents_draws_what_its_pipeline_draws(tmp_path, float32):
    torch.manual_seed(1)
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=3,
        out_channels=6,
        num_layers=2,
        sample_size=8,
        num_embeds_ada_norm=5,
        norm_num_groups=1,
    )
    network = network.float().eval()
    pipeline = saved(tmp_path, autoencoder(), network)
    config = tmp_path / "transformer" / "config.json"
    named = json.loads(config.read_text()) | {"_class_name": "Transformer2DModel"}
    config.write_text(json.dumps(named))  # the name that the published one has
    model = qs.from_diffusers(tmp_path)
    assert model.condition == qs.conditions.ClassLabel(5)
    start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    theirs = pipeline(
        [1, 3],
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(4),
        num_inference_steps=10,
        output_type="np",
    ).images
    times = (pipeline.scheduler.timesteps + 1).flip(0).tolist()
    *_, last = DDIM().walk(model.given(torch.tensor([1, 3])), State(start, times[-1]), times)
    with torch.no_grad():
        ours = model.space.autoencoder.decode(last.x)[0]
    theirs = torch.from_numpy(theirs).movedim(-1, 1)
    assert ((ours / 2 + 0.5).clamp(0, 1) - theirs).abs().max() < 1e-4


def test_without_a_scale_images_have_no_density_and_the_error_says_so(tmp_path, float32):
    saved(tmp_path, autoencoder())
    model = qs.from_diffusers(tmp_path)
    x = model.sample(3, 10, rng=0)
    hidden = torch.zeros(3, 3, 16, 16, dtype=torch.bool)
    hidden[..., 8:] = True
    for ask in (
        lambda: model.score(x),
        lambda: model.score(x, method=qs.Importance(2)),
        lambda: model.sandwich(4, times=10),
        lambda: model.compress(x, times=10),
        lambda: model.complete(x, hidden, draws=1, times=10),
    ):
        with pytest.raises(ValueError, match=r"no distribution, so that raw .* measure_decoder"):
            ask()
    report = qs.check(model, x)
    assert not report.passed
    assert "measure_decoder" in str(report)


def test_a_quantised_autoencoder_asks_for_a_scale_of_its_encoder(tmp_path, float32):
    saved(tmp_path, autoencoder(kind="VQModel"))
    model = qs.from_diffusers(tmp_path, decoder_scale=0.1)
    x = model.sample(3, 10, rng=0)
    with pytest.raises(ValueError, match=r"one point and no distribution .*encoder_scale"):
        model.score(x)
    model = qs.from_diffusers(tmp_path, decoder_scale=0.1, encoder_scale=0.05)
    code = model.compress(x, times=10)
    assert (model.decompress(code) == x.numpy()).all()
    assert model.score(x, rng=0).nats.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_measured_scale_of_real_numbers_is_the_mean_square_of_the_errors(
    channels, tmp_path, rng
):
    theirs = autoencoder({"in_channels": channels, "out_channels": channels})
    saved(tmp_path, theirs)
    shape = (16, 16) if channels == 1 else (channels, 16, 16)
    model = qs.from_diffusers(tmp_path, space=qs.Continuous(shape))
    x = torch.randn(20, *shape, generator=rng)
    x *= torch.linspace(0.5, 2.0, channels)[:, None, None] if channels > 1 else 1.0
    scale = measured_scale(model.space, x, torch.Generator().manual_seed(0))
    fresh, squares = torch.Generator().manual_seed(0), 0.0
    for rows in x.split(8):
        z = model.space.encoder(rows).sample(fresh)
        apart = in_channels(rows - model.space.autoencoder.decode(z)[0])
        squares = squares + apart.detach().square().sum((0, 2, 3))
    assert close(torch.tensor(scale), (squares / (20 * 256)).sqrt(), 1e-6)


def test_the_measured_scale_makes_the_bound_of_these_images_highest(tmp_path, rng):
    saved(tmp_path, autoencoder())
    bare = qs.from_diffusers(tmp_path)
    x = torch.randint(100, 160, (12, 3, 16, 16), generator=rng)
    model = qs.measure_decoder(bare, x)
    scale = model.space.autoencoder.decoder_scale
    assert bare.space.autoencoder.decoder_scale is None

    def gain(*factors):
        each = tuple(a * b for a, b in zip(scale, factors, strict=True))
        given = qs.from_diffusers(tmp_path, decoder_scale=each).space
        fresh, found = torch.Generator().manual_seed(0), 0.0
        for rows in given.check(x).split(8):
            found += given.encode_weighted(rows, fresh).terms["decoder"].sum().item()
        return found

    best = gain(1, 1, 1)
    for other in ((1.02, 1, 1), (1, 0.98, 1), (1, 1, 1.02), (0.98, 0.98, 0.98)):
        assert gain(*other) < best


def test_with_a_scale_every_verb_answers_and_the_model_is_saved(tmp_path, float32):
    saved(tmp_path, autoencoder())
    model = qs.measure_decoder(qs.from_diffusers(tmp_path), np.full((4, 3, 16, 16), 130, np.uint8))
    x = model.sample(6, 10, rng=0)
    code = model.compress(x, times=10)
    assert (model.decompress(code) == x.numpy()).all()
    # The decoder's masses of a value add up to one.
    z = torch.randn(2, *model.space.state)
    assert model.space.log_total_mass(None, z).abs().max() < 1e-4
    hidden = torch.zeros(6, 3, 16, 16, dtype=torch.bool)
    hidden[..., 8:] = True
    made = model.complete(x, hidden, draws=2, times=10, rng=0, method=qs.SMC(4))
    assert (made.draws[:, :, ~hidden[0]] == x[:, None][:, :, ~hidden[0]]).all()
    model.save(tmp_path / "run")
    again = qs.load(tmp_path / "run")
    assert again.space.autoencoder.decoder_scale == model.space.autoencoder.decoder_scale
    assert torch.equal(again.score(x, rng=0).nats, model.score(x, rng=0).nats)
    larger = model.resized((3, 24, 32))
    assert larger.sample(1, 10, rng=0).shape == (1, 3, 24, 32)
    with pytest.raises(ValueError, match="of the latents of an autoencoder"):
        qs.to_diffusers(model, tmp_path / "out")


def test_with_a_scale_the_probabilities_of_all_images_add_up_to_one(tmp_path, rng):
    """Images of one grey pixel, with an encoder that proposes the same latents for all: the
    estimates of p(raw) by importance are unbiased, so that their sum over the 256 levels is one."""
    coder = diffusers.AutoencoderKL(
        in_channels=1,
        out_channels=1,
        block_out_channels=(4,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        latent_channels=1,
        norm_num_groups=2,
        layers_per_block=1,
    )
    torch.manual_seed(3)
    coder = shaken(coder)
    with torch.no_grad():  # a standard deviation of 1.3 in the units of the chain, about zero
        coder.quant_conv.weight.zero_()
        coder.quant_conv.bias.copy_(torch.tensor([0.0, 2 * math.log(1.3 / 0.18215)]))
    settings = {
        "sample_size": 1,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (4,),
        "norm_num_groups": 2,
        "down_block_types": ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",),
        "attention_head_dim": 4,
    }
    network = diffusers.UNet2DModel(**SMALL | settings)
    with torch.no_grad():  # v = 0 is the exact chain of a standard normal
        network.conv_out.weight.zero_()
        network.conv_out.bias.zero_()
    how = {"num_train_timesteps": 10, "beta_end": 0.9, "prediction_type": "v_prediction"}
    saved(tmp_path, coder, network.eval(), **how)
    model = qs.from_diffusers(tmp_path, decoder_scale=0.2, variance=FixedLarge())
    assert model.space.shape == (1, 1)
    assert model.space.state == (1, 1)
    grey = torch.arange(256.0).reshape(256, 1, 1)
    closer = model.score(grey, method=qs.Importance(64), rng=rng).nats
    assert closer.exp().sum().item() == pytest.approx(1, abs=0.02)
    # Each is the integral over z of N(z; 0, 1) p(raw | z).
    z = torch.linspace(-6, 6, 2001)
    law = model.space.decoder(z.reshape(-1, 1, 1))
    for level in (90, 128, 140):
        masses = model.space.log_decoder(law, torch.full((2001, 1, 1), float(level))).exp()
        exact = torch.trapezoid(masses.flatten() * (-(z**2) / 2).exp() / (2 * math.pi) ** 0.5, z)
        rows = torch.full((1, 1, 1), float(level))
        found = model.score(rows, method=qs.Importance(1000), rng=rng).nats.exp()
        assert found.item() == pytest.approx(exact.item(), rel=0.1)
        bound = model.score(rows.expand(100, 1, 1), None, rng=rng).nats
        assert bound.mean() < exact.log() + 3 * bound.std() / 10


REFUSALS = [
    ({"latents_mean": (0.0, 0.0, 0.0)}, "latents_mean"),
    ({"down_block_types": ["DownBlock2D", "DownBlock2D"]}, "has a DownBlock2D"),
    ({"out_channels": 4}, "reads 3 channels and returns 4"),
    ({"latent_channels": 4}, "latents of 4 channels, and the network of the chain is of 3"),
    ({"block_out_channels": [8]}, "it is damaged"),
    ({"block_out_channels": [8, 12]}, r"weights of the vqvae do not fit its config.json"),
    ({"_class_name": "AutoencoderTiny"}, "of the class AutoencoderTiny"),
]


@pytest.mark.parametrize(("changes", "says"), REFUSALS, ids=[r[1] for r in REFUSALS])
def test_what_is_not_read_is_named(changes, says, tmp_path, float32):
    saved(tmp_path, autoencoder())
    path = tmp_path / "vqvae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=says):
        qs.from_diffusers(tmp_path)


def test_arguments_that_do_not_fit_are_refused(tmp_path, float32):
    saved(tmp_path, autoencoder())
    with pytest.raises(ValueError, match="size=17 is no multiple of that: 16 by 16 is near"):
        qs.from_diffusers(tmp_path, size=17)
    assert qs.from_diffusers(tmp_path, size=(16, 24)).space.state == (3, 8, 12)
    with pytest.raises(ValueError, match="encoder_scale is for a VQModel"):
        qs.from_diffusers(tmp_path, encoder_scale=0.1)
    with pytest.raises(ValueError, match="one for each of the 3 channels"):
        qs.from_diffusers(tmp_path, decoder_scale=(0.1, 0.2))
    with pytest.raises(ValueError, match="decoder_scale must be"):
        qs.from_diffusers(tmp_path, decoder_scale=-1.0)
    with pytest.raises(ValueError, match="autoencoder is for data of shape"):
        qs.from_diffusers(tmp_path, space=qs.Continuous((3, 8, 8)))
    with pytest.raises(TypeError, match="of the latents of an autoencoder"):
        qs.measure_decoder(qs.load_pretrained("digits"), np.zeros((2, 8, 8)))
    (tmp_path / "vqvae" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, tmp_path / "vqvae" / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match=r"`AutoencoderKL\.from_pretrained"):
        qs.from_diffusers(tmp_path)


def test_at_the_command_line(tmp_path, float32, say, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "pipeline", autoencoder())
    said = say("sample", "pipeline", "-n", 2, "--times", 10, "--out", "drawn.npy")
    assert np.load("drawn.npy").shape == (2, 3, 16, 16)
    said = say("convert", "pipeline", "-o", "run", "--decoder-data", "drawn.npy")
    assert said["model"]["space"]["autoencoder"]["decoder_scale"]
    found = say("score", "run", "--data", "drawn.npy", "--times", 10)
    assert math.isfinite(found["bits_per_dim"])
    expected = qs.load("run").score(np.load("drawn.npy"), times=10, rng=0)
    assert total(expected.nats[None]).isfinite().all()


def test_an_autoencoder_that_is_missing_is_named(tmp_path, float32):
    from quasistatic.checkpoints.folders import DiffusersFolder

    saved(tmp_path, autoencoder())
    stored = DiffusersFolder(tmp_path)
    assert stored.autoencoder.path.name == "vqvae"
    assert stored.autoencoder.kind == "AutoencoderKL"
    (tmp_path / "vqvae").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="with a vqvae, and there is no folder"):
        qs.from_diffusers(tmp_path)
