"""What training makes small: its gradients, its units, and the models that it refuses."""

import math

import pytest
import torch
from torch import nn

import quasistatic as qs
from conftest import KERNELS, Silent, assert_mean, close
from quasistatic.distributions import total
from quasistatic.heads import Clean, Levels, Mean, Natural, Noise, Velocity
from quasistatic.heads.variances import FixedLarge, FixedSmall, Interpolated, Sigmoid
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.likelihood.terms import learned_term, stratified_terms, term_of, term_times
from quasistatic.model import Model
from quasistatic.spaces import Binary, Continuous, Quantized
from quasistatic.training.objectives import Bound, Hybrid, Simple

GAUSSIAN = GaussianKernel(schedules.linear_log_snr(12, 6, -6))
SPACES = [Continuous(3), Quantized(3, count=8)]
WIDTHS = [Interpolated(), Sigmoid()]
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda each: type(each).__name__)
every_width = pytest.mark.parametrize("variance", WIDTHS, ids=lambda each: type(each).__name__)


class Table(nn.Module):
    """An answer for each row of a batch, whatever is asked, and a count of how often it was."""

    def __init__(self, rows, outputs, rng):
        super().__init__()
        self.answer = nn.Parameter(torch.randn(rows, 3, outputs, generator=rng))
        self.asked = 0

    def forward(self, x, time):
        self.asked += 1
        return self.answer[: len(x)]


def chain(space, variance, rows, rng, head=Noise):
    head = head(variance)
    return Model(space, GAUSSIAN, head, Table(rows, head.outputs, rng))


def alike(space, variance, rows, rng):
    """A chain whose network says the same of every row."""
    model = chain(space, variance, rows, rng)
    model.network.answer.data = model.network.answer.data[:1].expand(rows, 3, 2).clone()
    return model


def draw(space, rows, rng):
    if space.levels is None:
        return torch.randn(rows, 3, generator=rng)
    return torch.randint(len(space.levels), (rows, 3), generator=rng).double()


def gradient(objective, model, raw, seed=5):
    """Of the summed loss, for each number that the network said, (rows, 3, outputs)."""
    loss = objective(model, raw, torch.Generator().manual_seed(seed))
    assert loss.shape == (len(raw),)
    return torch.autograd.grad(loss.sum(), model.network.answer)[0]


@every_space
@every_width
@pytest.mark.parametrize("head", [Noise, Clean, Velocity, Mean])
def test_the_mean_follows_simple_and_the_width_follows_the_bound(head, variance, space, rng):
    """The two gradients of Hybrid, row by row at the same times and noise: with respect to the
    mean's output Simple's, and to the variance's weight T times the term's, in bits."""
    rows, weight = 24, 0.37
    model, raw = chain(space, variance, rows, rng, head), draw(space, rows, rng)
    mean, width = gradient(Hybrid(weight), model, raw).unbind(-1)

    draws = torch.Generator().manual_seed(5)
    x_0 = space.encode(raw, draws)
    t = 1 + stratified_terms(rows, 12, 0, 1, draws)
    x_t = GAUSSIAN.marginal(x_0, t).sample(draws)
    output = model.network.answer
    simple = total(model.head.error(GAUSSIAN, output, x_t, x_0, t)).sum()
    assert close(mean, torch.autograd.grad(simple, output)[0][..., 0])
    term = term_of(model, output, x_0, x_t, t - 1, t).sum()
    by_term = torch.autograd.grad(term, output)[0]
    assert close(width, weight * 12 / math.log(2) * by_term[..., 1])
    assert by_term[..., 0].abs().max() > 1e-3  # which Hybrid leaves out
    decided = t > 1 - space.learns_last_step
    assert (width[decided] != 0).all()
    assert (width[~decided] == 0).all()


@every_space
def test_on_average_the_width_has_the_bound_s_own_gradient(space, rng):
    """Bound visits the learned terms, Hybrid all times: both weights make them the whole sum."""
    rows = 40_000
    model = alike(space, Interpolated(), rows, rng)
    raw = draw(space, 1, rng).expand(rows, 3)
    hybrid, whole = (gradient(each, model, raw)[..., 1] for each in (Hybrid(0.25), Bound()))
    assert_mean(hybrid - 0.25 / math.log(2) * whole.roll(7, 0), 0.0)
    assert hybrid.mean(0).abs().min() > 0


@every_space
@every_width
def test_hybrid_is_simple_and_the_bound_in_bits(variance, space, rng):
    """Its value: E of the squared error, and weight times E of the learned part of -K."""
    rows = 40_000
    model = alike(space, variance, rows, rng)
    raw = draw(space, 1, rng).expand(rows, 3)
    with torch.no_grad():
        loss = Hybrid(0.5)(model, raw, rng)
        x_0 = space.encode(raw)
        t = torch.randint(1, 13, (rows,), generator=rng)
        x_t = GAUSSIAN.marginal(x_0, t).sample(rng)
        error = total(model.head.error(GAUSSIAN, model.output(x_t, t), x_t, x_0, t))
    terms = bound(model, raw[:4000], rng=rng).terms
    learned = -terms["transitions"] - (terms["edge"] if space.learns_last_step else 0)
    expected = error.mean() + 0.5 * learned.mean() / math.log(2)
    slack = 5 * (0.5 * learned.std() / math.log(2) / 4000**0.5 + error.std() / rows**0.5)
    assert_mean(loss, expected.item(), slack.item())


@pytest.mark.parametrize("objective", [Hybrid(), Simple(), Bound()])
def test_one_evaluation_of_the_network_serves_an_objective(objective, rng):
    variance = FixedSmall() if isinstance(objective, Simple) else Interpolated()
    model = chain(SPACES[1], variance, 8, rng)
    model.network.asked = 0
    objective(model, draw(SPACES[1], 8, rng), rng)
    assert model.network.asked == 1


def test_a_term_of_the_last_step_is_nothing_where_the_space_fixes_it(rng):
    model = chain(SPACES[0], Interpolated(), 6, rng)
    x_0, t = torch.randn(6, 3, generator=rng), torch.tensor([1, 1, 2, 3, 7, 12])
    x_t = GAUSSIAN.marginal(x_0, t).sample(rng)
    output = model.network.answer
    term = term_of(model, output, x_0, x_t, t - 1, t)
    assert (term[:2] == 0).all()
    apart = [
        term_of(model, *(each[i : i + 1] for each in (output, x_0, x_t, t - 1, t)))
        for i in range(6)
    ]
    assert close(term, torch.cat(apart))
    assert (term[2:] > 0).all()


def test_a_term_is_as_precise_as_the_data_whatever_the_network_says_it_in(rng):
    """Under autocast a network answers in bfloat16, whose sums would keep two digits."""
    model, x_0 = chain(SPACES[1], Interpolated(), 8, rng), SPACES[1].encode(draw(SPACES[1], 8, rng))
    t = torch.arange(1, 9)
    x_t = GAUSSIAN.marginal(x_0, t).sample(rng)
    said = model.network.answer.detach().bfloat16()
    term = term_of(model, said, x_0, x_t, t - 1, t)
    assert term.dtype == x_0.dtype
    assert close(term, term_of(model, said.double(), x_0, x_t, t - 1, t), rtol=0.02)


def test_a_learned_width_finds_the_width_that_is_right(rng):
    """On N(0, v) data with the right mean, the best spread of x_0 is its posterior variance
    (1 + SNR v)^-1 v: the bound's gradient in z vanishes there, and so does Hybrid's."""
    v, t = 0.3, torch.full((200_000,), 7)
    snr = GAUSSIAN.schedule.log_snr[7].exp()
    right = v / (1 + snr * v)
    x_0 = v**0.5 * torch.randn(200_000, 1, generator=rng)
    x_t = GAUSSIAN.marginal(x_0, t).sample(rng)
    signal = GAUSSIAN.signal(t, x_t)
    clean = signal * v / (signal**2 * v + GAUSSIAN.noise(t, x_t) ** 2) * x_t
    ratio = (GAUSSIAN.schedule.log_noise[7] - GAUSSIAN.schedule.log_noise[6]).exp()
    drop = GAUSSIAN.snr_drop(t[:1] - 1, t[:1], x_t)[0, 0]
    share = torch.log1p(drop * right) / ratio.log()
    model = Model(Continuous(1), GAUSSIAN, Clean(Interpolated()), Silent(2))
    slopes = []
    for z in (share.logit() - 0.5, share.logit(), share.logit() + 0.5):
        z = z.expand_as(x_t).clone().requires_grad_()
        term = term_of(model, torch.stack([clean, z], -1), x_0, x_t, t - 1, t)
        slopes.append(torch.autograd.grad(term.sum(), z)[0])
    assert_mean(slopes[1], 0.0)
    assert slopes[0].mean() < -5 * slopes[0].std() / 200_000**0.5
    assert slopes[2].mean() > 5 * slopes[2].std() / 200_000**0.5


def test_a_network_trained_by_hybrid_is_narrower_where_it_is_sure(float32):
    """Data of two kinds, a constant and a spread value: the learned widths tell them apart."""
    x = torch.randn(2048, 2, generator=torch.Generator().manual_seed(0))
    x[:, 0] = 0.02 * x[:, 0] + 1
    kernel = GaussianKernel(schedules.linear_log_snr(6, 5, -5))
    network = qs.networks.MLP(2, width=32, outputs=2)
    model = Model(Continuous(2), kernel, Velocity(Interpolated()), network)
    run = qs.fit(model, x, objective=Hybrid(0.1), steps=150, lr=5e-3, validations=2, threads=1)
    t = torch.full((512,), 4)
    with torch.no_grad():
        x_t = kernel.marginal(x[:512], t).sample(torch.Generator().manual_seed(1))
        variance = model.head.denoise(kernel, model.output(x_t, t), x_t, t).variance.mean(0)
    assert variance[0] < 0.5 * variance[1]
    assert run.metrics[-1]["hybrid_loss"] == pytest.approx(run.metrics[-1]["loss"] / 2)
    assert run.metrics[-1]["loss"] < run.metrics[0]["loss"]


@pytest.mark.parametrize(
    ("objective", "space", "head", "says"),
    [
        (Simple(), Continuous(3), Natural(), "Natural states no regression target for Simple"),
        (Simple(), Continuous(3), Noise(Interpolated()), "Noise learns its width too: .* Hybrid"),
        (Simple(), Continuous(3), Mean(Sigmoid()), "Mean learns its width too"),
        (Hybrid(), Continuous(3), Natural(Sigmoid()), "Natural states no regression .* Hybrid:"),
        (Hybrid(), Continuous(3), Noise(), "Noise learns none: give it an Interpolated or Sigmoid"),
        (Hybrid(), Continuous(3), Clean(FixedLarge()), "Clean learns none"),
        (Hybrid(), Binary(3), Levels(), "Levels states no regression target for Hybrid"),
    ],
)
def test_what_an_objective_cannot_train_is_refused(objective, space, head, says):
    outputs = 2 if isinstance(head, Levels) else head.outputs
    model = Model(space, KERNELS["gaussian"], head, Silent(outputs))
    with pytest.raises(TypeError, match=says):
        objective.check(model)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
def test_a_weight_that_trains_no_width_is_refused(weight):
    with pytest.raises(ValueError, match="weight of the bound must be positive and finite, got"):
        Hybrid(weight)


def test_the_term_of_a_chain_is_the_term_of_its_step(rng):
    """`learned_term` draws x_t and asks the network; `term_of` is the term at that x_t."""
    model, times = chain(SPACES[1], Interpolated(), 40, rng), torch.tensor([1, 4, 9, 12])
    x_0 = SPACES[1].encode(draw(SPACES[1], 40, rng))
    index = torch.arange(40) % 4
    ends = term_times(model, times)
    term = learned_term(model, x_0, ends, index, torch.Generator().manual_seed(3))
    s, t = torch.tensor([0, 1, 4, 9])[index], times[index]
    x_t = GAUSSIAN.marginal(x_0, t).sample(torch.Generator().manual_seed(3))
    assert close(term, term_of(model, model.network.answer, x_0, x_t, s, t))
