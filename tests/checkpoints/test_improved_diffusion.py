"""Weights in the layout of improved-diffusion and of guided-diffusion. The expected outputs are
those of their own networks with the same weights (commit 1bc7bbb of openai/improved-diffusion; the
case "residual": 22e0df8 of openai/guided-diffusion), for T = 40."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import quasistatic as qs
from quasistatic.kernels import schedules

STORED = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "improved_diffusion.json").read_text()
)
TIMES = torch.tensor([1, 8, 40])
OPTIONS = {"residual": {"head_width": 16, "rescaled": False}}
"""What does not follow from the weights of a case."""


def weights(name: str, shape: list[int]) -> torch.Tensor:
    """Weights by a formula, as those of the stored outputs."""
    count = math.prod(shape)
    x = 43758.5453 * torch.sin(12.9898 * torch.arange(count, dtype=torch.float64) + len(name))
    fan = math.prod(shape[1:]) if len(shape) > 1 else 25
    return (4 * x.frac() / math.sqrt(fan)).reshape(shape).float()


@pytest.fixture(params=["learned", "classes", "residual"])
def case(request, tmp_path, float32):
    """The name of a case, its file, and the output that it should have."""
    stored = STORED[request.param]
    path = tmp_path / "model.safetensors"
    save_file({name: weights(name, shape) for name, shape in stored["shapes"].items()}, path)
    return request.param, path, torch.tensor(stored["output"]).reshape(3, -1, 3, 8, 8)


def opened(path: Path, **options: object) -> qs.Diffusion:
    return qs.from_improved_diffusion(path, size=8, schedule=schedules.cosine(40), **options)


def test_the_network_is_the_same_function(case):
    name, path, expected = case
    model = opened(path, **OPTIONS.get(name, {}))
    x = torch.sin(torch.arange(3 * 3 * 8 * 8).double()).reshape(3, 3, 8, 8).float()
    given = model if name == "learned" else model.given([0, 3, 1])
    with torch.no_grad():
        output = given.output(x, TIMES).movedim(-1, 1)
    assert expected.std() > 0.1
    assert (output - expected).abs().max() < 1e-5 * expected.abs().max()


def test_what_follows_from_the_weights(case):
    name, path, _ = case
    model = opened(path, **OPTIONS.get(name, {}))
    learned, residual = name == "learned", name == "residual"
    variance = qs.FixedLarge() if name == "classes" else qs.LearnedRange()
    assert model.head == qs.Clipped(qs.Noise(variance))
    assert model.network.widths == (32, 64)
    assert model.network.down_attention == model.network.up_attention == (1,)
    assert model.network.scale_shift == (name != "classes")
    assert model.network.down_residual == ((0,) if residual else ())
    assert model.network.up_residual == ((1,) if residual else ())
    assert model.condition == (None if learned else qs.conditions.ClassLabel(4))


def test_other_arguments_are_other_models(case):
    name, path, expected = case
    x = torch.sin(torch.arange(3 * 3 * 8 * 8).double()).reshape(3, 3, 8, 8).float()
    right = OPTIONS.get(name, {})
    wrong = {"head_width": 32} if right else {"heads": 2}
    for options in (wrong, {"rescaled": not right.get("rescaled", True)}):
        with torch.no_grad():
            output = opened(path, **right | options).output(x, TIMES).movedim(-1, 1)
        assert (output - expected).abs().max() > 1e-3
    with pytest.raises(ValueError, match="7 heads do not divide"):
        opened(path, heads=7)
    with pytest.raises(ValueError, match="heads of 48 channels do not divide"):
        opened(path, head_width=48)


def test_the_model_saves_and_scores(case, tmp_path):
    name, path, _ = case
    model = opened(path, **OPTIONS.get(name, {}))
    model.save(tmp_path / "run")
    x = torch.arange(2 * 192).reshape(2, 3, 8, 8) % 256
    given = None if name == "learned" else 2
    found = qs.load(tmp_path / "run").score(x, given=given, rng=0).nats
    assert torch.equal(found, model.score(x, given=given, rng=0).nats)


def test_pickles_and_other_networks_are_refused(tmp_path, float32):
    with pytest.raises(ValueError, match="never loaded"):
        opened(tmp_path / "model.pt")
    with pytest.raises(FileNotFoundError, match="no file"):
        opened(tmp_path / "model.safetensors")
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"no tensor 'input_blocks.0.0.weight'"):
        opened(tmp_path / "other.safetensors")
    shapes = STORED["learned"]["shapes"]
    whole = {name: weights(name, shape) for name, shape in shapes.items()}
    save_file(whole | {"extra.weight": torch.zeros(3)}, tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match=r"no tensor 'extra.weight'"):
        opened(tmp_path / "more.safetensors")
