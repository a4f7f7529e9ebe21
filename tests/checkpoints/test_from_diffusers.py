"""Models of diffusers: the same networks, noise, steps and draws as diffusers itself has."""

import json
import math

import pytest
import torch
from diffusers_configurations import SCHEDULES, SMALL, UNETS

import quasistatic as qs
from quasistatic.heads.variances import FixedLarge, FixedSmall, LearnedRange
from quasistatic.sampling import DDIM, DPMSolver
from quasistatic.sampling.steppers import State

diffusers = pytest.importorskip("diffusers", reason="the bench extra (diffusers) is not installed")


@pytest.fixture
def saved(tmp_path):
    """Saves a pipeline of a small random network and a scheduler; returns both and the folder."""

    def save(unet=None, scheduler=None, kind="DDPMScheduler", pipeline="DDPMPipeline"):
        torch.manual_seed(0)
        with torch.random.fork_rng():
            network = diffusers.UNet2DModel(**(SMALL | (unet or {})))
        network = network.float().eval()
        with torch.no_grad():  # a new network returns nearly the same number everywhere
            for weight in network.parameters():
                weight += 0.05 * torch.randn(weight.shape, dtype=weight.dtype)
        made = getattr(diffusers, kind)(**(scheduler or {}))
        getattr(diffusers, pipeline)(unet=network, scheduler=made).save_pretrained(tmp_path)
        return network, made, tmp_path

    return save


def batch(model, n=5):
    """x_t at times from 1 to T, for the model's shape."""
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(n, *model.space.shape, generator=rng)
    return x, torch.linspace(1, model.steps, n).round().long()


def in_channels(x):
    """Images with channels first, as diffusers has them."""
    return x if x.ndim == 4 else x[:, None]


@pytest.mark.parametrize("name", UNETS)
def test_the_network_is_the_same_function(name, saved, float32):
    kind = {"variance_type": "learned_range"} if name == "a learned range" else {}
    network, _, folder = saved(UNETS[name], kind)
    model = qs.from_diffusers(folder)
    x, t = batch(model)
    with torch.no_grad():
        theirs = network(in_channels(x), t - 1).sample
        ours = model.output(x, t)
    assert theirs.std() > 0.1
    ours = ours.movedim(-1, 1).reshape(theirs.shape)
    assert (ours - theirs).abs().max() < 1e-5
    assert sum(w.numel() for w in model.parameters()) == sum(
        w.numel() for w in network.parameters()
    )


def test_a_network_of_classes_is_a_model_given_the_class(saved, float32):
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(**SMALL, num_class_embeds=5).float().eval()
    _, _, folder = saved()
    network.save_pretrained(folder / "unet")
    model = qs.from_diffusers(folder)
    assert model.condition == qs.conditions.ClassLabel(5)
    x, t = batch(model)
    labels = torch.tensor([0, 4, 2, 2, 1])
    with torch.no_grad():
        theirs = network(x, t - 1, labels).sample
        ours = model.given(labels).output(x, t)[..., 0]
        other = model.given(3).output(x, t)[..., 0]
    assert (ours - theirs).abs().max() < 1e-5
    assert (other - theirs).abs().max() > 1e-3
    raw = model.sample(2, 10, given=3, rng=0)
    assert (model.decompress(model.compress(raw, given=3, times=10), given=3) == raw.numpy()).all()
    with pytest.raises(ValueError, match="draws without one"):
        qs.to_diffusers(model, folder / "out")


def test_earlier_names_of_attention_are_read(saved, float32):
    network, _, folder = saved()
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    from safetensors.torch import load_file, save_file

    earlier = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for key, tensor in load_file(path).items():
        for new, old in earlier.items():
            key = key.replace(f".{new}.", f".{old}.")
        renamed[key] = tensor
    assert sum("proj_attn" in key for key in renamed) == 2 * 4
    save_file(renamed, path)
    model = qs.from_diffusers(folder)
    x, t = batch(model)
    with torch.no_grad():
        assert torch.allclose(model.output(x, t)[..., 0], network(x, t - 1).sample, atol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_noise_is_the_same(name, saved):
    _, scheduler, folder = saved(scheduler=SCHEDULES[name])
    table = qs.from_diffusers(folder).kernel.schedule.alpha_bar
    assert len(table) == len(scheduler.alphas_cumprod) + 1
    assert table[0] == 1
    theirs = scheduler.alphas_cumprod.double()  # a float32 product of as many factors
    assert (table[1:] - theirs).abs().max() < 2.5e-6


def test_the_usual_noise_is_that_of_ddpm(saved):
    _, scheduler, folder = saved()
    model = qs.from_diffusers(folder)
    assert model.kernel.schedule == qs.schedules.linear(1000)
    assert model.space == qs.Quantized((3, 8, 8), 256, spread=256 / 255)
    levels = model.space.encode(torch.arange(256.0))
    assert torch.allclose(levels, torch.arange(256.0) / 127.5 - 1, atol=1e-15)
    theirs = scheduler.alphas_cumprod.double()
    assert (model.kernel.schedule.alpha_bar[1:] - theirs).abs().max() < 2.5e-7


STEPS = [
    ("linear", "epsilon", "fixed_small"),
    ("linear", "epsilon", "fixed_large"),
    ("linear", "epsilon", "learned_range"),
    ("squaredcos_cap_v2", "epsilon", "fixed_small_log"),
    ("scaled_linear", "v_prediction", "fixed_large"),
    ("squaredcos_cap_v2", "sample", "learned_range"),
    ("zero terminal SNR", "v_prediction", "fixed_small"),
    ("trained_betas", "sample", "fixed_large"),
    ("sigmoid", "v_prediction", "learned_range"),
]


@pytest.mark.parametrize("clip", [False, True], ids=["free", "clipped"])
@pytest.mark.parametrize(("noise", "predicts", "variance"), STEPS)
def test_the_reverse_step_is_the_scheduler_s(noise, predicts, variance, clip, saved):
    """Mean and variance of p(x_{t-1} | x_t) at ten times, in float64. The scheduler gets its tables
    in float64: its own are in float32, which leaves 4 digits of them at t = 2."""
    facts = SCHEDULES[noise] | {"prediction_type": predicts, "variance_type": variance}
    _, scheduler, folder = saved(
        {"out_channels": 6} if variance == "learned_range" else {},
        facts | {"clip_sample": clip, "clip_sample_range": 0.7},
    )
    model = qs.from_diffusers(folder)
    scheduler.alphas_cumprod = model.kernel.schedule.alpha_bar[1:]
    scheduler.one = torch.ones(())
    times = torch.linspace(2, model.steps, 10).round().long()
    x = torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        output = model.output(x, times)
        if model.head.outputs == 2:
            output[..., 1] = output[..., 1].clamp(-1, 1)
        step = model.head.reverse(model.kernel, output, x, times - 1, times)
    assert step.mean.dtype == torch.float64
    for i, t in enumerate(times.tolist()):
        theirs = output[i : i + 1].movedim(-1, 1).reshape(1, -1, 8, 8)
        predicted = theirs[:, 3:] if variance == "learned_range" else None
        found = scheduler._get_variance(t - 1, predicted_variance=predicted)
        if variance == "learned_range":
            found = found.exp()
        if variance == "fixed_small_log":
            found = found**2
        noise_rng, again = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
        drawn = scheduler.step(theirs, t - 1, x[i : i + 1], generator=noise_rng).prev_sample
        mean = drawn - found.sqrt() * torch.randn(1, 3, 8, 8, generator=again)
        assert torch.allclose(step.variance[i], found.expand(1, 3, 8, 8)[0], rtol=1e-9, atol=1e-10)
        assert (step.mean[i] - mean[0]).abs().max() < 1e-10
    assert (model.head.denoise(model.kernel, output, x, times).mean.abs().max() <= 0.7) == clip


def test_the_last_step_is_the_estimate_with_a_width(saved):
    """diffusers returns the estimate of x_0 at its last step; here it is a law of pixels about
    it."""
    _, scheduler, folder = saved(scheduler={"clip_sample": False})
    model = qs.from_diffusers(folder)
    scheduler.alphas_cumprod, scheduler.one = model.kernel.schedule.alpha_bar[1:], torch.ones(())
    x, one = torch.randn(2, 3, 8, 8), torch.ones(2, dtype=torch.long)
    with torch.no_grad():
        output = model.output(x, one)
        theirs = scheduler.step(output[..., 0], 0, x).prev_sample
        ours = model.last(x, one)
    assert torch.allclose(ours.mean, theirs, atol=1e-10)
    assert (ours.variance > 0).all()


def walked(model, stepper, x, times):
    """The states of a walk from x_T by a stepper."""
    return list(stepper.walk(model, State(x, int(times[-1])), times.tolist()))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_ddim_draws_are_those_of_diffusers(kind, saved, float32):
    network, scheduler, folder = saved(
        scheduler={"prediction_type": kind, "clip_sample": False, "timestep_spacing": "trailing"},
        kind="DDIMScheduler",
        pipeline="DDIMPipeline",
    )
    model = qs.from_diffusers(folder, space=qs.Continuous((3, 8, 8)))
    scheduler.set_timesteps(20)
    theirs = start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for t in scheduler.timesteps:
            theirs = scheduler.step(network(theirs, t).sample, t, theirs).prev_sample
    times = (scheduler.timesteps + 1).flip(0)
    ours = walked(model, DDIM(), start, times)[-1].x
    assert theirs.abs().max() > 0.5
    assert (ours - theirs).abs().max() < 1e-4 * max(1.0, theirs.abs().max().item())


def test_ddim_of_a_clipped_model_keeps_the_noise_of_the_clipped_estimate(saved, float32):
    network, scheduler, folder = saved(
        scheduler={"timestep_spacing": "trailing", "clip_sample_range": 0.5},
        kind="DDIMScheduler",
        pipeline="DDIMPipeline",
    )
    model = qs.from_diffusers(folder, space=qs.Continuous((3, 8, 8)))
    assert model.head == qs.Clipped(qs.Noise(), 0.5)
    scheduler.set_timesteps(10)
    theirs = start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for t in scheduler.timesteps:
            output = network(theirs, t).sample
            theirs = scheduler.step(output, t, theirs, use_clipped_model_output=True).prev_sample
    ours = walked(model, DDIM(), start, (scheduler.timesteps + 1).flip(0))[-1].x
    assert theirs.abs().max() == 0.5
    assert (ours - theirs).abs().max() < 1e-4


def test_a_limited_head_is_for_estimates_and_has_no_regression_target(saved, float32):
    with pytest.raises(TypeError, match="inner must be a EstimateHead such as Noise"):
        qs.Clipped(qs.Levels())
    with pytest.raises(ValueError, match="largest"):
        qs.Clipped(qs.Noise(), 0.0)
    _, _, folder = saved()
    model = qs.from_diffusers(folder)
    with pytest.raises(TypeError, match="Clipped states no regression target"):
        qs.fit(model, torch.zeros(4, 3, 8, 8), steps=1, objective=qs.Simple(), progress=False)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_dpm_solver_draws_are_those_of_diffusers(kind, saved, float32):
    network, scheduler, folder = saved(
        scheduler={"prediction_type": kind, "timestep_spacing": "trailing"},
        kind="DPMSolverMultistepScheduler",
    )
    model = qs.from_diffusers(folder, space=qs.Continuous((3, 8, 8)))
    assert model.head == (qs.Noise() if kind == "epsilon" else qs.Velocity())
    scheduler.set_timesteps(20)
    theirs = start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for t in scheduler.timesteps:
            theirs = scheduler.step(network(theirs, t).sample, t, theirs).prev_sample
    times = (scheduler.timesteps + 1).flip(0)
    ours = walked(model, DPMSolver(2), start, times)[-1].x
    assert theirs.abs().max() > 0.5
    assert (ours - theirs).abs().max() < 1e-4 * max(1.0, theirs.abs().max().item())


def test_euler_reads_the_facts_of_the_training(saved, float32):
    _, _, folder = saved(
        scheduler={"beta_schedule": "scaled_linear"}, kind="EulerDiscreteScheduler"
    )
    model = qs.from_diffusers(folder)
    assert model.kernel.schedule == qs.schedules.quadratic(1000)
    assert model.head == qs.Noise(FixedSmall())


def test_what_the_user_asks_for_stands_before_the_scheduler(saved):
    _, _, folder = saved(scheduler={"variance_type": "fixed_large"})
    assert qs.from_diffusers(folder).head == qs.Clipped(qs.Noise(FixedLarge()))
    assert qs.from_diffusers(folder, clip=False).head == qs.Noise(FixedLarge())
    head = qs.from_diffusers(folder, variance=FixedSmall(), clip=False).head
    assert head == qs.Noise(FixedSmall())


def test_images_of_another_size(saved, float32):
    network, _, folder = saved({"sample_size": None})
    with pytest.raises(ValueError, match="size of the images"):
        qs.from_diffusers(folder)
    model = qs.from_diffusers(folder, size=(12, 16))
    x, t = batch(model)
    with torch.no_grad():
        assert torch.allclose(model.output(x, t)[..., 0], network(x, t - 1).sample, atol=1e-5)


def test_files_of_older_pipelines_stand_beside_each_other(saved, float32):
    network, _, folder = saved()
    for part in ("unet", "scheduler"):
        for path in (folder / part).iterdir():
            path.rename(folder / path.name)
        (folder / part).rmdir()
    model = qs.from_diffusers(folder)
    x, t = batch(model)
    with torch.no_grad():
        assert torch.allclose(model.output(x, t)[..., 0], network(x, t - 1).sample, atol=1e-5)


def test_shards_and_half_precision_are_read(saved, float32):
    network, _, folder = saved()
    files = folder / "unet"
    for path in files.glob("*.safetensors"):
        path.unlink()
    network.half().save_pretrained(files, max_shard_size="20KB", variant=None)
    assert len(list(files.glob("*.safetensors"))) > 1
    model = qs.from_diffusers(folder)
    assert next(model.parameters()).dtype == torch.float32
    x, t = batch(model)
    with torch.no_grad():
        theirs = network.float()(x, t - 1).sample
        assert torch.allclose(model.output(x, t)[..., 0], theirs, atol=1e-5)


REFUSALS = [
    ({"class_embed_type": "timestep"}, {}, "class_embed_type='timestep'"),
    ({"in_channels": 6}, {}, "reads 6 channels and returns 3"),
    ({"down_block_types": ("SkipDownBlock2D", "DownBlock2D")}, {}, "SkipDownBlock2D"),
    ({"out_channels": 6}, {}, "variance_type='fixed_small'"),
    ({}, {"variance_type": "learned"}, "variance_type='learned'"),
    ({}, {"rescale_betas_zero_snr": True}, "no signal at T"),
    ({}, {"beta_schedule": "laplace"}, "beta_schedule='laplace'"),
]


@pytest.mark.parametrize(("unet", "scheduler", "says"), REFUSALS, ids=[r[2] for r in REFUSALS])
def test_what_has_no_law_of_pixels_is_refused(unet, scheduler, says, saved, float32):
    _, _, folder = saved(unet, scheduler)
    with pytest.raises(ValueError, match=says):
        qs.from_diffusers(folder)


@pytest.mark.parametrize(
    ("kind", "facts", "says"),
    [
        ("FlowMatchEulerDiscreteScheduler", {}, "straight lines"),
        ("EulerDiscreteScheduler", {"timestep_type": "continuous"}, "noise scale"),
        ("DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction"}, "straight lines"),
    ],
)
def test_schedulers_that_are_another_process_are_refused(kind, facts, says, saved, float32):
    _, _, folder = saved({}, facts, kind)
    with pytest.raises(ValueError, match=says):
        qs.from_diffusers(folder)


def test_weights_that_do_not_fit_are_named(saved, float32):
    _, _, folder = saved()
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"block_out_channels": [8, 12]}))
    with pytest.raises(ValueError, match=r"conv1\.weight should have shape \(12"):
        qs.from_diffusers(folder)


def test_a_pickle_is_refused_with_the_way_to_convert_it(saved, float32):
    network, _, folder = saved()
    (path,) = (folder / "unet").glob("*.safetensors")
    path.unlink()
    torch.save(network.state_dict(), folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match="never loaded") as refused:
        qs.from_diffusers(folder)
    # The code that the message gives works.
    code = str(refused.value).split("`")[1]
    exec(code, {"UNet2DModel": diffusers.UNet2DModel})
    assert qs.from_diffusers(folder).head == qs.Clipped(qs.Noise())


def test_the_loaded_model_satisfies_the_identities(saved, rng):
    _, _, folder = saved({"out_channels": 6, "sample_size": 4}, {"variance_type": "learned_range"})
    model = qs.from_diffusers(folder)
    assert model.head == qs.Clipped(qs.Noise(LearnedRange()))
    report = qs.check(model, torch.randint(256, (4, 3, 4, 4), generator=rng), rng=0)
    assert report.passed, report


def test_trained_further_by_the_simple_loss(saved, float32):
    """A model that was loaded learns: constant images become likely."""
    _, _, folder = saved({"sample_size": 4})
    model = qs.from_diffusers(folder, clip=False)
    x = torch.full((64, 3, 4, 4), 128)
    before = model.score(x[:4], rng=0).bits_per_dim.mean()
    qs.fit(model, x, steps=30, objective=qs.Simple(), lr=2e-3, progress=False)
    after = model.score(x[:4], rng=0).bits_per_dim.mean()
    assert math.isfinite(after)
    assert after < before - 1


# --- transformers of pixels


@pytest.fixture(params=["one channel", "a learned range"])
def transformer(request, tmp_path, float32):
    """A small random `DiTTransformer2DModel` and its folder."""
    several = request.param == "a learned range"
    torch.manual_seed(0)
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=3 if several else 1,
        out_channels=6 if several else 1,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=5,
        norm_num_groups=1,
    )
    network = network.float().eval()
    variance = "learned_range" if several else "fixed_small"
    network.save_pretrained(tmp_path / "transformer")
    scheduler = diffusers.DDPMScheduler(variance_type=variance, clip_sample=False)
    scheduler.save_pretrained(tmp_path / "scheduler")
    index = {"_class_name": "PixelPipeline", "transformer": ["diffusers", "DiTTransformer2DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    return network, tmp_path


def test_a_transformer_is_the_same_function_given_a_class_and_without_one(transformer, tmp_path):
    network, folder = transformer
    model = qs.from_diffusers(folder)
    assert model.condition == qs.conditions.ClassLabel(5)
    x, t = batch(model)
    labels = torch.tensor([0, 4, 2, 2, 1])
    none = torch.full((5,), 5)  # the number that diffusers has for no class
    for given, label in ((labels, labels), (None, none)):
        with torch.no_grad():
            theirs = network(in_channels(x), t - 1, label).sample
            ours = model.given(given).output(x, t).movedim(-1, 1).reshape(theirs.shape)
        assert theirs.std() > 0.1
        assert (ours - theirs).abs().max() < 1e-5
    model.save(tmp_path / "run")
    raw = model.sample(2, 10, given=3, guidance=qs.Guidance(1.0), rng=0)
    again = qs.load(tmp_path / "run")
    assert torch.equal(again.score(raw, given=3, rng=0).nats, model.score(raw, given=3, rng=0).nats)


def test_what_a_transformer_has_that_is_not_read_is_named(transformer):
    _, folder = transformer
    path = folder / "transformer" / "config.json"
    config = json.loads(path.read_text())
    for key, value, says in (
        ("activation_fn", "geglu", "activation_fn='geglu'"),
        ("sample_size", 9, "sides that patches of 2 divide"),
        ("num_layers", 3, "no tensor 'transformer_blocks.2"),
        ("out_channels", 5, "and returns 5"),
    ):
        path.write_text(json.dumps(config | {key: value}))
        with pytest.raises(ValueError, match=says):
            qs.from_diffusers(folder)
    index = {"vae": ["diffusers", "AutoencoderKL"], "transformer": ["diffusers", "DiT"]}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "DiTPipeline"} | index))
    with pytest.raises(FileNotFoundError, match="with a vae, and there is no folder"):
        qs.from_diffusers(folder)


# --- EDM's preconditioning

EDM = [
    ("EDMEulerScheduler", {}),
    ("EDMEulerScheduler", {"sigma_schedule": "exponential", "sigma_data": 1.0}),
    ("EDMDPMSolverMultistepScheduler", {"sigma_max": 20.0, "rho": 5.0}),
]


@pytest.mark.parametrize(("kind", "changes"), EDM)
def test_a_preconditioned_network_has_the_same_estimate(kind, changes, saved, float32, tmp_path):
    network, scheduler, folder = saved(scheduler={"num_train_timesteps": 20} | changes, kind=kind)
    model = qs.from_diffusers(folder)
    assert isinstance(model.head, qs.heads.Preconditioned)
    scheduler.set_timesteps(20)
    sigma = torch.as_tensor(scheduler.sigmas[:20]).flip(0).float()
    log_snr = model.kernel.schedule.log_snr[1:]
    assert ((-log_snr / 2).exp() / sigma - 1).abs().max() < 1e-5
    x, t = batch(model, 6)
    s = sigma[t - 1].reshape(-1, 1, 1, 1)
    signal = model.kernel.signal(t, x)
    with torch.no_grad():
        wild = x / signal  # x_0 + sigma noise, as EDM has it
        out = network(scheduler.precondition_inputs(wild, s), s.flatten().log() / 4).sample
        theirs = scheduler.precondition_outputs(wild, out, s)
        ours = model.estimate(x, t)
    assert theirs.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-5 * max(1.0, float(theirs.abs().max()))
    model.save(tmp_path / "run")
    with torch.no_grad():
        assert torch.equal(qs.load(tmp_path / "run").estimate(x, t), ours)
    with pytest.raises(ValueError, match="Preconditioned"):
        qs.to_diffusers(model, tmp_path / "out")


def test_euler_s_draws_of_a_preconditioned_network_are_those_of_ddim(saved, float32):
    network, scheduler, folder = saved(
        scheduler={"num_train_timesteps": 20, "sigma_max": 10.0}, kind="EDMEulerScheduler"
    )
    model = qs.from_diffusers(folder, space=qs.Continuous((3, 8, 8)))
    scheduler.set_timesteps(20)
    start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    theirs = start / model.kernel.signal(torch.full((2,), 20), start)
    with torch.no_grad():
        for time in scheduler.timesteps:
            out = network(scheduler.scale_model_input(theirs, time), time).sample
            theirs = scheduler.step(out, time, theirs).prev_sample
    ours = walked(model, DDIM(), start, torch.arange(1, 21))[-1].x
    assert theirs.abs().max() > 0.2
    assert (ours - theirs).abs().max() < 1e-4 * max(1.0, theirs.abs().max().item())
