"""An autoencoder as a space: the bound, importance weights and draws against closed forms."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import quasistatic as qs
from conftest import assert_mean, close
from quasistatic import networks
from quasistatic.coding.chain import Chain
from quasistatic.coding.portability import Native, Portable
from quasistatic.coding.stack import Stack
from quasistatic.diagnostics.oracles import GaussianOracle
from quasistatic.distributions import Gaussian, total
from quasistatic.heads import Velocity
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.likelihood import bound, importance, sandwich
from quasistatic.likelihood.path_weights import forward_weight
from quasistatic.model import Model
from quasistatic.sampling import SMC, sample
from quasistatic.sampling.factors import Linear, Observed, Smooth
from quasistatic.sampling.posterior import posterior
from quasistatic.spaces import Binary, Continuous, Latent, Quantized
from quasistatic.training import Evidence

NOISE = 0.5
"""The variance of the decoder of the linear autoencoder."""


@dataclass(eq=False)
class LinearCoder(nn.Module):
    """x = A z + b + noise with orthogonal columns of A, and the exact posterior of z. Its standard
    deviation is multiplied by `wider`, and its mean moved by `moved`."""

    wider: float = 1.0
    moved: float = 0.0

    def __post_init__(self) -> None:
        super().__init__()
        self.shape, self.latent_shape = (4,), (2,)
        matrix = torch.tensor([[1.0, 0.5], [1.0, -0.5], [-0.6, 0.3], [0.6, 0.3]])
        left, sizes, _ = torch.linalg.svd(matrix, full_matrices=False)
        self.matrix = nn.Parameter(left * sizes)
        self.offset = nn.Parameter(torch.tensor([0.3, -0.2, 0.1, 0.7]))
        self.log_scale = nn.Parameter(torch.tensor(0.5 * math.log(NOISE)))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        noise = (2 * self.log_scale).exp()
        precision = 1 + self.matrix.square().sum(0) / noise
        mean = (x - self.offset) @ self.matrix / noise / precision
        return mean + self.moved, self.wider * precision.rsqrt().expand_as(mean)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        location = z @ self.matrix.T + self.offset
        return location, self.log_scale.expand_as(location)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in closed form, (B,)."""
        noise = (2 * self.log_scale).exp()
        cover = self.matrix @ self.matrix.T + noise * torch.eye(4)
        return torch.distributions.MultivariateNormal(self.offset, cover).log_prob(x)


KERNEL = GaussianKernel(schedules.linear_log_snr(40, 9, -9))


def linear(wider: float = 1.0, moved: float = 0.0) -> tuple[Model, LinearCoder]:
    """The model whose latents are standard normal, and which knows it."""
    coder = LinearCoder(wider, moved)
    parts = GaussianOracle((0.0, 0.0), 1.0).parts(KERNEL)
    return Model(**parts | {"space": Latent(coder, Continuous(4))}), coder


def data(coder: LinearCoder, n: int, rng: torch.Generator) -> Tensor:
    z = torch.randn(n, 2, generator=rng)
    noise = NOISE**0.5 * torch.randn(n, 4, generator=rng)
    return (z @ coder.matrix.T + coder.offset + noise).detach()


def test_with_the_exact_posterior_the_bound_is_the_closed_form(rng):
    """Each draw of z then has the weight p(x) / p(z), and the chain adds log p(z)."""
    model, coder = linear()
    x = data(coder, 30, rng)
    encoded = model.space.encode_weighted(x, rng)
    log_prior = total(Gaussian(torch.zeros(30, 2), torch.ones(())).log_prob(encoded.x_0))
    assert close(encoded.log_weight + log_prior, coder.log_prob(x), 1e-9)
    weight = forward_weight(model, encoded, model.times(), rng).log
    assert close(weight, coder.log_prob(x), 1e-9)
    copies = x[:1].expand(4000, -1)
    assert_mean(bound(model, copies, None, rng=rng).nats, coder.log_prob(x[:1]))


def test_with_another_posterior_the_bound_lacks_its_divergence(rng):
    model, coder = linear(0.6, 0.4)
    x = data(coder, 1, rng).expand(20_000, -1)
    q, exact = model.space.encoder(x[:1]), linear()[0].space.encoder(x[:1])
    gap = total(q.kl(exact))
    score = bound(model, x, 8, rng=rng)
    assert_mean(score.nats, (coder.log_prob(x[:1]) - gap).detach())
    assert set(score.terms) == {"prior", "transitions", "edge", "decoder", "encoder"}


def test_importance_over_the_latents_closes_on_log_p(rng):
    model, coder = linear(1.3, 0.3)
    x = data(coder, 200, rng)
    truth, means = coder.log_prob(x), []
    for paths in (1, 8, 64, 512):
        means.append((importance(model, x, paths, 8, rng=rng).nats - truth).mean().item())
    assert all(a < b + 0.01 for a, b in itertools.pairwise(means)), means
    assert means[0] < -0.1
    assert abs(means[-1]) < 0.02


def test_gradients_of_the_evidence_are_those_of_the_closed_form(rng):
    """For a linear autoencoder the expectation over z is known."""
    model, coder = linear(0.7, 0.3)
    x = data(coder, 1, rng)
    mean, deviation = coder.encode(x)
    noise = (2 * coder.log_scale).exp()
    error = (x - mean @ coder.matrix.T - coder.offset).square().sum()
    error = error + (coder.matrix.square() * deviation[0] ** 2).sum()
    cost = error / noise / 2 + 2 * (2 * math.pi * noise).log()
    rate = 0.5 * (deviation**2 + mean**2 - 1 - 2 * deviation.log()).sum()
    weights = list(coder.parameters())
    expected = torch.autograd.grad(cost + 0.5 * rate, weights, retain_graph=True)
    batches = []
    for _ in range(200):
        loss = Evidence(weight=0.5)(model, x.expand(500, -1), rng).mean()
        found = torch.autograd.grad(loss, weights)
        batches.append(torch.cat([each.flatten() for each in found]))
    assert_mean(torch.stack(batches), torch.cat([each.flatten() for each in expected]))


def test_the_evidence_is_the_bound_of_standard_normal_latents(rng):
    model, coder = linear(0.8, 0.2)
    x = data(coder, 1, rng).expand(20_000, -1)
    loss = Evidence()(model, x, rng).detach()
    assert_mean(loss + bound(model, x, 8, rng=rng).nats, 0.0)
    name, value = Evidence(weight=0.1).reading(model, x, math.nan)
    assert name == "bits_per_dim"
    assert abs(value - loss.mean().item() / 4 / math.log(2)) < 0.03


def test_draws_have_the_law_of_the_data_and_the_sandwich_meets_it(rng):
    model, coder = linear()
    drawn = sample(model, 20_000, rng=rng)
    assert_mean(drawn, coder.offset.detach(), 0.02)
    cover = (coder.matrix @ coder.matrix.T + NOISE * torch.eye(4)).detach()
    assert torch.allclose(torch.cov(drawn.T), cover, atol=0.06)
    found = sandwich(model, 50, rng=rng)
    truth = coder.log_prob(found.drawn)
    assert close(found.lower, truth, 1e-6)
    assert close(found.upper, truth, 1e-6)
    wrong = sandwich(linear(0.7, 0.5)[0], 4000, rng=rng)
    off = coder.log_prob(wrong.drawn)
    assert (wrong.lower - off).mean() < -0.2
    assert (wrong.upper - off).mean() > 0.1


def test_units_of_real_data(rng):
    """Data times c have a density that is lower by log c a value."""
    coder = LinearCoder(0.8, 0.1)
    x = data(coder, 20, rng)
    one, ten = (Latent(coder, Continuous(4, scale=scale)) for scale in (1.0, 10.0))
    weights = [
        space.encode_weighted(raw, torch.Generator().manual_seed(1)).log_weight
        for space, raw in ((one, x), (ten, 10 * x))
    ]
    assert close(weights[0] - weights[1], torch.full((20,), 4 * math.log(10)), 1e-9)


RAW = {
    "levels": Quantized((2, 8, 8), 5, spread=1.5),
    "bits": Binary((2, 8, 8)),
    "reals": Continuous((2, 8, 8), 0.5, 2.0),
}
every_raw = pytest.mark.parametrize("raw", RAW.values(), ids=RAW.keys())


def convolutional(raw: qs.Space, seed: int = 0) -> Latent:
    torch.manual_seed(seed)
    coder = networks.Autoencoder(raw.shape, channels=3, down=4, width=8, blocks=1)
    for weight in coder.parameters():
        nn.init.normal_(weight, std=0.2)
    return Latent(coder, raw)


def some_raw(raw: qs.Space, n: int, rng: torch.Generator) -> Tensor:
    if raw.levels is None:
        return torch.randn(n, *raw.shape, generator=rng)
    return torch.randint(len(raw.levels), (n, *raw.shape), generator=rng).double()


@every_raw
def test_every_decoder_is_normalised(raw, rng):
    """Masses of all levels sum to one; a density integrates to one."""
    space = convolutional(raw)
    p = space.decoder(torch.randn(3, *space.state, generator=rng))
    if raw.levels is not None:
        each = [
            space.log_decoder(p, torch.full((3, *raw.shape), k)) for k in range(len(raw.levels))
        ]
        assert close(torch.stack(each).logsumexp(0), torch.zeros(3, *raw.shape), atol=1e-12)
        return
    x = torch.linspace(-60, 60, 4001)
    each = torch.stack(
        [space.log_decoder(p, torch.full((3, *raw.shape), value.item())).exp() for value in x]
    )
    assert close(torch.trapezoid(each, x, dim=0), torch.ones(3, *raw.shape), 1e-6)


@every_raw
def test_draws_of_every_decoder_have_its_mean(raw, rng):
    space = convolutional(raw)
    z = torch.randn(1, *space.state, generator=rng)
    drawn = space.draw_raw(z.expand(4000, *space.state), rng)
    p = space.decoder(z)
    if raw.levels is None:
        assert_mean(drawn, raw.decode(p.mean)[0].detach())
        return
    each = torch.stack(
        [space.log_decoder(p, torch.full((1, *raw.shape), k)).exp() for k in range(len(raw.levels))]
    )
    mean = (torch.arange(len(raw.levels)).reshape(-1, 1, 1, 1, 1) * each).sum(0)[0]
    assert_mean(drawn, mean.detach())


@every_raw
def test_the_log_weight_is_decoder_less_encoder(raw, rng):
    space = convolutional(raw)
    x = some_raw(raw, 5, rng)
    encoded = space.encode_weighted(x, torch.Generator().manual_seed(3))
    again = space.weighted_at(x, encoded.x_0)
    assert close(again.log_weight, encoded.log_weight)
    q = space.encoder(x)
    assert close(encoded.terms["encoder"], -total(q.log_prob(encoded.x_0)))
    p = space.decoder(encoded.x_0)
    assert close(encoded.terms["decoder"], total(space.log_decoder(p, x)))


@every_raw
def test_standardized_latents_give_the_same_weights(raw, rng):
    """Their density is per unit of the new latents, by the slope of the map."""
    space, other = convolutional(raw), convolutional(raw)
    mean, deviation = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([2.0, 0.5, 3.0])
    other.autoencoder.standardize(mean, deviation)
    x = some_raw(raw, 5, rng)
    one, two = (
        each.encode_weighted(x, torch.Generator().manual_seed(3)) for each in (space, other)
    )
    by = deviation[:, None, None]
    assert close(two.x_0 * by + mean[:, None, None], one.x_0)
    slope = (by.log() * torch.ones(space.state)).sum()
    assert close(two.log_weight, one.log_weight - slope)


def diffusion(raw: qs.Space) -> qs.Diffusion:
    space = convolutional(raw)
    network = networks.UNet(space.state, 8, (1,), 1, attention=())
    return qs.Diffusion(space, KERNEL, Velocity(), network)


@every_raw
def test_save_and_load_keep_the_autoencoder(raw, rng, tmp_path):
    model = diffusion(raw).eval()
    x = some_raw(raw, 3, rng)
    model.save(tmp_path)
    loaded = qs.Diffusion.load(tmp_path)
    assert torch.equal(model.score(x, rng=0).nats, loaded.score(x, rng=0).nats)
    assert torch.equal(model.sample(3, rng=0), loaded.sample(3, rng=0))
    assert torch.equal(model.sample(20, rng=0)[:3], model.sample(3, rng=0))


@every_raw
def test_every_verb_of_the_likelihood_serves_a_latent_model(raw, rng):
    """Bound, importance and flow estimate the same number up to their known gaps."""
    model = diffusion(raw).eval()
    x = some_raw(raw, 2, rng)
    space, n = model.space, 400
    copies = x[:1].expand(n, *raw.shape)
    elbo = model.score(copies, None, rng=rng).nats
    one = model.score(copies, method=qs.Importance(1), rng=rng).nats
    assert abs(elbo.mean() - one.mean()) < 5 * (elbo.var() / n + one.var() / n).sqrt()
    many = model.score(x[:1], method=qs.Importance(64), rng=rng)
    assert many.nats.item() > elbo.mean().item()
    assert set(many.terms) >= {"decoder", "encoder", "reweighting"}
    flow = model.score(x, method=qs.Flow(), rng=rng)
    assert set(flow.terms) >= {"decoder", "encoder", "density"}
    assert space.check(model.sample(2, rng=0)).shape == (2, *raw.shape)


def test_a_larger_autoencoder_has_the_same_weights(rng):
    model = diffusion(RAW["levels"]).eval()
    wide = model.resized((2, 16, 16))
    assert wide.space.state == (3, 4, 4)
    x = some_raw(RAW["levels"], 2, rng)
    tiled = x.repeat(1, 1, 2, 2)
    assert wide.sample(1, rng=0).shape == (1, 2, 16, 16)
    assert wide.score(tiled, rng=0).nats.isfinite().all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: networks.Autoencoder((30, 32)), "28 or 32 by 32"),
        (lambda: networks.Autoencoder((32, 32), down=3), "one of 2, 4, 8"),
        (
            lambda: Latent(networks.Autoencoder((32, 32)), Quantized((16, 16))),
            "is for data of shape (32, 32), and the raw data have shape (16, 16)",
        ),
        (
            lambda: Latent(networks.Autoencoder((32, 32)), qs.Dequantized((32, 32))),
            "Quantized, Binary or Continuous, got Dequantized",
        ),
        (lambda: Latent(nn.Linear(3, 3)), "lacks"),
        (lambda: Evidence(weight=0.0), "must be positive"),
        (lambda: Latent(networks.Autoencoder((8, 8))).check(torch.full((1, 8, 8), 300)), "to 255"),
    ],
)
def test_bad_input_says_what_fits(make, says):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert says in str(error.value)


def test_evidence_needs_an_autoencoder():
    model = Model(**GaussianOracle((0.0, 0.0), 1.0).parts(KERNEL))
    with pytest.raises(TypeError, match="has none: train the network with Bound"):
        Evidence().check(model)


def test_completion_is_the_conditional_law_in_closed_form(rng):
    """Known values of linear-Gaussian data: evidence and moments of the others are conjugate."""
    model, coder = linear()
    x = data(coder, 2, rng)
    hidden = torch.tensor([False, True, False, True])
    factor = Observed(x, torch.where(hidden, math.inf, 0.0))
    found = posterior(model, factor, 2000, None, rng, SMC(4000, repeats=4), None)
    cover = (coder.matrix @ coder.matrix.T + NOISE * torch.eye(4)).detach()
    mean, seen = coder.offset.detach(), ~hidden
    inner = cover[seen][:, seen]
    truth = torch.distributions.MultivariateNormal(mean[seen], inner).log_prob(x[:, seen])
    assert torch.allclose(found.log_evidence, truth, atol=0.05)
    gain = cover[hidden][:, seen] @ inner.inverse()
    expected = mean[hidden] + (x[:, seen] - mean[seen]) @ gain.T
    assert torch.allclose(found.mean[:, hidden], expected, atol=0.12)
    rest = cover[hidden][:, hidden] - gain @ cover[seen][:, hidden]
    assert torch.allclose(torch.cov(found.draws[0][:, hidden].T), rest, atol=0.12)
    assert torch.equal(found.draws[0, :, seen], x[:1, seen].expand(2000, -1))


def test_linear_and_smooth_factors_act_through_the_decoder(rng):
    """Both state the same measurement of raw data, whose evidence is known."""
    model, coder = linear()
    weights, noise = torch.tensor([[1.0, 1.0, -0.5, 0.0]]), 1.5
    y = torch.tensor([[1.4]])
    mean = weights @ coder.offset.detach()
    cover = (coder.matrix @ coder.matrix.T + NOISE * torch.eye(4)).detach()
    spread = (weights @ cover @ weights.T).item() + noise
    truth = torch.distributions.Normal(mean, spread**0.5).log_prob(y)[0]

    def log_r(raw: Tensor) -> Tensor:
        return torch.distributions.Normal(raw @ weights[0], noise**0.5).log_prob(y[0])

    for factor in (Linear(y, weights, noise), Smooth(log_r)):
        found = posterior(model, factor, 1000, None, rng, SMC(4000, repeats=4), None)
        assert torch.allclose(found.log_evidence, truth, atol=0.06), type(factor)
        gain = (cover @ weights.T)[:, 0] / spread
        expected = coder.offset.detach() + gain * (y - mean).item()
        assert torch.allclose(found.mean[0], expected, atol=0.12), type(factor)


@pytest.mark.parametrize("raw", [RAW["levels"], RAW["bits"]], ids=["levels", "bits"])
def test_completions_of_levels_keep_what_is_known(raw, rng):
    model = diffusion(raw).eval()
    x = some_raw(raw, 2, rng)
    hidden = torch.rand(x.shape, generator=rng) < 0.5
    found = model.complete(x, hidden, draws=3, times=5, rng=0, method=SMC(4))
    assert torch.equal(found.draws[:, 0][~hidden], x[~hidden])
    assert model.space.check(found.draws.flatten(0, 1)).shape == (6, *raw.shape)


@pytest.mark.parametrize("raw", [RAW["levels"], RAW["bits"]], ids=["levels", "bits"])
@pytest.mark.parametrize("portable", [False, True])
def test_a_stream_is_lossless_and_as_long_as_the_bound(raw, portable, rng):
    """The stack grows by the bits of the bound, up to what chance changes."""
    model = diffusion(raw).eval()
    x = model.sample(24, rng=0)
    stream = model.compress(x, times=8, portable=portable)
    assert torch.equal(torch.from_numpy(model.decompress(stream)), x)
    chain = Chain(model, 8, portability=Portable() if portable else Native())
    stack = Stack.start(20_000, chain.portability.writer())
    before = stack.bits
    with torch.no_grad():
        chain.push(stack, x)
    expected = -model.score(x, None, times=8, rng=0).bits
    error = 5 * (expected.std() * len(x) ** 0.5).item()
    assert abs(stack.bits - before - expected.sum().item()) < 0.03 * expected.sum() + error


def test_reals_have_no_masses_to_compress_by(rng):
    with pytest.raises(TypeError, match="no masses"):
        diffusion(RAW["reals"]).compress(some_raw(RAW["reals"], 2, rng))
