"""Networks that stand on a spectral law, and the head of levels that starts at it."""

import math

import pytest
import torch

import quasistatic as qs
from conftest import assert_mean, close
from quasistatic.diagnostics.oracles import Moments
from quasistatic.distributions.mixtures import (
    CosineBasis,
    GaussianBlock,
    LawPerClass,
    Mixture,
    SpectralBlock,
)
from quasistatic.heads import CorrectedLevels
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.networks import (
    DiT,
    NormalsDenoiser,
    Padded,
    PerClassDenoiser,
    SpectralDenoiser,
    SpectralResidual,
    UNet,
)

SHAPE = (2, 3, 4)


def kernel(steps: int = 40, first: float = 9.0) -> GaussianKernel:
    return GaussianKernel(schedules.linear_log_snr(steps, first, -8.0))


def law(shape: tuple[int, ...] = SHAPE, axes: int = 2, components: int = 3) -> Mixture:
    rng, plain = torch.Generator().manual_seed(0), CosineBasis.plain(shape, axes)
    turned = torch.linalg.qr(torch.randn(plain.directions.shape, generator=rng))[0]
    mean = torch.randn(components, plain.width, generator=rng)
    variance = 0.02 + torch.rand(components, plain.width, generator=rng) ** 3
    weight = torch.randn(components, generator=rng).log_softmax(0)
    return Mixture(weight, (SpectralBlock(CosineBasis(shape, axes, turned), mean, variance),))


def full_law(width: int = 6, components: int = 3) -> Mixture:
    """Normals with full covariance matrices."""
    rng = torch.Generator().manual_seed(5)
    root = torch.randn(components, width, width, generator=rng) / width**0.5
    matrix = root @ root.mT + 0.05 * torch.eye(width)
    mean = torch.randn(components, width, generator=rng)
    weight = torch.randn(components, generator=rng).log_softmax(0)
    return Mixture(weight, (GaussianBlock.full(mean, matrix),))


def corrector(shape: tuple[int, ...] = SHAPE, axes: int = 2) -> UNet:
    inner = (4 * math.prod(shape[: len(shape) - axes]), *shape[len(shape) - axes :])
    return UNet(inner, 4, (1,), 1, (), axes=axes)


def residual(
    of: Mixture, chain: GaussianKernel, places: int = 2, leave_out: bool = False
) -> SpectralResidual:
    block = of.blocks[0]
    full = isinstance(block, GaussianBlock)
    shape, axes = ((block.width,), 0) if full else (block.basis.shape, block.basis.axes)
    inner = corrector(shape, places)
    parts = shape, axes, of.components, chain.steps, inner
    network = SpectralResidual(*parts, leave_out, full=full)
    network.denoiser.start_at(of, chain.schedule.log_snr[1:])
    return network


def model_of(of: Mixture, chain: GaussianKernel, places: int = 2) -> qs.Diffusion:
    network = residual(of, chain, places)
    return qs.Diffusion(qs.Continuous(network.shape), chain, qs.Corrected(), network)


def noisy(of: Mixture, chain: GaussianKernel, rng: torch.Generator, n: int = 30):
    t = torch.linspace(1, chain.steps, n).long()
    basis = getattr(of.blocks[0], "basis", None)
    x = of.sample(n, rng).reshape(n, *(basis.shape if basis else (of.width,)))
    return chain.marginal(x, t).sample(rng), t


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_the_denoiser_is_that_of_dense_normals(axes, rng, monkeypatch):
    """In pieces of a few rows as well as at once, where all rows have one time too."""
    of, chain = law(axes=axes), kernel()
    dense = Mixture(of.log_weight, (of.blocks[0].dense,))
    network = SpectralDenoiser(SHAPE, axes, 3, chain.steps)
    network.start_at(of, chain.schedule.log_snr[1:])
    x_t, t = noisy(of, chain, rng)
    for times in (t, *(each.expand(len(t)) for each in t[[0, 15, -1]])):
        exact = dense.denoise(x_t.flatten(1), network.level(times / chain.steps))
        for at_once in (2**18, 200):
            monkeypatch.setattr("quasistatic.networks.spectral_denoiser.ON_HOST", at_once)
            found = network(x_t, times / chain.steps)
            assert close(found[..., 0].flatten(1), exact.mean)
            assert close(found[..., 1].flatten(1), exact.variance)
    x = of.sample(20, rng)
    assert close(network.log_prob(x.reshape(20, *SHAPE)), dense.log_prob(x))


def test_the_denoiser_of_full_normals_is_their_law_s(rng):
    """Its estimates, its log p, and the law that it returns."""
    of, chain = full_law(), kernel()
    network = NormalsDenoiser(6, 3, chain.steps).start_at(of, chain.schedule.log_snr[1:])
    x_t, t = noisy(of, chain, rng)
    exact = of.denoise(x_t, network.level(t / chain.steps))
    found = network(x_t, t / chain.steps)
    assert close(found[..., 0], exact.mean)
    assert close(found[..., 1], exact.variance)
    x = of.sample(20, rng)
    assert close(network.log_prob(x), of.log_prob(x))
    assert close(network.law.log_prob(x), of.log_prob(x))


@pytest.mark.parametrize(("kind", "places"), [(law, 2), (full_law, 1)])
def test_float32_keeps_its_digits_at_both_ends_of_the_chain(kind, places, rng):
    """At log-SNR 15 the estimate is good to a thousandth of the noise."""
    of, chain = kind(), kernel(40, 15.0)
    network = residual(of, chain, places).denoiser
    x_t, t = noisy(of, chain, rng)
    x_t = x_t.float().double()
    exact = network.denoise(x_t, t / chain.steps)
    rough = network.denoise(x_t.float(), (t / chain.steps).float())
    noise = chain.noise(t, x_t)
    assert ((rough.mean - exact.mean).abs() < 2e-3 * noise + 1e-6).all()
    assert ((rough.variance / exact.variance).log().abs() < 2e-3).all()
    assert ((rough.eps - exact.eps).abs() < 2e-3).all()


@pytest.mark.parametrize(("kind", "places"), [(law, 2), (full_law, 1)])
def test_the_means_of_x_0_and_of_the_noise_add_up_to_x_t(kind, places, rng):
    """And the share that is left open is 1 - SNR Var[x_0 | x_t]."""
    of, chain = kind(), kernel()
    x_t, t = noisy(of, chain, rng)
    found = residual(of, chain, places).denoiser.denoise(x_t, t / chain.steps)
    signal, noise = chain.signal(t, x_t), chain.noise(t, x_t)
    assert close(signal * found.mean + noise * found.eps, x_t)
    assert close(found.free, 1 - (signal / noise) ** 2 * found.variance, atol=1e-9)


def test_a_prior_over_levels_is_the_same_to_the_last_digits_in_any_order_of_sums(rng):
    """A portable stream allows two machines to differ by 1e-12 in a probability. Examples that are
    turned upside down have the same sums in another order."""
    of, chain = law((4, 4), 2, components=1), kernel(60, 12.0)
    block = of.blocks[0]
    # Odd frequencies of the first axis change their sign when the axis is reversed.
    sign = torch.tensor([1.0, -1.0]).repeat(2)[:, None].expand(4, 4).flatten()
    other = Mixture(of.log_weight, (SpectralBlock(block.basis, sign * block.mean, block.variance),))
    head = CorrectedLevels().bind(qs.Quantized((4, 4), 256, 2.0), chain)
    x_t, t = noisy(of, chain, rng, 60)
    ours = residual(of, chain, leave_out=True)(x_t, t / chain.steps)
    turned = residual(other, chain, leave_out=True)(x_t.flip(1), t / chain.steps).flip(1)
    assert not torch.equal(ours, turned)
    first, second = (head.denoise(chain, output, x_t, t) for output in (ours, turned))
    index = torch.arange(256)
    masses = [(p.log_weights() + _tilted(p, index)).softmax(-1) for p in (first, second)]
    assert (masses[0] - masses[1]).abs().max() < 1e-12


def test_before_training_the_model_is_the_law(rng):
    """Step for step it is the chain of the law's own moments; once the last layer is not zero, the
    first one has a gradient."""
    of, chain = law(), kernel()
    model = model_of(of, chain)
    assert not model.network.corrects
    exact = qs.Diffusion(qs.Continuous(SHAPE), chain, Moments(), model.network.denoiser)
    x_t, t = noisy(of, chain, rng)
    t = t.clamp(min=2)
    ours, its = model.reverse(x_t, t - 1, t), exact.reverse(x_t, t - 1, t)
    assert close(ours.mean, its.mean)
    assert close(ours.variance, its.variance)
    qs.Bound()(model, x_t, rng).sum().backward()
    last = model.network.network.read_out.weight
    assert (last.grad[:4].abs().sum((1, 2, 3)) > 0).all()
    with torch.no_grad():
        last += 0.1
    assert model.network.corrects
    model.zero_grad()
    qs.Bound()(model, x_t, rng).sum().backward()
    assert model.network.network.read_in.weight.grad.abs().sum() > 0
    model.network.zero_output()
    assert not model.network.corrects
    assert close(model.reverse(x_t, t - 1, t).mean, its.mean)


@pytest.mark.parametrize(
    ("shape", "axes", "places"),
    [((4, 4), 2, 2), ((6,), 1, 1), ((2, 4), 1, 1), ((6,), 0, 1), ((6,), None, 1)],
)
def test_the_bound_of_the_law_s_chain_closes_at_order_one(shape, axes, places, rng):
    """K rises to the exact log p as steps get shorter: at four times the steps, a quarter of the
    gap is left; and the bound in continuous time is exact. With full normals too (None)."""
    of = full_law() if axes is None else law(shape, axes)
    x = of.sample(1500, rng).reshape(-1, *shape)
    models = [model_of(of, kernel(steps, 10.0), places) for steps in (16, 64)]
    truth = of.log_prob(x.flatten(1))
    few, many = (truth - model.score(x, None, rng=rng).nats for model in models)
    assert few.mean() > 0.3
    assert_mean(many, few.mean() / 4, slack=0.02 * len(x[0].flatten()))
    exact = models[0].score(x, method=qs.ContinuousTime(), rng=rng)
    assert close(exact.nats, truth)


def test_dequantised_bytes_have_the_law_s_density_in_raw_units(rng):
    of, chain = law((4, 4)), kernel(40, 15.0)
    model = qs.Diffusion(
        qs.Dequantized((4, 4), 256, 2.0), chain, qs.Corrected(), residual(of, chain)
    )
    raw = torch.randint(0, 256, (50, 4, 4), generator=rng).double()
    x_0 = model.space.encode(raw, torch.Generator().manual_seed(3))
    exact = of.log_prob(x_0.flatten(1)) + 16 * math.log(4 / 256)
    score = model.score(raw, method=qs.ContinuousTime(), rng=torch.Generator().manual_seed(3))
    assert close(score.nats, exact)


def test_samples_of_the_law_s_chain_have_its_moments(rng):
    of, chain = law((2, 3)), kernel(200)
    drawn = model_of(of, chain).sample(2000, rng=rng).flatten(1)
    exact = of.sample(100_000, rng)
    assert_mean(drawn, exact.mean(0), slack=0.03)
    assert_mean(drawn**2, (exact**2).mean(0), slack=0.06)


@pytest.mark.parametrize(
    "inner",
    [
        corrector(),
        DiT((8, 3, 4), 8, 1, 2, patch=1),
        Padded((8, 3, 4), UNet((8, 4, 4), 4, (1, 2), 1, ())),
    ],
    ids=["UNet", "DiT", "Padded"],
)
def test_a_model_is_saved_with_its_law(inner, rng, tmp_path):
    of, chain = law(), kernel()
    network = SpectralResidual(SHAPE, 2, 3, chain.steps, inner.to(torch.float64))
    network.denoiser.start_at(of, chain.schedule.log_snr[1:])
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=rng)
    model = qs.Diffusion(qs.Continuous(SHAPE), chain, qs.Corrected(), network)
    model.save(tmp_path / "run")
    again = qs.Diffusion.load(tmp_path / "run")
    x_t, t = noisy(of, chain, rng)
    assert torch.equal(again.output(x_t, t), model.output(x_t, t))


def test_the_network_takes_a_condition_and_the_law_does_not(rng):
    """Before training p(x | y) is the law for every y; then it depends on y."""
    of, chain = law(), kernel()
    inner = UNet((8, 3, 4), 4, (1,), 1, (), condition=3)
    network = SpectralResidual(SHAPE, 2, 3, chain.steps, inner)
    network.denoiser.start_at(of, chain.schedule.log_snr[1:])
    label = qs.conditions.ClassLabel(3)
    model = qs.Diffusion(qs.Continuous(SHAPE), chain, qs.Corrected(), network, label)
    x = of.sample(5, rng).reshape(5, *SHAPE)

    def scores() -> list[torch.Tensor]:
        return [model.given(y).score(x, 20, rng=0).nats for y in (0, 2)]

    first, second = scores()
    assert close(first, second)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=rng)
    first, second = scores()
    assert not close(first, second)


def test_a_law_that_changes_is_not_the_one_before(rng):
    chain = kernel()
    network, other = residual(law(), chain), residual(law(), chain)
    x_t, t = noisy(law(), chain, rng)
    before = network(x_t, t / chain.steps)
    with torch.no_grad():
        other.denoiser.get_buffer("mean").mul_(2)
    network.load_state_dict(other.state_dict())
    assert torch.equal(network(x_t, t / chain.steps), other(x_t, t / chain.steps))
    assert not torch.equal(network(x_t, t / chain.steps), before)


def _tilted(p, index: torch.Tensor) -> torch.Tensor:
    """The logarithm of the tilt of a law at its levels."""
    x = p.values[index]
    return p.linear[..., None] * x - p.precision[..., None] * x**2 / 2


# The head of levels.


def test_the_prior_of_a_level_is_the_law_given_the_other_values(rng):
    """The value's own x_t leaves its prior as it is: that of the normal given all others."""
    of, chain = law((2, 2), 2, components=1), kernel(40, 12.0)
    head = CorrectedLevels().bind(qs.Quantized((2, 2), 256, 6.0), chain)
    network = residual(of, chain, leave_out=True)
    x_t, t = noisy(of, chain, rng, 12)
    dense = of.blocks[0].dense
    prior = head.prior(network(x_t, t / chain.steps))
    moved = x_t.clone()
    moved[:, 0, 0] += 0.01
    other = head.prior(network(moved, t / chain.steps))
    assert close(other.loc[:, 0, 0], prior.loc[:, 0, 0])
    # Exactly: the marginal of x_t without the first value, and x_0 of that value.
    for row in range(12):
        signal, noise = (f(t[row : row + 1], x_t)[0].item() for f in (chain.signal, chain.noise))
        covariance, mean = dense.covariance[0], dense.mean[0]
        seen = signal**2 * covariance[1:, 1:] + noise**2 * torch.eye(3)
        weight = torch.linalg.solve(seen, signal * covariance[1:, 0])
        off = x_t[row].flatten()[1:] - signal * mean[1:]
        assert close(prior.loc[row, 0, 0, 0], mean[0] + weight @ off)
        variance = covariance[0, 0] - signal * weight @ covariance[1:, 0]
        scale = (prior.log_scale[row, 0, 0, 0].exp() * math.pi / math.sqrt(3)) ** 2
        least = (12 / 256 / 16 * math.pi / math.sqrt(3)) ** 2
        assert scale.sqrt().item() == pytest.approx(
            variance.sqrt().item() + math.sqrt(least), rel=1e-5
        )


def test_corrections_of_levels_are_in_deviations_of_the_prior():
    """f moves the logistic by deviations, and g scales it by exp(3 tanh(g / 3))."""
    space, chain = qs.Quantized(1, 256, 2.0), kernel()
    head = CorrectedLevels().bind(space, chain)
    law = head.prior(torch.tensor([[[0.3 / 0.25, 1 / 0.25, 0.0, 0.0]]]))
    moved = head.prior(torch.tensor([[[0.3 / 0.25, 1 / 0.25, 2.0, 0.5]]]))
    assert law.loc.item() == pytest.approx(0.3)
    assert moved.loc.item() == pytest.approx(0.3 + 2 * 0.5)
    least = math.log(4 / 256 / 16)
    inner = [math.log(math.exp(each.log_scale.item()) - math.exp(least)) for each in (law, moved)]
    assert inner[0] == pytest.approx(math.log(0.5 * math.sqrt(3) / math.pi))
    assert inner[1] - inner[0] == pytest.approx(3 * math.tanh(0.5 / 3))


def test_levels_of_a_normal_cost_their_masses(rng):
    """Values that are independent normals, finely quantised: K of the head is close to the log-mass
    of each, at a cost for the shape of a logistic."""
    basis = CosineBasis.plain((2, 2), 2)
    block = SpectralBlock(basis, torch.zeros(1, 4), torch.full((1, 4), 0.25))
    of, chain = Mixture(torch.zeros(1), (block,)), kernel(200, 12.0)
    space = qs.Quantized((2, 2), 64, 3.0)
    model = qs.Diffusion(space, chain, CorrectedLevels(), residual(of, chain, leave_out=True))
    raw = space.decode(0.5 * torch.randn(500, 2, 2, generator=rng))
    x_0 = space.encode(raw)
    normal = torch.distributions.Normal(0.0, 0.5)
    half = 3 / 64
    exact = (normal.cdf(x_0 + half) - normal.cdf(x_0 - half)).log().sum((1, 2))
    logistic = model.score(raw, None, rng=rng).nats
    assert 0 < (exact - logistic).mean() < 4 * 0.05


def test_float32_has_finite_losses_where_the_law_is_sure(float32, rng):
    """A law with hardly any variance: the likelihood that is divided out is nearly all."""
    basis = CosineBasis.plain((2, 2), 2)
    block = SpectralBlock(basis, torch.zeros(1, 4), torch.full((1, 4), 1e-9))
    of, chain = Mixture(torch.zeros(1), (block,)), kernel(100, 15.0)
    network = residual(of, chain, leave_out=True).float()
    model = qs.Diffusion(qs.Quantized((2, 2), 256, 2.0), chain, CorrectedLevels(), network)
    raw = torch.tensor([[[127.0, 128.0], [0.0, 255.0]]]).expand(200, 2, 2)
    loss = qs.Bound()(model, raw, rng)
    loss.sum().backward()
    assert loss.isfinite().all()
    grads = [w.grad for w in model.parameters() if w.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)


def test_bad_parts_get_a_clear_error():
    with pytest.raises(ValueError, match=r"examples of shape \(8, 3, 4\), got \(2, 3, 4\)"):
        SpectralResidual(SHAPE, 2, 3, 10, UNet(SHAPE, 4, (1,), 1, ()))
    with pytest.raises(TypeError, match="a network with a field `shape`"):
        SpectralResidual(SHAPE, 2, 3, 10, torch.nn.Linear(2, 2))
    network = SpectralDenoiser(SHAPE, 2, 3, 10)
    with pytest.raises(ValueError, match="log_snr must be finite and have shape"):
        network.start_at(law(), torch.zeros(3))
    dense = GaussianBlock.full(torch.zeros(1, 24), torch.eye(24)[None])
    with pytest.raises(TypeError, match="a law of one SpectralBlock"):
        network.start_at(Mixture(torch.zeros(1), (dense,)), torch.zeros(10))
    with pytest.raises(TypeError, match=r"needs a space with levels .* use Corrected"):
        CorrectedLevels().bind(qs.Continuous(2), kernel())
    with pytest.raises(TypeError, match="signal and noise scales"):
        CorrectedLevels().bind(qs.Binary(2), qs.BinomialKernel(schedules.erase_evenly(5)))


# --- a law for each class


def laws(classes: int = 3, axes: int = 0) -> LawPerClass:
    """Laws that differ, each in a basis of its own."""
    found = []
    for k in range(classes):
        rng, plain = torch.Generator().manual_seed(k), CosineBasis.plain(SHAPE, axes)
        turned = torch.linalg.qr(torch.randn(plain.directions.shape, generator=rng))[0]
        mean = 0.4 * torch.randn(2, plain.width, generator=rng)
        variance = 0.1 + torch.rand(2, plain.width, generator=rng)
        block = SpectralBlock(CosineBasis(SHAPE, axes, turned), mean, variance)
        found.append(Mixture(torch.tensor([0.3, 0.7]).log(), (block,)))
    return LawPerClass(torch.tensor([0.5, 0.3, 0.2]).log(), tuple(found))


def whole(of: LawPerClass) -> Mixture:
    """p(x) as one mixture of full matrices."""
    blocks = [law.blocks[0].dense for law in of.laws]
    weight = [law.log_weight + p for law, p in zip(of.laws, of.log_prior, strict=True)]
    return Mixture(torch.cat(weight), (GaussianBlock.joined(blocks),))


def labelled_model(of: LawPerClass, chain: GaussianKernel) -> qs.Diffusion:
    inner = UNet((8, 3, 4), 4, (1,), 1, (), condition=3)
    network = SpectralResidual(
        SHAPE, of.laws[0].blocks[0].basis.axes, 2, chain.steps, inner, False, 3
    )
    network.denoiser.start_at(of, chain.schedule.log_snr[1:])
    return qs.Diffusion(
        qs.Continuous(SHAPE), chain, qs.Corrected(), network, qs.conditions.ClassLabel(3)
    )


@pytest.mark.parametrize("axes", [0, 2])
def test_given_a_class_the_denoiser_is_its_law_s_and_else_that_of_all(axes, rng, monkeypatch):
    of, chain = laws(axes=axes), kernel()
    network = PerClassDenoiser(SHAPE, axes, 2, chain.steps, 3)
    network.start_at(of, chain.schedule.log_snr[1:])
    x_t, t = noisy(of.laws[1], chain, rng)
    label = torch.arange(len(x_t)) % 4  # the fourth is not given
    codes = torch.nn.functional.one_hot(label, 4)[:, :3].to(x_t)
    exact = [
        Mixture(law.log_weight, (law.blocks[0].dense,)).denoise(
            x_t.flatten(1), network.level(t / chain.steps)
        )
        for law in of.laws
    ]
    exact.append(whole(of).denoise(x_t.flatten(1), network.level(t / chain.steps)))
    for on_host in (True, False):  # all classes of all rows, as on a GPU
        if not on_host:
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        found = network.denoise(x_t, t / chain.steps, codes)
        for k, expected in enumerate(exact):
            rows = label == k
            assert close(found.mean[rows].flatten(1), expected.mean[rows])
            assert close(found.variance[rows].flatten(1), expected.variance[rows])
        signal, noise = chain.signal(t, x_t), chain.noise(t, x_t)
        assert close(signal * found.mean + noise * found.eps, x_t)
        assert close(found.free, 1 - (signal / noise) ** 2 * found.variance, atol=1e-9)


def test_before_training_the_model_has_the_exact_density_of_each_class(rng):
    of, chain = laws(), kernel(60)
    model, x = labelled_model(of, chain), of.laws[2].sample(12, rng)
    raw, each = x.reshape(-1, *SHAPE), of.log_prob_of_classes(x)
    method = qs.likelihood.ContinuousTime(4)
    for k in range(3):
        assert close(model.score(raw, given=k, method=method, rng=0).nats, each[:, k])
    assert close(model.score(raw, method=method, rng=0).nats, whole(of).log_prob(x))
    found = model.classify(raw, 24, 16, rng=0, prior=of.log_prior.exp().tolist())
    assert (found.label == of.log_posterior(x).argmax(1)).double().mean() > 0.9


def test_a_model_is_saved_with_the_laws_of_its_classes(rng, tmp_path):
    model = labelled_model(laws(), kernel())
    model.save(tmp_path)
    again = qs.load(tmp_path)
    x = laws().laws[0].sample(4, rng).reshape(-1, *SHAPE)
    for y in (None, 1):
        assert torch.equal(model.score(x, rng=0, given=y).nats, again.score(x, rng=0, given=y).nats)
    assert (
        "classes" not in residual(law(), kernel()).__dict__ or not residual(law(), kernel()).classes
    )


def test_laws_of_classes_that_do_not_fit_get_a_clear_error():
    inner = UNet((8, 3, 4), 4, (1,), 1, (), condition=4)
    with pytest.raises(ValueError, match="condition=3"):
        SpectralResidual(SHAPE, 2, 2, 40, inner, False, 3)
    with pytest.raises(ValueError, match="3 classes need as many laws"):
        LawPerClass(torch.zeros(3), laws().laws[:2])
    space = qs.Continuous(SHAPE)
    with pytest.raises(ValueError, match=r"ClassLabel\(3\)"):
        qs.spectral_model(space, laws(), width=4)
