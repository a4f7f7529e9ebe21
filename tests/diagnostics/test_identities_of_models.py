"""A sound model keeps every identity; one that is broken in one way fails that one row."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from conftest import Silent
from quasistatic import networks
from quasistatic.diagnostics.identities import Report, Row, check
from quasistatic.diagnostics.oracles import HeartbeatOracle, MixtureOracle
from quasistatic.diffusion import Diffusion
from quasistatic.heads import Clean, Levels, Natural, Noise, Velocity
from quasistatic.heads.variances import FixedLarge, Interpolated, Sigmoid
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.spaces import Binary, Continuous, Dequantized, Quantized

LINE = GaussianKernel(schedules.linear_log_snr(12, 6, -6))
BITS = BinomialKernel(schedules.cosine(12), 0.3)


def mlp(outputs: int = 1, **more) -> nn.Module:
    torch.manual_seed(3)
    network = networks.MLP(3, width=8, depth=1, outputs=outputs, **more)
    for parameter in network.parameters():  # the last layer starts at zero, and says nothing
        nn.init.normal_(parameter, std=0.3)
    return network


def plain(network: nn.Module | None = None, space=None, head=None) -> Diffusion:
    head = head or Velocity(FixedLarge())
    return Diffusion(space or Continuous(3), LINE, head, mlp() if network is None else network)


SOUND = {
    "velocity": lambda: plain(),
    "dropout": lambda: plain(mlp(dropout=0.5)),
    "scaled": lambda: plain(space=Continuous(3, shift=(5.0, 0.0, -900.0), scale=(0.1, 1.0, 40.0))),
    "noise, learned width": lambda: plain(mlp(2), head=Noise(Interpolated())),
    "neighbours": lambda: plain(mlp(2), head=Natural(Sigmoid())),
    "dequantised": lambda: plain(space=Dequantized(3, 5)),
    "levels": lambda: plain(mlp(5), Quantized(3, 5), Levels()),
    "discretised": lambda: plain(mlp(), Quantized(3, 5), Velocity(FixedLarge())),
    "bits": lambda: Diffusion(Binary(3), BITS, Clean(), mlp()),
    "bits by levels": lambda: Diffusion(Binary(3), BITS, Levels(), mlp(2)),
    "bits on the line": lambda: plain(mlp(2), Binary(3), Levels()),
}


def data(model: Diffusion, n: int = 20) -> torch.Tensor:
    """Raw data that the space holds; no model here has seen any."""
    rng = torch.Generator().manual_seed(5)
    if model.space.levels is None and not isinstance(model.space, Dequantized):
        return model.space.decode(torch.randn(n, 3, generator=rng))
    return torch.randint(0, 2, (n, 3), generator=rng).double()


def names(rows) -> set[str]:
    return {row.name for row in rows}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_keeps_every_identity(name):
    model = SOUND[name]()
    report = check(model, data(model))
    skipped = names(row for row in report.rows if row.skipped)
    assert report.passed, str(report)
    assert skipped == ({"noise"} if name == "dequantised" else set())


@pytest.mark.parametrize("name", ["velocity", "bits"])
def test_in_float32_as_users_run_it(name, float32):
    model = SOUND[name]()
    report = check(model, data(model).float())
    assert report.passed, str(report)
    assert not any(row.skipped for row in report.rows)


@pytest.mark.parametrize(
    ("oracle", "kernel"),
    [(MixtureOracle((0.4, 0.6), (-1.0, 1.0), (0.1, 0.2)), LINE), (HeartbeatOracle(6, 3), BITS)],
    ids=["mixture", "heartbeat"],
)
def test_an_oracle_keeps_them_and_cannot_be_saved(oracle, kernel, rng):
    report = check(Diffusion(**oracle.parts(kernel)), oracle.sample(30, rng))
    assert report.passed, str(report)
    assert names(row for row in report.rows if row.skipped) == {"save and load"}
    assert "class of your own" in report["save and load"].note


class Coupled(nn.Module):
    """Each example is measured against the mean of its batch, as batch norm does in training."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x, time):
        return self.inner(x - x.mean(0), time)


class Ordered(Coupled):
    """Looks at the example before it."""

    def forward(self, x, time):
        return self.inner(x, time) + 0.1 * x.roll(1, 0)[..., None]


class Restless(Coupled):
    """Draws noise in evaluation mode, too."""

    def forward(self, x, time):
        return nn.functional.dropout(self.inner(x, time), 0.2, training=True)


class Bursting(Coupled):
    """Divides by nothing at t = 7."""

    def forward(self, x, time):
        at = (time * LINE.steps).round()
        return (
            self.inner(x, time)
            / torch.where(at == 7, math.inf, 1.0)[:, None, None]
            * (torch.where(at == 7, math.inf, 1.0)[:, None, None])
        )


class Resting(Diffusion):
    """Scores, and stays in evaluation mode."""

    def score(self, *args, **more):
        self.eval()
        return super().score(*args, **more)


class Clumsy(Coupled):
    """Drops the axis of a batch of one."""

    def forward(self, x, time):
        return self.inner(x, time).squeeze(0)


@dataclass(frozen=True)
class Drifting(Continuous):
    """Its way back is not the way there."""

    def decode(self, x_0):
        return super().decode(x_0) + 0.1


@dataclass(frozen=True)
class Forgetful(Continuous):
    """Leaves the volume out."""

    def log_prob(self, p, x_0):
        return p.log_prob(x_0)


@dataclass(frozen=True)
class Leaky(GaussianKernel):
    """Its steps do not add up: a deviation stands for a variance."""

    def step(self, x_s, s, t):
        exact = super().step(x_s, s, t)
        return type(exact)(exact.loc, exact.variance.sqrt())


@dataclass(frozen=True)
class Plugged(GaussianKernel):
    """A posterior that is not Bayes'."""

    def posterior(self, x_t, x_0, s, t):
        exact = super().posterior(x_t, x_0, s, t)
        return type(exact)(exact.loc, 1.2 * exact.variance)

    def bridge(self, x_t, belief, s, t):
        return self.widen(super().posterior(x_t, belief.mean, s, t), belief.variance, s, t)

    def divergence(self, x_t, x_0, belief, s, t):
        return self.posterior(x_t, x_0, s, t).kl(self.bridge(x_t, belief, s, t))


@dataclass(frozen=True)
class Doubled(Velocity):
    """Says twice its divergence: a bound still, and not its own."""

    def divergence(self, kernel, output, x_t, x_0, s, t):
        return 2 * super().divergence(kernel, output, x_t, x_0, s, t)


def with_kernel(kernel) -> Diffusion:
    return Diffusion(Continuous(3), kernel(LINE.schedule), Velocity(FixedLarge()), mlp())


BROKEN = {
    "batch coupling": (lambda: plain(Coupled(mlp())), "rows apart"),
    "order of the batch": (lambda: plain(Ordered(mlp())), "rows apart"),
    "random in evaluation": (lambda: plain(Restless(mlp())), "deterministic"),
    "not a number at a time": (lambda: plain(Bursting(mlp())), "finite outputs"),
    "a verb that leaves it at rest": (
        lambda: Resting(Continuous(3), LINE, Velocity(FixedLarge()), mlp()),
        "modes",
    ),
    "no batch of one": (lambda: plain(Clumsy(mlp())), "rows apart"),
    "no way back": (lambda: plain(space=Drifting(3)), "round trip"),
    "no volume": (lambda: plain(space=Forgetful(3, scale=4.0)), "units"),
    "steps that do not compose": (lambda: with_kernel(Leaky), "steps compose"),
    "no Bayes": (lambda: with_kernel(Plugged), "Bayes"),
    "twice its divergence": (lambda: plain(head=Doubled(FixedLarge())), "divergence"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_fails_the_row_that_names_it(name):
    """And no other, but that a step that is wrong breaks Bayes with it."""
    make, row = BROKEN[name]
    model = make()
    report = check(model, data(model))
    others = {"Bayes"} if name == "steps that do not compose" else set()
    assert names(report.failed) - others == {row}, str(report)
    assert not report.passed


def test_an_identity_that_needs_one_that_failed_is_skipped_and_says_so():
    model = plain(Bursting(mlp()))
    report = check(model, data(model))
    assert report["finite outputs"].error == 1
    assert report["finite outputs"].note == "first at t = 7"
    for name in ("deterministic", "rows apart", "divergence", "share of terms", "samples"):
        assert report[name].skipped
        assert report[name].note == "skipped: it needs 'finite outputs'"


def test_a_part_that_raises_fails_its_row_with_what_it_said():
    row = check(plain(Clumsy(mlp())), torch.zeros(4, 3))["rows apart"]
    assert row.failed
    assert math.isnan(row.error)
    assert "Error" in row.note


def test_a_bound_that_beats_noise_on_noise_is_none():
    """A head that claims a negative divergence scores above pi on draws from pi."""

    @dataclass(frozen=True)
    class Boasting(Velocity):
        def divergence(self, *args):
            return super().divergence(*args) - 1.0

    model = plain(Silent(), head=Boasting(FixedLarge()))
    assert names(check(model, data(model)).failed) == {"divergence", "noise"}


def test_a_model_is_left_as_it_was_and_so_is_the_generator():
    model = plain(mlp(dropout=0.5))
    parts = list(model.modules())
    for i, part in enumerate(parts):
        part.training = i % 2 == 0
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    weights = [each.clone() for each in model.parameters()]
    check(model, data(model))
    assert torch.equal(torch.rand(3), expected)
    assert [part.training for part in parts] == [i % 2 == 0 for i in range(len(parts))]
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_a_report_can_be_had_again():
    model = plain()
    assert check(model, data(model)) == check(model, data(model))


def test_a_full_sum_that_is_too_dear_is_skipped():
    model = plain(mlp(2), head=Natural(Sigmoid()))
    row = check(model, data(model), evaluations=100)["share of terms"]
    assert row.skipped
    assert "over 11 terms takes more than 100 evaluations" in row.note


def test_a_report_reads_as_a_table():
    rows = (
        Row("one", "a holds [for all]", 1e-9, 1e-6),
        Row("two", "b holds", 0.5, 1e-6, "first at t = 3"),
        Row("three", "c holds", None, None, "skipped: it needs 'two'"),
        Row("four", "d holds", math.nan, 1e-6),
    )
    text = str(Report(rows))
    assert "1 of 3 identities hold, 1 do not apply" in text
    for each in ("a holds [for all]", "1e-09", "FAIL", "first at t = 3", "skip", "not a number"):
        assert each in text
    assert names(Report(rows).failed) == {"two", "four"}
    assert max(map(len, text.splitlines())) <= 110


def test_data_of_another_space_are_refused_at_the_door():
    with pytest.raises(ValueError, match=r"\(examples, 3\), got \(2, 4\)"):
        check(plain(), torch.zeros(2, 4))
