"""Weighted paths, the sandwich and the probability flow against distributions that are known."""

import itertools
import math
import warnings

import pytest
import torch

from conftest import KERNELS, Wrong, assert_mean, close, random_data
from quasistatic.diagnostics.oracles import (
    GaussianOracle,
    HeartbeatOracle,
    MixtureOracle,
    SwissRollOracle,
)
from quasistatic.heads import Clean, Levels, Velocity
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound, flow, importance, sandwich
from quasistatic.likelihood.path_weights import forward_weight, reverse_weight
from quasistatic.model import Model
from quasistatic.spaces import Binary, Continuous, Dequantized, Quantized
from quasistatic.spaces.space import Encoded

MIXTURE = MixtureOracle((0.3, 0.7), ((-1.5, 0.5), (1.0, -0.5)), (0.1, 0.3))


def fine(steps: int) -> GaussianKernel:
    return GaussianKernel(schedules.linear_log_snr(steps, 13, -10))


def wrong(name: str) -> tuple[Model, object]:
    """A model of three values whose network is wrong, and the kernel's own kind of data."""
    kernel = KERNELS[name]
    space = Binary(3) if kernel.binary else Continuous(3)
    return Model(space, kernel, Clean(FixedLarge()), Wrong()), kernel


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("times", [None, 5])
def test_a_path_s_weight_is_the_bound_in_the_mean(name, times, rng):
    """For a wrong network too, term by term: one path is one draw of every term."""
    model, kernel = wrong(name)
    x = random_data(kernel, 4000, rng)
    grid = model.times(times)
    weight, score = (
        forward_weight(model, Encoded(x, {}), grid, rng),
        bound(model, x, None, times, rng),
    )
    for term in ("prior", "transitions", "edge"):
        assert_mean(getattr(weight, term) - score.terms[term], 0.0)


@pytest.mark.parametrize("name", ["gaussian", "gaussian-log-snr"])
def test_paths_of_an_exact_gaussian_chain_all_weigh_the_truth(name, rng):
    """Forward and backward the law of a path is the same: each weight is p(x) but for the two
    ends, without any spread from the steps between."""
    kernel = KERNELS[name]
    oracle = GaussianOracle((0.0, 0.0), 1.0)
    model, x = Model(**oracle.parts(kernel)), oracle.sample(50, rng)
    weight = forward_weight(model, Encoded(x, {}), model.times(), rng).log
    assert close(weight, oracle.log_prob(x), 1e-9)
    _, drawn, back = reverse_weight(model, 50, model.times(), rng)
    assert close(back.log, oracle.log_prob(drawn), 1e-9)


def test_the_mean_weight_is_the_probability_of_a_few_bits(rng):
    """Enumerated: over all raw data the mean weights of a wrong model sum to one, and each is the
    frequency with which the model draws that."""
    model = Model(Binary(3), BinomialKernel(schedules.erase_evenly(4)), Clean(), Wrong())
    all_bits = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    score = importance(model, all_bits, 4000, rng=rng)
    p = score.nats.exp()
    assert abs(p.sum().item() - 1) < 4 * (p * score.noise).square().sum().sqrt()
    _, x_0, _ = reverse_weight(model, 20_000, model.times(), rng)
    seen = (x_0[:, None] == all_bits).all(-1).double()
    error = (p * score.noise).square() + p * (1 - p) / len(x_0)
    assert ((seen.mean(0) - p).abs() < 4.5 * error.sqrt()).all()


@pytest.mark.parametrize("oracle", ["mixture", "roll", "heartbeat"])
def test_bound_importance_and_truth_are_in_order(oracle, rng):
    """K <= weighted with 1, 4, 16, 64 paths, rising, <= log p, on a chain whose steps are long
    enough to lose something."""
    law, kernel = {
        "mixture": (MIXTURE, GaussianKernel(schedules.linear_log_snr(8, 6, -6))),
        "roll": (SwissRollOracle(0.35), GaussianKernel(schedules.linear_log_snr(4, 6, -5))),
        "heartbeat": (HeartbeatOracle(10, 5), BinomialKernel(schedules.erase_evenly(8))),
    }[oracle]
    model, x = Model(**law.parts(kernel)), law.sample(400, rng)
    truth = law.log_prob(x)
    means = [bound(model, x, rng=rng).nats] + [
        importance(model, x, paths, rng=rng).nats for paths in (1, 4, 16, 64)
    ]
    gaps = [(truth - each).mean().item() for each in means]
    errors = [((truth - each).std() / len(x) ** 0.5).item() for each in means]
    assert abs(gaps[0] - gaps[1]) < 4 * (errors[0] + errors[1])  # one path is one draw of K
    for before, after, error in zip(gaps[1:], gaps[2:], errors[1:], strict=False):
        assert after < before + 2 * error
    assert gaps[-1] > -4 * errors[-1]
    gain = means[-1] - means[1]
    assert gain.mean() > 2.5 * gain.std() / len(x) ** 0.5  # there was something to gain


def test_reweighting_is_what_the_score_has_over_its_terms(rng):
    model, x = Model(**MIXTURE.parts(fine(10))), MIXTURE.sample(20, rng)
    score = importance(model, x, 8, rng=rng)
    assert (score.terms["reweighting"] >= 0).all()
    assert close(score.nats, score.log_weights.logsumexp(1) - math.log(8))
    assert ((score.effective_paths >= 1) & (score.effective_paths <= 8)).all()
    assert score.evaluations == 8 * 9
    assert importance(model, x, 1, rng=rng).noise.isnan().all()


def test_the_noise_of_importance_is_what_repeats_show(rng):
    model, x = Model(**MIXTURE.parts(fine(12))), MIXTURE.sample(1, rng)
    many = importance(model, x.expand(400, -1), 64, rng=rng)
    assert 0.7 < many.nats.std() / many.noise.square().mean().sqrt() < 1.4


@pytest.mark.parametrize("paths", [1, 8])
@pytest.mark.parametrize(
    ("space", "head"),
    [
        (Continuous(3), Velocity(FixedLarge())),
        (Quantized(3, 4), Levels()),
        (Quantized(3, 4), Velocity(FixedLarge())),
        (Dequantized(3, 4), Velocity(FixedLarge())),
        (Binary(3), Levels()),
    ],
    ids=["continuous", "levels", "decoder", "dequantised", "bits"],
)
def test_the_sandwich_is_one_for_a_wrong_model(space, head, paths, rng):
    """Jarzynski from each end, by any network: the lower mean is below the upper."""
    model = Model(
        space, KERNELS["gaussian"], head, Wrong(head.bind(space, KERNELS["gaussian"]).outputs)
    )
    found = sandwich(model, 400, paths, rng=rng)
    assert found.gap.mean() > -3 * found.stderr()
    assert found.upper.isfinite().all()
    low, high = found.bits_per_dim
    assert low <= high + 3 * found.stderr() / 3 / math.log(2)


def test_the_sandwich_closes_on_the_truth(rng):
    """On a Gaussian mixture: by more steps and by more paths, to 0.01 nats."""
    gaps = {}
    for steps, paths in ((25, 1), (25, 16), (400, 16)):
        model = Model(**MIXTURE.parts(fine(steps)))
        found = sandwich(model, 400, paths, rng=rng)
        gaps[steps, paths] = found.gap.mean().item()
    assert gaps[25, 1] > 3 * gaps[25, 16] > 3 * gaps[400, 16]
    assert abs(gaps[400, 16]) < 0.01
    truth = MIXTURE.log_prob(found.drawn)
    for side in (found.lower, found.upper):
        assert_mean(side - truth, 0.0, slack=0.005)


def test_the_flow_is_the_exact_density_of_gaussian_data(rng):
    oracle = GaussianOracle((0.5, -1.0), (0.3, 1.8))
    model, x = Model(**oracle.parts(fine(400))), oracle.sample(100, rng)
    score = flow(model, x, probes=None, rng=rng)
    # What is left is the draw of x_1, and the ends of the schedule.
    assert_mean(score.nats - oracle.log_prob(x), 0.0, slack=1e-3)
    assert (score.nats - oracle.log_prob(x)).abs().max() < 0.05


def test_the_flow_of_a_mixture_is_its_density_to_a_thousandth(rng):
    model, x = Model(**MIXTURE.parts(fine(500))), MIXTURE.sample(300, rng)
    truth = MIXTURE.log_prob(x)
    assert_mean(flow(model, x, probes=None, rng=rng).nats - truth, 0.0, slack=1e-3)


def test_the_flow_s_steps_are_of_order_two(rng):
    """Half the step, a quarter of the error: from a finely stepped flow, with the same x_1."""
    model, x = Model(**MIXTURE.parts(fine(641))), MIXTURE.sample(60, rng)

    def scored(count: int) -> torch.Tensor:
        return flow(model, x, count, None, rng=torch.Generator().manual_seed(3)).nats

    exact = scored(641)
    errors = [(scored(n) - exact).abs().mean().item() for n in (41, 81, 161)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert all(1.6 < order < 2.8 for order in orders), orders


def test_hutchinson_s_probes_are_unbiased(rng):
    model, x = Model(**MIXTURE.parts(fine(60))), MIXTURE.sample(1, rng).expand(4000, -1)
    exact = flow(model, x[:1].expand(1000, -1), probes=None, rng=rng)
    probed = flow(model, x, probes=1, rng=rng)
    error = (exact.nats.var() / 1000 + probed.nats.var() / 4000).sqrt()
    assert abs(exact.nats.mean() - probed.nats.mean()) < 4 * error
    assert probed.nats.std() > 2 * exact.nats.std()  # a probe's noise is there to be averaged


def test_the_flow_serves_levels_and_a_schedule_without_signal_at_its_end(rng):
    """Uniform levels, of which a silent network has the exact belief: log p is -log 4 a value."""
    space = Quantized(2, 4, spread=1.5)
    for schedule in (schedules.linear_log_snr(300, 8, -8), schedules.erase_evenly(300)):
        model = Model(space, GaussianKernel(schedule), Levels(), _Flat())
        raw = torch.randint(4, (200, 2), generator=rng)
        score = flow(model, raw, probes=None, draws=4, rng=rng)
        assert_mean(score.nats, -2 * math.log(4), slack=0.02)


class _Flat(torch.nn.Module):
    def forward(self, x, t):
        return (0 * x)[..., None].expand(*x.shape, 4)


def test_requests_that_cannot_be_served_say_so(rng):
    bits, x = Model(Binary(3), KERNELS["bits"], Clean(), Wrong()), torch.zeros(2, 3)
    with pytest.raises(TypeError, match=r"probability flow needs .* BinomialKernel: score by the"):
        flow(bits, x)
    real, _ = wrong("gaussian")
    with pytest.raises(ValueError, match="2 to T = 40 times, got 1"):
        flow(real, x, 1)
    with pytest.raises(ValueError, match="probes must be 1 or more, got 0"):
        flow(real, x, probes=0)
    with pytest.raises(ValueError, match="at least one path, got 0"):
        importance(real, x, 0)
    with pytest.raises(ValueError, match="n = 0 and paths = 1"):
        sandwich(real, 0)


def test_nothing_is_left_in_another_mode(rng):
    model, _ = wrong("gaussian")
    x = torch.zeros(2, 3)
    for training in (True, False):
        model.train(training)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            importance(model, x, 2, rng=rng)
            sandwich(model, 2, rng=rng)
            flow(model, x, 4, rng=rng)
        assert model.training is training
