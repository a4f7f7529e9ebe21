"""A mixture as a closed-form denoiser, and the network and the head that correct it."""

import math

import pytest
import torch

import quasistatic as qs
from conftest import assert_mean, close
from quasistatic.diagnostics.oracles import MixtureOracle, Moments
from quasistatic.distributions.mixtures.components import Part
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.networks import MixtureDenoiser, MixtureMLP
from quasistatic.networks import mixture_denoiser as module

WEIGHTS = (0.2, 0.5, 0.3)
MEANS = ((-1.0, 0.5, 0.0), (0.4, -0.2, 0.3), (1.5, 1.0, -2.0))
VARIANCES = ((0.1, 1.0, 0.02), (0.4, 0.3, 0.9), (2.0, 0.05, 0.3))
ORACLE = MixtureOracle(WEIGHTS, MEANS, VARIANCES)


def kernel(steps: int = 40, first: float = 9.0) -> GaussianKernel:
    return GaussianKernel(schedules.linear_log_snr(steps, first, -8.0))


def rotations(count: int, rng: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(count, 3, 3, generator=rng))[0]


def pieces(basis: torch.Tensor, means=MEANS) -> list[Part]:
    log_weight = torch.tensor(WEIGHTS).log()
    return [Part(log_weight, torch.as_tensor(means), torch.tensor(VARIANCES), basis)]


def denoiser(basis: torch.Tensor, chain: GaussianKernel, means=MEANS) -> MixtureDenoiser:
    network = MixtureDenoiser(3, ((3, len(basis)),), chain.steps)
    return network.start_at(pieces(basis, means), chain.schedule.log_snr[1:])


def noisy(chain: GaussianKernel, rng: torch.Generator, n: int = 60):
    t = torch.linspace(1, chain.steps, n).long()
    return chain.marginal(ORACLE.sample(n, rng), t).sample(rng), t


def model_of(basis: torch.Tensor, chain: GaussianKernel) -> qs.Diffusion:
    network = MixtureMLP(3, ((3, len(basis)),), chain.steps, width=8)
    network.mixture.start_at(pieces(basis), chain.schedule.log_snr[1:])
    return qs.Diffusion(qs.Continuous(3), chain, qs.Corrected(), network)


def test_the_denoiser_is_the_oracle_s(rng):
    chain = kernel()
    x_t, t = noisy(chain, rng)
    found = denoiser(torch.eye(3)[None], chain)(x_t, t / chain.steps)
    assert close(found, ORACLE.answer(chain, x_t, t))


def test_the_density_is_the_oracle_s(rng):
    x = ORACLE.sample(50, rng)
    assert close(denoiser(torch.eye(3)[None], kernel()).log_prob(x), ORACLE.log_prob(x))


def test_turned_data_have_a_turned_denoiser(rng):
    """With eigenvectors U shared by all, E[x_0 | x_t] at U x_t is U times that at x_t, and the
    density is the same."""
    chain, turn = kernel(), rotations(1, rng)[0]
    x_t, t = noisy(chain, rng)
    turned = denoiser(turn[None], chain, torch.tensor(MEANS) @ turn.T)
    found = turned(x_t @ turn.T, t / chain.steps)[..., 0]
    assert close(found, ORACLE.answer(chain, x_t, t)[..., 0] @ turn.T)
    assert close(turned.log_prob(x_t @ turn.T), ORACLE.log_prob(x_t))


def test_the_moments_are_what_the_density_implies(rng):
    """Tweedie, with a basis for each component: E[x_0 | x_t] = (x_t + noise^2 grad) / signal, and
    Var[x_0 | x_t] = noise^2 (1 + noise^2 curvature) / signal^2, of log q(x_t)."""
    chain, basis = kernel(20, 5.0), rotations(3, rng)
    network = denoiser(basis, chain)
    t = torch.tensor([1, 6, 11, 14])
    x_t = chain.marginal(ORACLE.sample(4, rng), t).sample(rng)
    signal, noise = (each[:, 0] for each in network.scales(t / 20))
    for i in range(4):
        spread = signal[i] ** 2 * torch.diag_embed(torch.tensor(VARIANCES))
        covariance = basis @ spread @ basis.mT + noise[i] ** 2 * torch.eye(3)
        law = torch.distributions.MultivariateNormal(signal[i] * torch.tensor(MEANS), covariance)

        def log_q(x, law=law):
            return (law.log_prob(x) + torch.tensor(WEIGHTS).log()).logsumexp(0)

        grad = torch.autograd.functional.jacobian(log_q, x_t[i])
        curvature = torch.autograd.functional.hessian(log_q, x_t[i]).diagonal()
        gone = noise[i] ** 2
        mean, variance = network(x_t[i : i + 1], t[i : i + 1] / 20)[0].unbind(-1)
        assert close(mean, (x_t[i] + gone * grad) / signal[i])
        assert close(variance, gone * (1 + gone * curvature) / signal[i] ** 2, rtol=1e-7)


def test_one_basis_for_all_is_the_same_as_one_for_each(rng):
    chain, turn = kernel(), rotations(1, rng)
    x_t, t = noisy(chain, rng)
    shared, own = denoiser(turn, chain), denoiser(turn.repeat(3, 1, 1), chain)
    assert close(shared(x_t, t / chain.steps), own(x_t, t / chain.steps))
    assert close(shared.log_prob(x_t), own.log_prob(x_t))


def test_a_mixture_in_parts_is_the_mixture(rng):
    """Components dealt out among parts, some with eigenvectors of their own."""
    chain, basis = kernel(), rotations(3, rng)
    (all_,) = pieces(basis)
    parts = [
        Part(*(each[rows] for each in (all_.log_weight, all_.mean, all_.variance, basis)))
        for rows in (slice(0, 1), slice(1, 3))
    ]
    network = MixtureDenoiser(3, ((1, 1), (2, 2)), chain.steps)
    network.start_at(parts, chain.schedule.log_snr[1:])
    x_t, t = noisy(chain, rng)
    whole = denoiser(basis, chain)
    assert close(network(x_t, t / chain.steps), whole(x_t, t / chain.steps))
    assert close(network.log_prob(x_t), whole.log_prob(x_t))


def test_pieces_change_nothing(rng, monkeypatch):
    chain, basis = kernel(), rotations(3, rng)
    x_t, t = noisy(chain, rng)
    whole = denoiser(basis, chain)(x_t, t / chain.steps)
    monkeypatch.setattr(module, "LARGEST", 3 * 3 * 7)  # seven examples
    assert close(denoiser(basis, chain)(x_t, t / chain.steps), whole)


def test_float32_keeps_its_digits_at_high_log_snr(rng):
    """Where the noise has a deviation of 1e-3, the estimate is good to a thousandth of it."""
    chain, basis = kernel(40, 14.0), rotations(3, rng)
    network = denoiser(basis, chain)
    x_t, t = noisy(chain, rng)
    exact = network(x_t, t / chain.steps)
    rough = network.float()(x_t.float(), (t / chain.steps).float()).double()
    noise = chain.noise(t, x_t)
    assert ((rough - exact)[..., 0].abs() < 1e-3 * noise).all()
    assert ((rough / exact)[..., 1].log().abs() < 1e-3).all()


def test_before_training_the_model_is_the_mixture(rng):
    """Step for step it is the chain of the mixture's own moments, and every correcting weight but
    those before the read-out hears of its error."""
    chain, basis = kernel(), rotations(3, rng)
    model = model_of(basis, chain)
    exact = qs.Diffusion(qs.Continuous(3), chain, Moments(), model.network.mixture)
    x_t, t = noisy(chain, rng)
    t = t.clamp(min=2)
    ours, its = model.reverse(x_t, t - 1, t), exact.reverse(x_t, t - 1, t)
    assert close(ours.mean, its.mean)
    assert close(ours.variance, its.variance)
    qs.Bound()(model, x_t, rng).sum().backward()
    read_out = model.network.correction.read_out
    assert (read_out.weight.grad.abs().sum(1) > 0).all()


def test_corrections_are_told_in_deviations_of_what_is_known(rng):
    chain = kernel()
    x_t, t = noisy(chain, rng)
    output = torch.stack([x_t, x_t**2 + 0.1, 0 * x_t - 2, 0 * x_t + 0.5], -1)
    belief = qs.Corrected().denoise(chain, output, x_t, t)
    assert close(belief.mean, x_t - 2 * (x_t**2 + 0.1).sqrt())
    assert close(belief.variance / (x_t**2 + 0.1), torch.full_like(x_t, 3 * math.tanh(1 / 6)).exp())
    wild = output.clone()
    wild[..., 3] = -1e4
    least = qs.Corrected().denoise(chain, wild, x_t, t).variance
    assert close(least, (x_t**2 + 0.1) * math.exp(-3))


def test_the_bound_of_the_mixture_s_chain_closes_at_order_one(rng):
    """K of the uncorrected chain rises to the exact log p as steps get shorter: at four times the
    steps, a quarter is missing. The edge is too short to count."""
    basis = rotations(3, rng)
    k = torch.multinomial(torch.tensor(WEIGHTS), 20_000, True, generator=rng)
    along = torch.tensor(VARIANCES)[k].sqrt() * torch.randn(len(k), 3, generator=rng)
    x = torch.tensor(MEANS)[k] + torch.einsum("nij,nj->ni", basis[k], along)
    models = [model_of(basis, kernel(steps, 10.0)) for steps in (8, 32)]
    truth = models[0].network.mixture.log_prob(x)
    few, many = (truth - model.score(x, None, rng=rng).nats for model in models)
    assert few.mean() > 0.3
    assert_mean(many, few.mean() / 4, slack=0.02)


def test_a_model_comes_back_from_its_folder(rng, tmp_path):
    chain, basis = kernel(), rotations(3, rng)
    model = model_of(basis, chain)
    x_t, t = noisy(chain, rng)
    model.save(tmp_path)
    again = qs.load(tmp_path).double()
    model.float().double()
    assert close(again.output(x_t, t), model.output(x_t, t), rtol=1e-6, atol=1e-6)


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match=r"pairs \(components, bases\) .* got \(\(4, 2\),\)"):
        MixtureDenoiser(3, ((4, 2),), 10)
    network, log_snr = MixtureDenoiser(3, ((3, 1),), 40), kernel().schedule.log_snr[1:]
    with pytest.raises(ValueError, match=r"mean must be finite and have shape \(3, 3\)"):
        network.start_at(pieces(torch.eye(3)[None], torch.zeros(3, 2)), log_snr)
    with pytest.raises(TypeError, match="Corrected needs a kernel with signal and noise"):
        qs.Corrected().bind(qs.Binary(3), qs.BinomialKernel(schedules.erase_evenly(5)))
