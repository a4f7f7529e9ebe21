"""Latent models of a folder of images: two stages, one folder, and every verb."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

import quasistatic as qs
from quasistatic.opened import open as open_run
from quasistatic.opened.image_fit import fit_images, suits_latents
from quasistatic.recipes.latent import chain_of_latents, latent_start
from quasistatic.recipes.own_images import OwnImages
from quasistatic.reporting.console import Display
from quasistatic.spaces import Continuous, Latent, Quantized

pytestmark = pytest.mark.usefixtures("float32")


def textures(count: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    grey = rng.integers(70, 180, (count, 1, 1)) + rng.normal(0, 8, (count, size, size)).cumsum(2)
    return grey.clip(0, 255).astype(np.uint8)


def test_principal_components_are_the_best_linear_start():
    """No other number of latents gives less than its own linear optimum: the evidence of the start
    beats that of random weights, and rises with the latents that are kept."""
    images = torch.from_numpy(textures(200, 16))
    found = []
    for channels in (1, 4, 12):
        model = latent_start(Quantized((16, 16), 256, 2.0), images, channels=channels, down=4)
        found.append(model.score(images, 4, rng=0).bits_per_dim.mean().item())
    assert found[0] > found[1] > found[2] - 0.02
    assert found[1] < 6.0


def test_the_start_is_probabilistic_principal_components_of_real_data():
    """For real data whose patches are linear-Gaussian, the evidence is their exact likelihood."""
    torch.manual_seed(0)
    loading = torch.randn(4, 2)
    x = torch.randn(20_000, 2) @ loading.T + 0.5 * torch.randn(20_000, 4)
    model = latent_start(Continuous(4), x, channels=2, down=4, axes=1)
    cover = loading @ loading.T + 0.25 * torch.eye(4)
    law = torch.distributions.MultivariateNormal(torch.zeros(4), cover)
    found = model.score(x[:4000], None, rng=0).nats.mean()
    assert abs(found - law.log_prob(x[:4000]).mean()) < 0.02


def test_latents_have_variance_one_and_start_at_their_law():
    images = torch.from_numpy(textures(120, 16))
    first = latent_start(Quantized((16, 16), 256, 2.0), images, channels=4, down=4, width=8)
    model, _ = chain_of_latents(first, images, width=8, steps=50)
    z = model.space.encode(images.float(), torch.Generator().manual_seed(5))
    flat = z.transpose(0, 1).flatten(1)
    assert torch.allclose(flat.std(1), torch.ones(4), atol=0.05)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=0.05)
    better = model.score(images, rng=0).bits_per_dim.mean()
    assert better < first.score(images, rng=0).bits_per_dim.mean() - 0.05
    wide = model.resized((32, 32))
    tiled = images.repeat(1, 2, 2)[:20]
    near = wide.score(tiled, rng=0).bits_per_dim.mean()
    assert abs(near - better) < 0.5


def test_a_folder_is_fitted_in_two_stages_and_resumed(tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "run"
    folder.mkdir()
    for k, image in enumerate(textures(24, 16)):
        Image.fromarray(image).save(folder / f"{k}.png")
    answer = fit_images(folder, out=out, steps=3, latent=True)
    assert (out / "autoencoder" / "model.safetensors").is_file()
    assert {"autoencoder_bits_per_dim", "law_bits_per_dim"} <= answer.facts.keys()
    stored = (out / "model.safetensors").read_bytes()
    again = fit_images(folder, out=out, steps=3, latent=True)
    assert (out / "model.safetensors").read_bytes() == stored
    assert again.facts["law_bits_per_dim"] == answer.facts["law_bits_per_dim"]
    assert json.loads((out / "config.json").read_text())["recipe"]["latent"] is True
    model = qs.open(out)
    assert isinstance(model.model.space, Latent)
    x = textures(24, 16)[:4]
    back = qs.load(out).decompress(qs.load(out).compress(x, times=5, portable=False))
    assert np.array_equal(back, x)


class Heard(Display):
    """Keeps what is said, and counts the steps of the bar."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []
        self.total = self.done = 0

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def counting(self, name: str, total: int, unit: str = "rows"):
        def advance(count: int) -> None:
            self.done += count
            self.steps += 1

        self.total, self.steps = total, 0
        yield advance


def test_a_completion_says_how_long_it_takes_and_its_bar_moves_within_an_image(tmp_path):
    """By default with few particles and times; what it says of the work is what it does. The
    estimate changes no number."""
    raw = Quantized((16, 16), 256, spread=2.0)
    images = torch.from_numpy(textures(40, 16))
    first = latent_start(raw, images, channels=2, down=4, width=8, blocks=1)
    made, _ = chain_of_latents(first, images, steps=100, width=8)
    made.save(tmp_path / "run")
    heard = Heard()
    x = textures(3, 16)
    np.save(tmp_path / "x.npy", x)
    hidden = np.zeros(x.shape, dtype=bool)
    hidden[:, :, 8:] = True
    model = open_run(tmp_path / "run", display=heard)
    found = model.complete(tmp_path / "x.npy", mask=hidden, draws=2, rng=3)
    assert f"3 examples, 4 x 8 particles, 50 times: {3 * 4 * 8 * 50:,} passes" in heard.lines[0]
    assert heard.done == heard.total == 3 * 50
    assert heard.steps == 3 * 50
    assert np.array_equal(
        found.values[:, :, :, :8], np.broadcast_to(x[:, None, :, :8], (3, 2, 16, 8))
    )
    source = torch.Generator().manual_seed(3)
    for row in range(3):
        alone = made.complete(x[[row]], hidden[[row]], 2, 50, source, method=qs.SMC(8))
        assert np.array_equal(alone.draws.numpy()[0], found.values[row])


def test_large_images_are_chosen_for_latents():
    class Images:
        def __init__(self, shape, levels=256):
            self.array, self.levels = np.zeros((1, *shape), np.uint8), levels

    assert suits_latents(Images((128, 256)))
    assert not suits_latents(Images((96, 128)))
    assert not suits_latents(Images((130, 256)))
    assert not suits_latents(Images((256, 256), 2))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"latent": True, "pixels": True}, "give one of them"),
        ({"latent": True, "mode": "1"}, "black and white"),
    ],
)
def test_bad_options_say_what_to_do(tmp_path, how, says):
    for k, image in enumerate(textures(12, 16)):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
    with pytest.raises(ValueError, match=says):
        fit_images(tmp_path, out=tmp_path / "run", steps=2, **how)


def test_sides_that_do_not_divide_are_named(tmp_path):
    for k, image in enumerate(textures(12, 20)):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
    with pytest.raises(ValueError, match="16 or 24 by 16 or 24"):
        fit_images(tmp_path, out=tmp_path / "run", steps=2, latent=True)


def test_the_recipe_keeps_how_its_autoencoder_is_trained():
    assert OwnImages(path="photos").latent is False
    assert OwnImages(path="photos").coder.evaluations == 1
