"""A closed-form law as a denoiser, and the network and the heads that correct it."""

import math

import pytest
import torch

import quasistatic as qs
from conftest import assert_mean, close
from quasistatic.diagnostics.oracles import MixtureOracle, Moments
from quasistatic.distributions.mixtures import CategoricalBlock, GaussianBlock, Mixture
from quasistatic.heads import CorrectedClasses
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.networks import ClosedFormDenoiser, ResidualDenoiser

WEIGHTS = (0.2, 0.5, 0.3)
MEANS = ((-1.0, 0.5, 0.0), (0.4, -0.2, 0.3), (1.5, 1.0, -2.0))
VARIANCES = ((0.1, 1.0, 0.02), (0.4, 0.3, 0.9), (2.0, 0.05, 0.3))
ORACLE = MixtureOracle(WEIGHTS, MEANS, VARIANCES)
SIZES = (2, 3)


def kernel(steps: int = 40, first: float = 9.0) -> GaussianKernel:
    return GaussianKernel(schedules.linear_log_snr(steps, first, -8.0))


def rotations(count: int, rng: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(count, 3, 3, generator=rng))[0]


def law(basis: torch.Tensor, means=MEANS) -> Mixture:
    matrix = basis @ torch.diag_embed(torch.tensor(VARIANCES)) @ basis.mT
    block = GaussianBlock.full(torch.as_tensor(means), matrix)
    return Mixture(torch.tensor(WEIGHTS).log(), (block,))


def denoiser(basis: torch.Tensor, chain: GaussianKernel, means=MEANS) -> ClosedFormDenoiser:
    network = ClosedFormDenoiser(3, (), 3, 3, chain.steps)
    return network.start_at(law(basis, means), chain.schedule.log_snr[1:])


def noisy(chain: GaussianKernel, rng: torch.Generator, n: int = 60):
    t = torch.linspace(1, chain.steps, n).long()
    return chain.marginal(ORACLE.sample(n, rng), t).sample(rng), t


def model_of(basis: torch.Tensor, chain: GaussianKernel) -> qs.Diffusion:
    network = ResidualDenoiser(3, (), 3, 3, chain.steps, width=8)
    network.denoiser.start_at(law(basis), chain.schedule.log_snr[1:])
    return qs.Diffusion(qs.Continuous(3), chain, qs.Corrected(), network)


def mixed_law() -> Mixture:
    """Three components of two real columns and two of classes."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(3, 2, 2, generator=rng)
    block = GaussianBlock.full(2 * torch.randn(3, 2, generator=rng), root @ root.mT + torch.eye(2))
    logits = torch.randn(3, 5, generator=rng).split(SIZES, 1)
    share = torch.cat([each.log_softmax(1) for each in logits], 1)
    return Mixture(torch.tensor(WEIGHTS).log(), (block, CategoricalBlock(share, SIZES)))


LOG_PI = (0.7, 0.3, 0.2, 0.3, 0.5)


def mixed_rows() -> torch.Tensor:
    """Some x_t, the last of them with holes."""
    real = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-1.0, 1.0], [0.5, 2.0], [1.0, 0.0]])
    one_hot = torch.eye(5)[[0, 1, 0, 1, 0]] + torch.eye(5)[[2, 3, 4, 4, 3]]
    x = torch.cat([real, one_hot], 1)
    x[2, 0], x[3, 2:4], x[4, 1], x[4, 4:] = (math.nan,) * 4
    return x


def test_the_denoiser_is_the_oracle_s(rng):
    chain = kernel()
    x_t, t = noisy(chain, rng)
    eye = torch.eye(3).repeat(3, 1, 1)
    found = denoiser(eye, chain)(x_t, t / chain.steps)
    assert close(found, ORACLE.answer(chain, x_t, t))
    x = ORACLE.sample(50, rng)
    assert close(denoiser(eye, chain).log_prob(x), ORACLE.log_prob(x))


def test_turned_data_have_a_turned_denoiser(rng):
    """With eigenvectors U shared by all, E[x_0 | x_t] at U x_t is U times that at x_t, and the
    density is the same."""
    chain, turn = kernel(), rotations(1, rng)[0]
    x_t, t = noisy(chain, rng)
    turned = denoiser(turn.repeat(3, 1, 1), chain, torch.tensor(MEANS) @ turn.T)
    found = turned(x_t @ turn.T, t / chain.steps)[..., 0]
    assert close(found, ORACLE.answer(chain, x_t, t)[..., 0] @ turn.T)
    assert close(turned.log_prob(x_t @ turn.T), ORACLE.log_prob(x_t))


def test_an_array_of_several_axes_is_its_values_in_order(rng):
    chain, basis = kernel(), rotations(3, rng)
    network = ClosedFormDenoiser((3, 1), (), 3, 3, chain.steps)
    network.start_at(law(basis), chain.schedule.log_snr[1:])
    x_t, t = noisy(chain, rng)
    found = network(x_t[..., None], t / chain.steps)
    assert torch.equal(found[:, :, 0], denoiser(basis, chain)(x_t, t / chain.steps))


def test_a_law_that_changes_is_not_the_one_before(rng):
    """What is kept between calls is of the buffers as they are now."""
    chain = kernel()
    network = denoiser(rotations(3, rng), chain)
    x_t, t = noisy(chain, rng)
    before = network(x_t, t / chain.steps)
    other = denoiser(rotations(3, rng), chain)
    network.load_state_dict(other.state_dict())
    assert torch.equal(network(x_t, t / chain.steps), other(x_t, t / chain.steps))
    assert not torch.equal(network(x_t, t / chain.steps), before)


def test_before_training_the_model_is_the_mixture(rng):
    """Step for step it is the chain of the mixture's own moments, and every weight of the last
    layer has a gradient."""
    chain, basis = kernel(), rotations(3, rng)
    model = model_of(basis, chain)
    exact = qs.Diffusion(qs.Continuous(3), chain, Moments(), model.network.denoiser)
    x_t, t = noisy(chain, rng)
    t = t.clamp(min=2)
    ours, its = model.reverse(x_t, t - 1, t), exact.reverse(x_t, t - 1, t)
    assert close(ours.mean, its.mean)
    assert close(ours.variance, its.variance)
    qs.Bound()(model, x_t, rng).sum().backward()
    read_out = model.network.correction.read_out
    assert (read_out.weight.grad.abs().sum(1) > 0).all()


def test_corrections_are_in_deviations_of_what_is_known(rng):
    chain = kernel()
    x_t, t = noisy(chain, rng)
    output = torch.stack([x_t, x_t**2 + 0.1, 0 * x_t - 2, 0 * x_t + 0.5], -1)
    found = qs.Corrected().denoise(chain, output, x_t, t)
    assert close(found.mean, x_t - 2 * (x_t**2 + 0.1).sqrt())
    assert close(found.variance / (x_t**2 + 0.1), torch.full_like(x_t, 3 * math.tanh(1 / 6)).exp())
    wild = output.clone()
    wild[..., 3] = -1e4
    least = qs.Corrected().denoise(chain, wild, x_t, t).variance
    assert close(least, (x_t**2 + 0.1) * math.exp(-3))


def test_corrected_classes_are_classes_with_a_sum_of_logits(rng):
    """The law of the head is that of :class:`Classes` for the sum of prior and correction, and what
    the correction wins over all times is the difference of the two bounds' learned parts."""
    chain = qs.CategoricalKernel(schedules.erase_evenly(12), SIZES, LOG_PI)
    space = qs.OneHot(SIZES)
    head, plain = CorrectedClasses().bind(space, chain), qs.Classes().bind(space, chain)
    x_0 = mixed_rows()[:2, 2:]
    output = torch.randn(2, 5, 4, generator=rng)
    for step in (1, 2, 7):
        t = torch.full((2,), step)
        x_t = chain.marginal(x_0, t).sample(rng)
        logits = (output[..., 0] + output[..., 2])[..., None]
        ours, its = (h.denoise(chain, o, x_t, t) for h, o in ((head, output), (plain, logits)))
        assert close(ours.mean, its.mean)
        won = head.gain(chain, output, x_t, x_0, t).sum(1)
        without = plain.denoise(chain, output[..., :1], x_t, t)
        if step == 1:
            exact = (ours.log_prob(x_0) - without.log_prob(x_0)).sum(1)
        else:
            costs = [chain.divergence(x_t, x_0, law, t - 1, t).sum(1) for law in (without, ours)]
            exact = costs[0] - costs[1]
        assert close(won, exact)


def test_the_bound_of_the_mixture_s_chain_closes_at_order_one(rng):
    """K of the uncorrected chain rises to the exact log p as steps get shorter: at four times the
    steps, a quarter is missing. The edge is too short to count."""
    basis = rotations(3, rng)
    x = law(basis).sample(20_000, rng)
    models = [model_of(basis, kernel(steps, 10.0)) for steps in (8, 32)]
    truth = models[0].network.denoiser.log_prob(x)
    few, many = (truth - model.score(x, None, rng=rng).nats for model in models)
    assert few.mean() > 0.3
    assert_mean(many, few.mean() / 4, slack=0.02)


def test_a_normal_on_a_lattice_is_drawn_to_its_numbers():
    """Against the sum over all numbers; where it is wide, nothing changes."""
    one = Mixture(torch.zeros(1), (GaussianBlock.full(torch.zeros(1, 1), torch.ones(1, 1, 1)),))
    lattice = torch.tensor([[-1.0], [0.5], [1.5]])
    network = ClosedFormDenoiser(1, (), 1, 1, 3)
    network.start_at(one, torch.tensor([6.0, 2.0, -8.0]), lattice=lattice)
    x = torch.tensor([[-3.0], [-0.9], [0.2], [0.26], [2.0]])
    numbers = torch.arange(-1, 1.6, 0.5)
    for step in (1, 2):
        level = network.level(torch.tensor([step / 3]))
        log_p = -(numbers**2) / 2 - (x - level.signal * numbers) ** 2 / (2 * level.noise**2)
        mean = (log_p.softmax(1) * numbers).sum(1)
        found = network(x, torch.full((5,), step / 3))
        assert torch.allclose(found[:, 0, 0], mean, atol=1e-6)
    wide = network(x, torch.ones(5))[:, 0, 0]
    assert torch.equal(wide, one.denoise(x, network.level(torch.ones(5))).mean[:, 0])


def test_a_network_starts_as_the_mixture_and_sees_holes():
    network = ResidualDenoiser(7, SIZES, 3, 3, 4, width=8)
    scales = torch.linspace(4, -4, 4), torch.linspace(0.9, 0.1, 4)
    pi = torch.tensor(LOG_PI).log()
    network.denoiser.start_at(mixed_law(), *scales, log_pi=pi)
    x, time = mixed_rows(), torch.full((5,), 0.5)
    assert not network.corrects
    found, exact = network(x, time), network.denoiser(x, time)
    assert torch.equal(found[..., :2], exact)
    assert (found[..., 2:] == 0).all()
    with torch.no_grad():
        network.correction.read_out.bias += 0.1
    assert network.corrects
    shifted = network(x, time)
    assert torch.equal(shifted[..., :2], exact)
    assert close(shifted[..., 2:], torch.full((5, 7, 2), 0.1))
    with pytest.raises(ValueError, match="log_pi must be finite and have shape"):
        network.denoiser.start_at(mixed_law(), *scales, log_pi=torch.zeros(4))


def test_a_model_comes_back_from_its_folder(rng, tmp_path):
    chain, basis = kernel(), rotations(3, rng)
    model = model_of(basis, chain)
    x_t, t = noisy(chain, rng)
    model.save(tmp_path)
    again = qs.load(tmp_path)
    assert torch.equal(again.network.denoiser.log_prob(x_t), model.network.denoiser.log_prob(x_t))
    assert close(again.output(x_t, t), model.output(x_t, t), rtol=1e-6, atol=1e-6)


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match=r"classes \(2, 3\) are more than the 4 values"):
        ClosedFormDenoiser(4, SIZES, 1, 1, 5)
    network, log_snr = ClosedFormDenoiser(3, (), 3, 3, 40), kernel().schedule.log_snr[1:]
    with pytest.raises(ValueError, match=r"mean must be finite and have shape \(3, 3\)"):
        network.start_at(law(torch.eye(3).repeat(3, 1, 1), torch.full((3, 3), math.nan)), log_snr)
    with pytest.raises(TypeError, match="Corrected needs a kernel with signal and noise"):
        qs.Corrected().bind(qs.Binary(3), qs.BinomialKernel(schedules.erase_evenly(5)))
    with pytest.raises(TypeError, match="CorrectedClasses needs a space of classes"):
        CorrectedClasses().bind(qs.Continuous(3), kernel())
