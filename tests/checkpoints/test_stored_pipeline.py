"""A small pipeline that diffusers saved, opened without diffusers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.checkpoints import is_diffusers
from quasistatic.sampling import DDIM
from quasistatic.sampling.steppers import State

FOLDER = Path(__file__).parent.parent / "fixtures" / "diffusers"


@pytest.fixture
def expected():
    with np.load(FOLDER / "expected.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def test_the_network_and_the_noise_are_those_of_diffusers(expected, float32):
    model = qs.from_diffusers(FOLDER)
    with torch.no_grad():
        output = model.output(expected["x"], expected["t"])[..., 0]
    assert (output - expected["output"]).abs().max() < 1e-5
    table = model.kernel.schedule.alpha_bar[1:]
    assert (table - expected["alpha_bar"].double()).abs().max() < 2.5e-7
    assert model.head == qs.Noise(qs.FixedLarge())


def test_ddim_draws_from_the_same_noise(expected, float32):
    model = qs.from_diffusers(FOLDER, space=qs.Continuous((3, 8, 8)))
    times = expected["ddim_times"].flip(0).tolist()
    state = State(expected["x"], times[-1])
    *_, last = DDIM().walk(model, state, times)
    assert (last.x - expected["ddim"]).abs().max() < 1e-4 * expected["ddim"].abs().max()


def test_every_verb_serves_it(float32, tmp_path):
    """A code is read exactly; known pixels stay; what is saved is the same model."""
    model = qs.from_diffusers(FOLDER)
    x = model.sample(8, times=20, rng=0)
    assert x.shape == (8, 3, 8, 8)
    code = model.compress(x, times=20)
    assert (model.decompress(code) == x.numpy()).all()
    hidden = torch.arange(8).expand(8, 3, 8, 8) >= 4
    made = model.complete(x, hidden, draws=2, times=10, rng=0)
    assert (made.draws[:, :, ~hidden[0]] == x[:, None][:, :, ~hidden[0]]).all()
    model.save(tmp_path / "run")
    again = qs.load(tmp_path / "run")
    assert again.describe() == model.describe()
    assert torch.equal(again.score(x[:2], rng=0).nats, model.score(x[:2], rng=0).nats)


def test_a_pipeline_of_latents_draws_the_same_images(float32):
    folder = FOLDER.parent / "diffusers_latent"
    with np.load(folder / "expected.npz") as file:
        expected = {name: torch.from_numpy(file[name]) for name in file}
    model = qs.from_diffusers(folder)
    coder = model.space.autoencoder
    with torch.no_grad():
        mean, deviation = coder.encode(expected["x"])
        times = expected["times"].flip(0).tolist()
        *_, last = DDIM().walk(model, State(expected["start"], times[-1]), times)
        images = (coder.decode(last.x)[0] / 2 + 0.5).clamp(0, 1)
    assert (mean - 0.7 * expected["mean"]).abs().max() < 1e-5
    assert (deviation - 0.7 * expected["deviation"]).abs().max() < 1e-5
    assert (images - expected["drawn"]).abs().max() < 1e-4
    assert expected["drawn"].std() > 0.01


def test_which_folders_are_diffusers(tmp_path):
    assert is_diffusers(FOLDER)
    assert is_diffusers(FOLDER / "unet")
    assert not is_diffusers(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 1}')
    assert not is_diffusers(tmp_path)


def test_a_part_of_the_folder_that_is_missing_is_named(tmp_path, float32):
    with pytest.raises(FileNotFoundError, match="no folder"):
        qs.from_diffusers(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="neither model_index"):
        qs.from_diffusers(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no scheduler_config"):
        qs.from_diffusers(FOLDER / "unet")


def test_a_file_in_place_of_a_folder_says_which_folder(tmp_path, float32):
    weights = FOLDER / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(NotADirectoryError, match=f"is a file.*give '{FOLDER}'"):
        qs.from_diffusers(weights)
    (tmp_path / "model.safetensors").write_bytes(weights.read_bytes())
    with pytest.raises(NotADirectoryError, match="from_improved_diffusion"):
        qs.from_diffusers(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ({"_class_name": "StableDiffusionPipeline", "text_encoder": ["t", "C"]}, "from a text"),
        (
            {"_class_name": "KandinskyPipeline", "movq": ["diffusers", "VQModel"]},
            "every resolution",
        ),
        ({"_class_name": "DanceDiffusionPipeline"}, "without a unet"),
    ],
    ids=lambda each: each if isinstance(each, str) else each["_class_name"],
)
def test_pipelines_without_a_law_of_pixels_say_why(index, says, tmp_path, float32):
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=says):
        qs.from_diffusers(tmp_path)


def test_damaged_files_are_named(tmp_path, float32):
    folder = tmp_path / "copy"
    shutil.copytree(FOLDER, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        qs.from_diffusers(folder)
    weights.write_bytes(data)
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text()[:40])
    with pytest.raises(ValueError, match=r"config.json is damaged"):
        qs.from_diffusers(folder)
