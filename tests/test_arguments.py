"""Wrong arguments of every constructor below the verbs get an error that names the argument.

An error of PyTorch or NumPy from further down does not count: each message has to name what is
wrong, and what it got.
"""

import dataclasses
import inspect
import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

import quasistatic as qs
from conftest import Silent
from quasistatic import heads, kernels, networks, schedules, spaces
from quasistatic._utils import serialization
from quasistatic._utils.allocation import require_weights
from quasistatic.heads import variances
from quasistatic.kernels import BinomialKernel, CategoricalKernel, GaussianKernel, ProductKernel
from quasistatic.networks import MLP, RBF, DiffusersUNet, Multiscale, Padded, UNet
from quasistatic.spaces.yeo_johnson import YeoJohnson

NAN, INF = math.nan, math.inf
SCHEDULE = schedules.cosine(20)
GAUSSIAN = GaussianKernel(SCHEDULE)

RIGHT = {
    MLP: {"shape": 4, "width": 8, "depth": 1},
    UNet: {"shape": (4, 4), "width": 8, "multiples": (1, 2), "blocks": 1},
    DiffusersUNet: {"shape": (4, 4), "widths": (8, 8), "groups": 4, "middle_groups": 4},
    Multiscale: {"shape": (6, 6), "dense": (4,), "scales": 2, "depth": 1},
    RBF: {"shape": 4, "hidden": 3, "steps": 5},
    Padded: {"shape": (3,), "network": MLP(4, 8, 1)},
    networks.NoiseScaled: {"network": MLP(3, 8, 1), "steps": 9},
    networks.DiffusersDiT: {
        **{"shape": (2, 4, 4), "steps": 9, "condition": 3, "width": 12, "depth": 1, "heads": 2},
        **{"patch": 2},
    },
    networks.Autoencoder: {"shape": (3, 8, 8), "channels": 2, "down": 2, "width": 8, "blocks": 1},
    networks.DiffusersAutoencoder: {"shape": (3, 8, 8), "widths": (4, 8), "groups": 2},
    networks.DiffusersVQ: {"shape": (3, 8, 8), "widths": (4, 8), "groups": 2, "codes": 5},
    networks.FlowMapNetwork: {
        "denoiser": MLP(3, 8, 1),
        "flow_map": MLP(3, 8, 1, outputs=2, condition=networks.FlowMapNetwork.ENDS),
        **{"times": (3, 6), "shortest": 1, "density": True},
    },
    spaces.Latent: {"autoencoder": networks.Autoencoder((4, 4), 2, 2, 4, 1)},
    heads.Preconditioned: {"variance": variances.FixedSmall()},
    schedules.karras: {"steps": 7},
    spaces.Binary: {"shape": 4},
    spaces.Quantized: {"shape": 4},
    spaces.Dequantized: {"shape": 4},
    spaces.Continuous: {"shape": 4},
    spaces.OneHot: {"counts": (3, 2)},
    spaces.Integers: {"shape": 1, "low": (0,), "high": (9,), "shift": (4.5,), "scale": (2.0,)},
    spaces.PiecewiseLinear: {"shape": 1, "at": ((0.0, 1.0),), "to": ((-1.0, 1.0),)},
    spaces.Table: {"columns": ()},
    YeoJohnson: {"shape": 4},
    GaussianKernel: {"schedule": SCHEDULE},
    BinomialKernel: {"schedule": SCHEDULE},
    CategoricalKernel: {"schedule": SCHEDULE, "sizes": (3, 2)},
    ProductKernel: {"parts": (GAUSSIAN,), "widths": (1,)},
    schedules.linear: {"steps": 10},
    schedules.quadratic: {"steps": 10},
    schedules.cosine: {"steps": 10},
    schedules.erase_evenly: {"steps": 10},
    schedules.linear_log_snr: {"steps": 10},
    schedules.custom: {"alpha_bar": (0.9, 0.5)},
    schedules.from_log_snr: {"log_snr": (3.0, -3.0)},
    schedules.learned: {"log_snr": (3.0, 0.0, -3.0)},
    heads.Levels: {},
    heads.Clean: {},
    heads.Noise: {},
    heads.Velocity: {},
    heads.Mean: {},
    heads.Natural: {},
    heads.Equilibrium: {},
    heads.Clipped: {"inner": heads.Noise()},
    heads.Exact: {"inner": heads.Levels()},
    heads.Spread: {"inner": heads.Clean(), "variance": variances.FixedLarge()},
    heads.ProductHead: {"parts": (heads.Clean(),)},
    variances.Analytic: {"times": (1, 5), "table": ((0.1,), (0.2,))},
    qs.Diffusion: {
        "space": spaces.Continuous(4),
        "kernel": GAUSSIAN,
        "head": heads.Clean(),
        "network": MLP(4, 8, 1),
    },
}
"""Arguments with which each can be built, to which one wrong argument is put."""

SIZE = (0, -1, 2.5, NAN, "3", True, None)
SHAPE = ((), 0, -1, 2.5, "3", (3, 0), (NAN,), None)
SHARE = (-0.1, 1.0, NAN, "0", None)
TENSOR_OF = ("x", (1.0, "x"), ((1.0,), (1.0, 2.0)), object())
NOT_A_PART = (None, 3, "cosine", heads.Clean)

CODER: dict[str, tuple[object, ...]] = {
    **{"shape": ((3, 7, 8), (8,), (0,)), "channels": SIZE, "blocks": SIZE, "groups": (*SIZE, 3)},
    **{"widths": ((0,), (1.5,), (), ("1",)), "down_attention": ((2,), (-1,), (0.5,), None)},
    **{"up_attention": ((2,), None), "activation": ("tanh", None), "scaling": (0, -1.0, NAN, "1")},
    **{"shift": (NAN, INF, "0"), "decoder_scale": (0, -1.0, NAN, "x", (0.1, 0.2), (0.1, 0.2, 0))},
}

WRONG = {
    networks.DiffusersAutoencoder: CODER,
    networks.DiffusersVQ: {
        **CODER,
        **{"codes": SIZE, "code_width": (0, 2.5, NAN, "3"), "encoder_scale": (0, -1.0, NAN, "1")},
    },
    networks.NoiseScaled: {"network": (3, None), "steps": SIZE, "deviation": (0, -1.0, NAN, "1")},
    networks.DiffusersDiT: {
        **{"shape": ((2, 5, 4), (2, 5, 5)), "steps": SIZE, "width": (0, 13, 2.5), "depth": SIZE},
        **{"patch": (0, 3, 1.5), "outputs": SIZE},
    },
    networks.Autoencoder: {
        **{"shape": ((3, 7, 8), (0,)), "channels": SIZE, "down": (3, 0, 2.5), "width": SIZE},
        "blocks": (-1, 2.5, NAN),
    },
    networks.FlowMapNetwork: {
        **{"denoiser": (3, None), "flow_map": (3, MLP(3, 8, 1)), "times": ((), (3, 6, 9))},
        "shortest": (0, 3, 2.5),
    },
    spaces.Latent: {"autoencoder": (3, MLP(4, 8, 1)), "raw": (3, spaces.Quantized((5, 4), 17))},
    heads.Preconditioned: {"deviation": (0, -1.0, NAN, "1")},
    schedules.karras: {
        **{"steps": (1, 0, 2.5, NAN), "lowest": (0, -1.0, NAN, 100.0)},
        **{"highest": (0.001, NAN, INF), "rho": (0, -1.0, NAN)},
    },
    MLP: {
        "shape": SHAPE[1:],
        "width": SIZE,
        "outputs": SIZE,
        "depth": SIZE[1:],
        "octaves": SIZE[1:],
        "detail": SIZE[1:],
        "dropout": SHARE,
    },
    DiffusersUNet: {
        "shape": (*SHAPE[1:], (4,), (5, 4)),
        "steps": SIZE,
        "widths": ((0,), (1.5,), (), ("1",), (6, 8)),
        "blocks": SIZE,
        "down_attention": ((2,), (-1,), (0.5,), "x", None),
        "up_attention": ((2,), (-1,), (0.5,), "x", None),
        "down_residual": ((2,), None),
        "up_residual": ((2,), None),
        "head_width": (0, 2.5, NAN, "3", 16),
        "outputs": SIZE,
        "groups": (*SIZE, 3),
        "epsilon": (-1.0, NAN, "1"),
        "padding": (2, -1, 0.5, "1"),
        "middle_groups": (0, 2.5, "3", 3),
        "middle_scale": (0, NAN, "1"),
        "time_width": (0, 2.5, "3"),
        "frequency_shift": (-1, 4, NAN, "1"),
        "activation": ("tanh", None, 3),
        "dropout": (1, -0.1, NAN, "0.5"),
        "heads": (0, 2.5, "3", 3),
        "condition": (-1, 2.5, NAN, "3"),
    },
    UNet: {
        "shape": SHAPE[1:],
        "width": SIZE,
        "multiples": ((0,), (1.5,), (), ("1",)),
        "blocks": SIZE,
        "heads": SIZE,
        "outputs": SIZE,
        "dropout": SHARE,
        "attention": ((9,), (-1,)),
        "patch": (0, -1),
        "axes": (0, 5),
    },
    Multiscale: {
        "shape": SHAPE[1:],
        "width": SIZE,
        "depth": SIZE[1:],
        "scales": (0, 9),
        "kernel": (0, 2, -1, 2.5, NAN, None),
        "dense": ((0,), ("1",), (NAN,)),
        "local": ((0,), ("1",)),
        "dense_features": SIZE,
        "bumps": SIZE,
        "outputs": SIZE,
        "axes": (0, 5),
    },
    RBF: {
        "shape": SHAPE[1:],
        "hidden": SIZE,
        "steps": SIZE,
        "outputs": SIZE,
        "reach": (0, -1.0, NAN, INF, "1", None),
    },
    Padded: {"shape": ((5,), (3, 3), (0,)), "network": (None, 3, nn.Linear(4, 4))},
    spaces.Binary: {"shape": SHAPE},
    spaces.Quantized: {
        "shape": SHAPE,
        "count": (1, 2**40, *SIZE),
        "spread": (0, -1.0, NAN, INF, "1"),
    },
    spaces.Dequantized: {"shape": SHAPE, "count": (1, *SIZE), "spread": (0, -1.0, NAN, INF, "1")},
    spaces.Continuous: {
        "shape": SHAPE,
        "shift": (NAN, INF, (1.0, 2.0), *TENSOR_OF),
        "scale": (0.0, -1.0, NAN, INF, (1.0, 2.0), *TENSOR_OF),
    },
    spaces.OneHot: {"counts": ((), (1,), (2.5,), ("3",), None), "lowest": ((1, 2, 3), 0.5, "0")},
    spaces.Integers: {
        "shape": SHAPE,
        "low": ((9,), (0.5,), (NAN,), (0, 0)),
        "high": ((0,), (INF,), ("9",)),
        "shift": ((NAN,), ("0",), (0.0, 1.0)),
        "scale": ((0.0,), (-1.0,), (NAN,), (INF,)),
    },
    spaces.PiecewiseLinear: {
        "shape": SHAPE,
        "at": (((1.0, 0.0),), ((0.0,),), ((0.0, NAN),), (("a", "b"),), ()),
        "to": (((1.0, 1.0),), ((0.0, 1.0, 2.0),), ((0.0, INF),)),
    },
    spaces.Table: {"columns": ((), (3,), ("name",))},
    YeoJohnson: {"shape": SHAPE, "power": (-0.1, 2.1, NAN, "1"), "scale": (0.0, NAN, "1")},
    GaussianKernel: {"schedule": NOT_A_PART},
    BinomialKernel: {"schedule": NOT_A_PART, "mean": (0, 1, -0.1, NAN, "0.5", (0.5, 1.0))},
    CategoricalKernel: {
        "schedule": NOT_A_PART,
        "sizes": ((), (1,), (2.5,), ("3",)),
        "stationary": ((1.0,), (NAN,) * 5, ("a",) * 5, (0.5,) * 5, 0.5),
    },
    ProductKernel: {
        "parts": ((), (3,), (GAUSSIAN, GAUSSIAN)),
        "widths": ((), (0,), (2.5,), (1, 1)),
    },
    schedules.linear: {
        "steps": (1, 10**8, *SIZE),
        "first": (0, NAN, "1"),
        "last": (1.5, NAN, None),
    },
    schedules.quadratic: {"steps": (1, *SIZE), "first": (0, NAN, "1"), "last": (1.5, NAN, None)},
    schedules.cosine: {"steps": (1, *SIZE), "offset": (-1, NAN, "1"), "largest": (0, 1.1, NAN)},
    schedules.erase_evenly: {"steps": (1, 10**8, *SIZE)},
    schedules.linear_log_snr: {"steps": (1, *SIZE), "first": (-8, NAN, INF), "last": (8, "1", INF)},
    schedules.custom: {"alpha_bar": ((0.5, 0.9), (1.1, 0.2), ((0.9, 0.5),), (NAN, 0.1), "x", 0.5)},
    schedules.from_log_snr: {"log_snr": ((0.0, 1.0), (INF, 0.0), (NAN, 0.0), "x", ((1.0, 0.0),))},
    schedules.learned: {"log_snr": ((0.0, 1.0), (INF, 0.0), "x")},
    heads.Levels: {"mixtures": (-1, 2.5, NAN, "3", None)},
    **{
        head: {"variance": (None, "small", variances.FixedSmall, 0.5)}
        for head in (
            heads.Clean,
            heads.Noise,
            heads.Velocity,
            heads.Mean,
            heads.Natural,
            heads.Equilibrium,
        )
    },
    heads.Clipped: {"inner": (None, heads.Noise, heads.Levels()), "largest": (0, -1, NAN, "1")},
    heads.Exact: {"inner": (None, heads.Levels, "Levels")},
    heads.Spread: {"inner": (None, heads.Mean()), "variance": (None, 0.5)},
    heads.ProductHead: {"parts": ((None,), ("Clean",), (heads.Clean,))},
    variances.Analytic: {
        "times": ((1,), (5, 1), (NAN, 2), "x"),
        "table": ((), ((0.1,),), ((-0.1,), (0.2,)), ((NAN,), (0.2,)), "x"),
    },
    qs.Diffusion: {
        "space": (None, spaces.Binary, "Binary", spaces.OneHot((3,))),
        "kernel": (None, GaussianKernel, SCHEDULE, BinomialKernel(SCHEDULE)),
        "head": (None, heads.Clean, "Clean", heads.Levels()),
        "network": (
            None,
            MLP,
            3,
            MLP(5, 8, 1),
            MLP(4, 8, 1, outputs=2),
            nn.Linear(3, 3),
            Silent(2),
        ),
    },
}

CASES = [
    (build, name, value)
    for build, arguments in WRONG.items()
    for name, values in arguments.items()
    for value in values
]

BENEATH = re.compile(
    r"mat1 and mat2(?!.*build it)|not supported between|unsupported operand|Expected object|"
    r"object is not iterable|must be real number, not|Trying to create tensor|out of range \(",
    re.S,
)


@pytest.mark.parametrize("build", WRONG, ids=lambda build: build.__name__)
def test_a_wrong_argument_is_an_error_that_says_what_it_got(build):
    for name, value in [(name, value) for each, name, value in CASES if each is build]:
        with pytest.raises((TypeError, ValueError)) as refused:
            build(**(RIGHT[build] | {name: value}))
        said = f"{name}={value!r}: {refused.value}"
        assert not BENEATH.search(said), said
        assert refused.traceback[-1].path.name != "functional.py", said
        assert "quasistatic" in str(refused.traceback[-1].path), said
        assert len(str(refused.value)) > 25, said


def test_the_arguments_they_are_put_to_are_right():
    for build, arguments in RIGHT.items():
        if build is not spaces.Table:
            build(**arguments)


def test_every_constructor_has_its_wrong_arguments():
    """A part that joins the library joins this table."""
    rooms = (spaces, kernels, heads, variances, networks, schedules)
    parts = {getattr(room, name) for room in rooms for name in room.__all__}
    built = {
        part
        for part in parts
        if (inspect.isclass(part) and not inspect.isabstract(part) and dataclasses.fields(part))
        or (inspect.isfunction(part))
    }
    others = {
        heads.Classes,
        heads.Corrected,
        heads.CorrectedClasses,
        heads.CorrectedLevels,
        schedules.Schedule,
        heads.WithVariance,
    }
    closed_forms = {  # their shapes come from a law: tests/networks
        each for each in built if each.__name__.endswith(("Denoiser", "SpectralResidual"))
    }
    elsewhere = {each for each in built if each.__name__ == "DiT"}  # tests/networks/test_dit.py
    assert built - others - closed_forms - elsewhere <= set(WRONG), built - set(WRONG)


# A network of a file is compared with its weights before it takes memory.

NETWORKS = [
    MLP(4, 8, 1, detail=1, holes=True),
    UNet((4, 4), 8, (1, 2), 1, framed=True),
    Multiscale((6, 6), dense=(4,), scales=2, depth=1),
    RBF(4, 3, 5),
    Padded((3,), MLP(4, 8, 1)),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_a_network_fits_its_own_weights_and_no_others(network):
    def build(**changed):
        return serialization.build(serialization.describe(network) | changed, qs.diffusion.KNOWN)

    weights = network.state_dict()
    require_weights(build, weights, (4,))
    some = next(iter(weights))
    for other in (
        {k: v for k, v in weights.items() if k != some},
        weights | {"another": torch.zeros(1)},
        weights | {some: torch.zeros(1, 2, 3)},
    ):
        with pytest.raises(
            ValueError, match=re.escape(some if "another" not in other else "another")
        ):
            require_weights(build, other, (4,))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("network.width", 20_000, "should have shape"),
        ("network.depth", 10**6, "a network of more than"),
        ("network.octaves", 10**7, "should have shape"),
        ("network.detail", 10**8, "should have shape"),
        ("network.outputs", 10**9, "should have shape"),
        ("network.shape", [10**9], "should have shape"),
        ("space.shape", [10**9], "more than [0-9,]+ values"),
        ("kernel.schedule.arguments.steps", 10**8, "from 2 to 1,000,000"),
    ],
)
def test_a_folder_that_describes_a_huge_model_is_refused_before_it_takes_memory(
    path, value, says, tmp_path, monkeypatch
):
    kernel = BinomialKernel(schedules.erase_evenly(20))
    qs.Diffusion(qs.Binary(6), kernel, qs.Clean(), MLP(6, width=8)).save(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    inner = stored["model"]
    *folders, last = path.split(".")
    for name in folders:
        inner = inner[name]
    inner[last] = value
    (tmp_path / "config.json").write_text(json.dumps(stored))

    def no_memory(self, *arguments, **others):
        raise AssertionError("a model was built")

    monkeypatch.setattr(qs.Diffusion, "__init__", no_memory)
    with pytest.raises(ValueError, match=says):
        qs.load(tmp_path)


@pytest.mark.parametrize("wrong", [None, 3, (), {}, math.nan])
def test_a_folder_that_is_no_path_is_named(wrong):
    for call in (qs.load, qs.open):
        with pytest.raises(TypeError, match="must be a path or a name, got"):
            call(wrong)
    with pytest.raises(ValueError, match="there is no pretrained model"):
        qs.load_pretrained(wrong)


@pytest.mark.parametrize("wrong", [{}, object(), "3", [[]], 1e400])
def test_times_that_are_no_times_are_named(wrong):
    model = qs.load_pretrained("digits")
    with pytest.raises((TypeError, ValueError), match="times"):
        model.times(wrong)


def test_a_posterior_needs_a_factor_and_a_number_of_draws():
    model = qs.load_pretrained("digits")
    for wrong in (None, 3, "x", object()):
        with pytest.raises(TypeError, match="factor must be a Factor such as Observed"):
            model.posterior(wrong)
    x = torch.zeros(1, 64)
    for wrong in (0, 1.5, INF, None):
        with pytest.raises((TypeError, ValueError), match="draws must be a whole number"):
            model.complete(x, x < 1, wrong, 3, 0)
    for name in ("steps", "batch", "evaluations"):
        with pytest.raises(ValueError, match=f"{name} must be a finite number"):
            qs.Fit(**{name: INF})


def test_numbers_that_nothing_holds_are_named():
    """Each was once an error of PyTorch's or NumPy's."""
    model = qs.Diffusion(spaces.Continuous(3), GAUSSIAN, qs.Velocity(), MLP(3, 8, 1))
    x = torch.zeros(2, 3)
    made = model.complete(x, x > 0, 2, 3, rng=0, method=qs.SMC(2))
    wrong = {
        "width must be a whole number": lambda: MLP(3, 10**30),
        "q must be from 0 to 1": lambda: made.quantile(1.5),
        "q must be from 0 to 1, got nan": lambda: made.quantile(NAN),
        "valid must be a number in": lambda: qs.data.split(np.zeros((20, 2)), INF),
        "f cannot be built from .* division by zero": lambda: serialization.build(
            {"is": "f", "n": 0}, {"f": lambda n: 1 / n}
        ),
        r"x must have shape \(examples, 3\), got \(\)": lambda: model.compress(1.5),
    }
    for message, call in wrong.items():
        with pytest.raises(ValueError, match=message):
            call()
    assert MLP(np.array(3), 8, 1).shape == spaces.Binary(torch.tensor(3)).shape == (3,)
    table = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    scores = [qs.DiffusionDensity().fit(x).score_samples(x) for x in (table, table.detach())]
    assert np.array_equal(*scores)
