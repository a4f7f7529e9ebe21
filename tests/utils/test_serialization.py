"""What is described as JSON is built again as it was."""

import inspect
import json
from dataclasses import dataclass, fields, is_dataclass

import pytest
import torch
from torch import nn

import quasistatic as qs
from quasistatic import heads, kernels, networks, spaces
from quasistatic._utils import serialization
from quasistatic._utils.allocation import require_weights
from quasistatic.diffusion import KNOWN
from quasistatic.heads import variances
from quasistatic.kernels import schedules
from quasistatic.recipes import RECIPES
from quasistatic.recipes.runs import KNOWN as RECIPES_KNOWN
from quasistatic.spaces import yeo_johnson

SCHEDULES = {
    "linear": schedules.linear(7, 1e-3, 0.3),
    "quadratic": schedules.quadratic(7, 1e-3, 0.3),
    "cosine": schedules.cosine(7, 0.01, 0.9),
    "erase_evenly": schedules.erase_evenly(7),
    "linear_log_snr": schedules.linear_log_snr(7, 3.1, -2.9),
    "custom": schedules.custom([0.9, 0.5, 1 / 3, 0.0]),
    "from_log_snr": schedules.from_log_snr([30.1, 1 / 3, -40.7]),
    "learned": schedules.learned([9.1, 1 / 3, -4.7]),
    "karras": schedules.karras(7, 0.01, 60.0, 5.0),
}
SPACES = [
    spaces.Continuous(3),
    spaces.Continuous((2, 3), 0.1, ((0.5, 1.0, 2.0), (1.0, 1.0, 3.0))),
    spaces.Continuous.standardize(torch.arange(12.0).reshape(4, 3) ** 2),
    spaces.Binary((2, 2)),
    spaces.Quantized(3, 17, 2.0),
    spaces.Dequantized(3, 256, 1.5),
    yeo_johnson.YeoJohnson(2, (0.5, 1 / 3), 0.1, (1.5, 2.5), 0.2, 3.5),
    spaces.PiecewiseLinear(2, ((0.1, 1 / 3), (-1.0, 0.0, 2.5)), ((-1.0, 1.0), (-0.7, 0.1, 0.9))),
    spaces.Integers(2, (0, -3), (9, 200), (4.5, 1 / 3), (2.0, 0.1)),
    spaces.OneHot((3, 2), lowest=(0, 5), masked=True),
    spaces.Latent(networks.Autoencoder((4, 4), 2, 2, 4, 1), spaces.Quantized((4, 4), 17, 2.0)),
    spaces.Table(
        (
            spaces.columns.NumericColumn("a", 0.1, "Float64", (0.0, 1 / 3), (-1.0, 1.0), -2.0, 3.0),
            spaces.columns.IntegerColumn("b", 0.0, "Int8", 1, 300, 7.5, 1 / 3),
            spaces.columns.IntegerColumn("c", 0.0, "Int64", 1, 3, 2.0, 0.5, (0.2, 0.3, 0.5)),
            spaces.columns.BinaryColumn("d", 0.0, "Boolean", (False, True), (0.4, 0.6)),
            spaces.columns.CategoryColumn("e", 0.2, "String", ("x", "y", "z"), (0.1, 0.3, 0.6)),
            spaces.columns.ConstantColumn("f", 1.0, "Float64", None),
        ),
        "polars",
    ),
]
KERNELS = [
    kernels.GaussianKernel(SCHEDULES["linear"]),
    kernels.BinomialKernel(SCHEDULES["cosine"], mean=0.2),
    kernels.BinomialKernel(SCHEDULES["custom"], mean=(0.1, 0.5)),
    kernels.CategoricalKernel(SCHEDULES["cosine"], (2, 3), (0.3, 0.7, 0.1, 0.2, 0.7)),
    kernels.ProductKernel(
        (
            kernels.GaussianKernel(SCHEDULES["linear"]),
            kernels.CategoricalKernel(SCHEDULES["erase_evenly"], (2, 2)),
        ),
        (3, 4),
    ),
]
HEADS = [
    heads.Clean(),
    heads.Clean(variances.FixedLarge()),
    heads.Preconditioned(variances.FixedLarge(), 0.7),
    heads.Noise(variances.FixedSmall()),
    heads.Velocity(variances.Sigmoid()),
    heads.Velocity(variances.Interpolated()),
    heads.Noise(variances.LearnedRange()),
    heads.Clipped(heads.Noise(), 0.7),
    heads.Mean(variances.FixedLarge()),
    heads.Natural(variances.Sigmoid()),
    heads.Levels(),
    heads.Levels(3),
    heads.Classes(),
    heads.ProductHead((heads.Velocity(variances.Interpolated()), heads.Classes())),
    heads.Equilibrium(variances.FixedLarge()),
    heads.Exact(heads.Levels()),
    heads.Corrected(),
    heads.CorrectedClasses(),
    heads.CorrectedLevels(),
    heads.Spread(heads.Clean(), variances.Analytic((1, 7), ((0.1, 0.2), (0.5, 1 / 3)))),
]


def again(thing, known=KNOWN):
    """Described, written, read and built."""
    return serialization.build(json.loads(json.dumps(serialization.describe(thing))), known)


def concrete(room) -> set[str]:
    """The names of a room's classes that can be built."""
    kinds = {name: getattr(room, name) for name in room.__all__}
    return {n for n, k in kinds.items() if inspect.isclass(k) and not inspect.isabstract(k)}


@pytest.mark.parametrize("thing", [*SPACES, *KERNELS, *HEADS], ids=lambda x: type(x).__name__)
def test_spaces_kernels_and_heads_come_back_equal(thing):
    built = again(thing)
    assert type(built) is type(thing)
    if not isinstance(thing, spaces.Latent):  # which holds a network, equal to itself alone
        assert built == thing
    assert serialization.describe(built) == serialization.describe(thing)


def test_none_is_left_out():
    """The lists above hold one of each kind that there is."""
    assert {type(space).__name__ for space in SPACES} == concrete(spaces) | concrete(yeo_johnson)
    assert {type(kernel).__name__ for kernel in KERNELS} == concrete(kernels)
    assert {type(head).__name__ for head in HEADS} == concrete(heads)
    widths = {type(head.variance).__name__ for head in HEADS if hasattr(head, "variance")}
    assert widths == concrete(variances)
    assert set(SCHEDULES) == set(schedules.__all__) - {"Schedule"}
    assert {type(network).__name__ for network in NETWORKS} == concrete(networks)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_schedules_come_back_bit_for_bit(schedule):
    built = again(schedule)
    assert built == schedule
    assert torch.equal(built.log_alpha_bar, schedule.log_alpha_bar)
    assert torch.equal(built.log_noise, schedule.log_noise)


NETWORKS = [
    networks.MLP((2, 3), 16, 2, 3, 0.2, 4, 2, True, condition=3),
    networks.RBF(4, 5, 6, outputs=2, reach=1.5),
    networks.Multiscale((2, 3), 6, 2, 2, 5, (7,), 3, (4,), 5, 2, axes=1, condition=3),
    networks.ClosedFormDenoiser(7, (2, 3), 4, 3, 5),
    networks.ResidualDenoiser(7, (2, 3), 4, 3, 5, 16, 3, 0.1, 4),
    networks.SpectralDenoiser((2, 3, 4), 2, 5, 7),
    networks.SpectralResidual((3, 4), 1, 2, 5, networks.UNet((4, 3, 4), 4, (1,), 1, ()), True),
    networks.PerClassDenoiser((2, 3, 4), 2, 5, 7, 3),
    networks.NoiseScaled(networks.MLP(3, 8, 1), 9, 0.7),
    networks.FlowMapNetwork(
        networks.MLP(3, 8, 1, condition=2),
        networks.MLP(3, 8, 1, outputs=2, condition=networks.FlowMapNetwork.ENDS + 2),
        (3, 6),
        1,
        True,
    ),
    networks.Autoencoder((3, 8, 8), 2, 2, 8, 1, 1),
    networks.DiffusersDiT((2, 4, 4), 9, 3, 12, 1, 2, 4, 2, 1e-3, False, 0.1, True),
    networks.DiffusersAutoencoder(
        *((3, 4, 8), 2, (4, 8), 2, (1,), (0,), 2, "mish", False, 0.7, 0.1, (0.1, 0.2, 0.3)),
        *(False, False),
    ),
    networks.DiffusersVQ(
        *((4, 8), 2, (4, 8), 2, (1,), (0,), 2, "mish", False, 0.7, 0.1, 0.2, 9, 3, 0.05),
    ),
    networks.UNet((3, 8), 4, (1, 2), 1, (0,), 2, 3, 0.1, 2, True, 1, condition=3),
    networks.DiffusersUNet(
        *((3, 4, 8), 50, (8, 12), 1, (1,), (0,), 4, 2, 2, 1e-6, True, 0, (0,), (1,), True, False),
        *(4, 1.5, 24, False, 1.0, "mish", True, 0.1, 2, True, 3),
    ),
    networks.DiT((3, 8), 12, 2, 3, 2, 4, 2.0, 0.1, True, 1, condition=3),
    networks.Padded((3, 7), networks.UNet((3, 8), 4, (1, 2), axes=1)),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda x: type(x).__name__)
def test_a_network_is_compared_with_its_weights_without_memory_for_its_own(network):
    described = serialization.describe(network)
    weights = network.state_dict()
    require_weights(lambda: serialization.build(described, KNOWN), weights, (3,))
    name = max(weights, key=lambda each: weights[each].numel())
    with pytest.raises(ValueError, match=f"{name} should have shape"):
        require_weights(
            lambda: serialization.build(described, KNOWN),
            weights | {name: torch.zeros(1, 1, 1, 1, 7)},
            (3,),
        )


OPTIONAL = {"octaves", "hidden", "middle", "condition", "classes"}
"""Arguments that only some of the networks above give."""


@pytest.mark.parametrize("network", NETWORKS, ids=lambda x: type(x).__name__)
def test_networks_come_back_with_every_argument(network):
    built = again(network)
    given = [f.name for f in fields(network)]
    kept, meant = (
        [serialization.describe(getattr(n, name)) for name in given] for n in (built, network)
    )
    assert kept == meant
    assert [w.shape for w in built.parameters()] == [w.shape for w in network.parameters()]
    for f in fields(network):  # and none of them holds its default by chance
        assert getattr(network, f.name) != f.default or f.name in OPTIONAL


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_come_back_with_their_overrides(name):
    kind = RECIPES[name]
    changed = kind(steps=123, fit=qs.Fit(lr=0.1 + 0.2, steps=7))
    assert again(changed, RECIPES_KNOWN) == changed != kind()


def test_floats_keep_every_digit():
    number = 0.1 + 0.2
    assert again(spaces.Continuous(1, number, number)).shift == number


# mistakes


def test_an_unknown_name_is_answered_by_the_nearest():
    with pytest.raises(ValueError, match="there is no 'Binry' to build: did you mean Binary"):
        serialization.build({"is": "Binry", "shape": [3]}, KNOWN)
    described = serialization.describe(KERNELS[0])
    described["schedule"]["kind"] = "linaer"
    with pytest.raises(ValueError, match="there is no 'linaer' to build: did you mean linear"):
        serialization.build(described, KNOWN)


@pytest.mark.parametrize("name", ["os.system", "eval", "custom.__init__", "Model", ""])
def test_no_name_but_the_known_is_called(name):
    with pytest.raises(ValueError, match="there is no"):
        serialization.build({"is": name, "command": "true"}, KNOWN)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"is": "Binary"}, "Binary cannot be built from {}: .*missing.*'shape'"),
        ({"is": "Binary", "shape": [3], "levels": 2}, "Binary cannot be built from .*'levels'"),
        ({"is": "MLP", "shape": [3], "widht": 2}, "MLP cannot be built from .*'widht'"),
        ({"is": "Space", "shape": [3]}, "Space cannot be built from .*abstract"),
        (
            {"is": "Binary", "shape": [0]},
            "each size of the shape must be a whole number at least 1",
        ),
        ({"is": "Quantized", "shape": [3], "count": 1}, "from 2 to 1,048,576, got 1"),
        ({"is": ["Binary"]}, "there is no"),
        ({"is": None}, "there is no"),
    ],
)
def test_arguments_that_do_not_fit_are_named(description, said):
    with pytest.raises(ValueError, match=said):
        serialization.build(description, KNOWN)


def test_what_is_no_dataclass_cannot_be_described():
    with pytest.raises(TypeError, match="Tensor cannot be written as JSON: make it a dataclass"):
        serialization.describe(torch.zeros(2))
    assert serialization.describe_or_name(nn.Linear(2, 2)) == {"is": "Linear"}

    @dataclass
    class Holds:
        what: object

    with pytest.raises(TypeError, match="Linear cannot be written"):
        serialization.describe(Holds(nn.Linear(2, 2)))


def test_every_part_is_a_dataclass():
    """So that it can be written down."""
    for thing in [*SPACES, *KERNELS, *HEADS, *SCHEDULES.values(), *NETWORKS]:
        assert is_dataclass(thing)


def test_a_class_that_was_renamed_keeps_its_stored_name():
    """So that a config.json written before is read, and the fingerprint of a model that streams
    hold stays the same."""
    space = spaces.PiecewiseLinear(1, ((0.0, 1.0),), ((-1.0, 1.0),))
    described = serialization.describe(space)
    assert described["is"] == "Warped"
    assert serialization.build(described, KNOWN) == space


def test_a_field_that_was_renamed_keeps_its_stored_name():
    network = networks.Multiscale((4, 4), 4, 1, 2, 3, (5,), dense_features=3)
    described = serialization.describe(network)
    assert described["told"] == 3
    assert "dense_features" not in described
    assert serialization.build(described, KNOWN).dense_features == 3


def test_a_model_prints_its_four_parts_in_a_few_lines():
    """However many numbers the parts hold."""
    kernel = kernels.GaussianKernel(schedules.from_log_snr(torch.linspace(9, -9, 300)))
    space = spaces.Continuous.standardize(torch.randn(50, 200))
    model = qs.Diffusion(space, kernel, heads.Velocity(), networks.MLP(200))
    lines = repr(model).splitlines()
    assert len(lines) == 5
    assert max(map(len, lines)) < 160
    shown = ("Diffusion of 300 steps", "Continuous", "GaussianKernel", "Velocity()", "MLP(")
    assert all(part in line for part, line in zip(shown, lines, strict=True))


@pytest.mark.parametrize("part", [*SPACES, *KERNELS, *SCHEDULES.values()], ids=repr)
def test_the_repr_of_a_part_is_one_short_line(part):
    assert repr(part).startswith(getattr(part, "kind", type(part).__name__))
    assert "\n" not in repr(part)
    assert len(repr(part)) < 400
