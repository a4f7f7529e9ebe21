"""The closed-form law: blocks with holes and noise, by quadrature, enumeration and Tweedie."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from conftest import assert_mean, close
from quasistatic.distributions.mixtures import (
    AtomBlock,
    Block,
    CategoricalBlock,
    CosineBasis,
    GaussianBlock,
    Mixture,
    NoiseLevel,
    RowDraws,
    SharedDraws,
    SpectralBlock,
)

K = 3
WEIGHT = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
SIZES = (2, 3)
REAL = (GaussianBlock, SpectralBlock)
PLACES = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normals(kind: str) -> GaussianBlock:
    """Three components in two dimensions, with each way to hold a covariance."""
    rng = generator()
    mean = 1.5 * torch.randn(K, 2, generator=rng)
    root = torch.randn(K, 2, 2, generator=rng)
    full = root @ root.mT + 0.1 * torch.eye(2)
    if kind == "shared":
        return GaussianBlock.full(mean, full[:1])
    if kind == "scaled":
        of = torch.tensor([0, 1, 0])
        return GaussianBlock(mean, full[:2], of, torch.tensor([1.0, 0.5, 4.0]))
    if kind == "low rank":
        factor = torch.randn(K, 2, 1, generator=rng)
        return GaussianBlock.low_rank(mean, factor, torch.full((K, 2), 0.2))
    return GaussianBlock.full(mean, full)


def spectra(axes: int) -> SpectralBlock:
    """Three components in two dimensions, in cosines or in directions of whole examples."""
    rng = generator(7)
    basis = CosineBasis.plain((2,), axes)
    if axes == 0:
        turned = torch.linalg.qr(torch.randn(1, 2, 2, generator=rng).double())[0]
        basis = CosineBasis((2,), 0, turned)
    mean = 1.5 * torch.randn(K, 2, generator=rng)
    return SpectralBlock(basis.to(mean), mean, 0.1 + torch.rand(K, 2, generator=rng))


def classes() -> CategoricalBlock:
    logits = torch.randn(K, 5, generator=generator(1)).split(SIZES, 1)
    return CategoricalBlock(torch.cat([each.log_softmax(1) for each in logits], 1), SIZES)


def atoms() -> AtomBlock:
    return AtomBlock(PLACES, torch.randn(K, 3, generator=generator(2)).log_softmax(1))


LAWS: dict[str, Callable[[], list[Block]]] = {
    "full": lambda: [normals("full")],
    "shared": lambda: [normals("shared")],
    "scaled": lambda: [normals("scaled")],
    "low rank": lambda: [normals("low rank")],
    "cosines": lambda: [spectra(1)],
    "whole examples": lambda: [spectra(0)],
    "classes": lambda: [classes()],
    "atoms": lambda: [atoms()],
    "normals and classes": lambda: [normals("full"), classes()],
    "cosines and classes": lambda: [spectra(1), classes()],
    "all": lambda: [normals("scaled"), classes(), atoms()],
}
every_law = pytest.mark.parametrize("name", LAWS)
LEVELS = [(0.9, 0.3, 0.8), (0.5, 0.8, 0.3)]
every_level = pytest.mark.parametrize("scales", LEVELS)


def law(name: str) -> Mixture:
    return Mixture(WEIGHT, tuple(LAWS[name]()))


def level(rows: int, signal: float, noise: float, keep: float) -> NoiseLevel:
    each = (torch.full((rows, 1), value) for value in (signal, noise, keep))
    return NoiseLevel(*each, torch.tensor([0.7, 0.3, 0.2, 0.3, 0.5]).log())


def support(block: Block, points: int = 161) -> tuple[Tensor, float]:
    """All values of a block, on a grid where it is continuous, and the size of a grid's cell."""
    if isinstance(block, REAL):
        line = torch.linspace(-11, 11, points)
        return torch.cartesian_prod(line, line), ((line[1] - line[0]) ** 2).item()
    if isinstance(block, CategoricalBlock):
        index = torch.cartesian_prod(torch.arange(2), torch.arange(3))
        return torch.eye(5)[index[:, 0]] + torch.eye(5)[2 + index[:, 1]], 1.0
    return PLACES[:, None], 1.0


def every_value(of: Mixture, points: int = 161) -> tuple[Tensor, float]:
    """All rows of a law, and the size of a grid's cell."""
    rows, cell = torch.zeros(1, 0), 1.0
    for block in of.blocks:
        values, size = support(block, points)
        rows = torch.cat([rows.repeat_interleave(len(values), 0), values.repeat(len(rows), 1)], 1)
        cell *= size
    return rows, cell


def rows_of(of: Mixture, n: int, share: float) -> Tensor:
    """Draws with holes in a share of the columns; a class is missing as a whole."""
    x, rng = of.sample(n, generator(3)), generator(4)
    first = 0
    for block in of.blocks:
        sizes = block.sizes if isinstance(block, CategoricalBlock) else (1,) * block.width
        for size in sizes:
            hidden = torch.rand(n, generator=rng) < share
            x[hidden, first : first + size] = math.nan
            first += size
    return x


@every_law
def test_a_law_sums_to_one(name):
    of = law(name)
    x, cell = every_value(of)
    assert of.log_prob(x).exp().sum().item() * cell == pytest.approx(1, abs=1e-6)


@every_law
def test_a_hole_is_the_sum_over_what_may_stand_there(name):
    """The marginal of each row with holes is the joint, summed over all values of its holes."""
    of = law(name)
    x = rows_of(of, 12, 0.5)
    grid, _ = every_value(of, 121)
    cell = 22 / 120
    for row in x:
        hidden = row.isnan()
        if not hidden.any():
            continue
        whole = torch.where(hidden, grid, row).unique(dim=0)
        reals = hidden[:2].sum().item() if isinstance(of.blocks[0], REAL) else 0
        total = of.log_prob(whole).exp().sum() * cell**reals
        assert of.log_prob(row[None]).exp().item() == pytest.approx(total.item(), rel=1e-3)


@every_law
def test_what_is_conditioned_is_the_joint_over_the_marginal(name):
    """Draws of the holes have the mean and the second moment that enumeration gives, and observed
    values come back."""
    of = law(name)
    x = rows_of(of, 40, 0.5)
    row = x[x.isnan().any(1)][:1]
    drawn = of.complete(row, 20_000, SharedDraws(generator()))[0]
    hidden = row[0].isnan()
    assert torch.equal(drawn[:, ~hidden], row[:, ~hidden].expand(20_000, -1))
    grid, _ = every_value(of, 121)
    whole = torch.where(hidden, grid, row).unique(dim=0)
    share = of.log_prob(whole).softmax(0)
    values, exact = drawn[:, hidden], whole[:, hidden]
    assert_mean(values, share @ exact, slack=3e-3)
    second = (share[:, None, None] * exact[:, :, None] * exact[:, None]).sum(0)
    assert_mean(values[:, :, None] * values[:, None], second, slack=2e-2)


@every_law
def test_draws_have_the_moments_of_the_density(name):
    of = law(name)
    grid, cell = every_value(of, 121)
    share = of.log_prob(grid).exp() * cell
    drawn = of.sample(40_000, generator())
    assert_mean(drawn, share @ grid, slack=1e-3)
    second = (share[:, None, None] * grid[:, :, None] * grid[:, None]).sum(0)
    assert_mean(drawn[:, :, None] * drawn[:, None], second, slack=1e-2)


def noisy(of: Mixture, x: Tensor, at: NoiseLevel) -> Tensor:
    """Draws of x_t; a hole stays one."""
    rng, parts = generator(5), []
    for block, x_0 in zip(of.blocks, x.split(of.widths, 1), strict=True):
        if not isinstance(block, CategoricalBlock):
            eps = torch.randn(x_0.shape, generator=rng)
            parts.append(at.signal * x_0 + at.noise * eps)
            continue
        first = 0
        for size in block.sizes:
            pi = at.log_pi[first : first + size].exp()
            fresh = torch.eye(size)[torch.multinomial(pi, len(x), True, generator=rng)]
            kept = torch.rand(len(x), 1, generator=rng) < at.keep
            each = x_0[:, first : first + size]
            parts.append(torch.where(kept | each.isnan(), each, fresh))
            first += size
    return torch.cat(parts, 1)


def log_q(of: Mixture, x_t: Tensor, at: NoiseLevel) -> Tensor:
    """log q(x_t) of the noisy law, as the evidence of the blocks has it."""
    parts = zip(of.blocks, x_t.split(of.widths, 1), strict=True)
    says = [block.evidence(x, at).log_p.sum(2) for block, x in parts]
    return (of.log_weight[:, None] + torch.stack(says).sum(0)).logsumexp(0)


@every_law
@every_level
@pytest.mark.parametrize("holes", [0.0, 0.4])
def test_real_values_are_denoised_as_tweedie_has_it(name, scales, holes):
    """E[x_0 | x_t] = (x_t + noise^2 g) / signal and Var = noise^2 (1 + noise^2 h) / signal^2, where
    g and h are the first two derivatives of log q(x_t), wherever a value is observed."""
    of = law(name)
    x = rows_of(of, 6, holes)
    at = level(len(x), *scales)
    x_t = noisy(of, x, at)
    found = of.denoise(x_t, at)
    real = torch.cat(
        [torch.full((b.width,), not isinstance(b, CategoricalBlock)) for b in of.blocks]
    )
    for i, row in enumerate(x_t):
        free = (~row.isnan() & real).nonzero()[:, 0]
        one = at.rows(slice(i, i + 1))

        def density(values, row=row, free=free, one=one):
            return log_q(of, row.index_put((free,), values)[None], one)[0]

        if not len(free):
            continue
        slope = torch.autograd.functional.jacobian(density, row[free])
        curve = torch.autograd.functional.hessian(density, row[free]).diagonal()
        signal, noise = scales[:2]
        assert close(found.mean[i, free], (row[free] + noise**2 * slope) / signal, atol=1e-9)
        variance = noise**2 * (1 + noise**2 * curve) / signal**2
        assert close(found.variance[i, free], variance, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("name", ["classes", "normals and classes", "cosines and classes", "all"])
@every_level
@pytest.mark.parametrize("holes", [0.0, 0.4])
def test_classes_are_denoised_as_bayes_has_it(name, scales, holes):
    """By enumeration over the class: p(x_0 = v | all of x_t), and the prior by the other columns
    of x_t alone."""
    of = law(name)
    x = rows_of(of, 8, holes)
    at = level(len(x), *scales)
    x_t = noisy(of, x, at)
    found = of.denoise(x_t, at)
    begin = 0 if name == "classes" else 2
    for first, size in ((begin, 2), (begin + 2, 3)):
        here = slice(first, first + size)
        others = x_t.clone()
        others[:, here] = math.nan
        joint = []
        for v in range(size):
            # x_0 = v is what x_t would be without noise in this column.
            p_v = _with_class(of, others, at, first - begin, v)
            joint.append(p_v)
        prior = torch.stack(joint, 1).log_softmax(1)
        assert close(found.log_prior[:, here], prior, atol=1e-9)
        pi = at.log_pi[first - begin : first - begin + size].exp()
        seen = x_t[:, here]
        keep = scales[2]
        like = keep * seen + (1 - keep) * (seen * pi).sum(1, keepdim=True)
        like = torch.where(seen.isnan(), 1.0, like)
        exact = (prior.exp() * like) / (prior.exp() * like).sum(1, keepdim=True)
        assert close(found.mean[:, here], exact, atol=1e-9)
        assert close(found.variance[:, here], exact * (1 - exact), atol=1e-9)


def _with_class(of: Mixture, x_t: Tensor, at: NoiseLevel, value: int, v: int) -> Tensor:
    """log p(x_0 = v in one column, the other columns of x_t)."""
    says = of.log_weight[:, None].expand(-1, len(x_t))
    for block, x in zip(of.blocks, x_t.split(of.widths, 1), strict=True):
        says = says + block.evidence(x, at).log_p.sum(2)
        if isinstance(block, CategoricalBlock):
            says = says + block.log_p[:, value + v, None]
    return says.logsumexp(0)


@every_law
def test_next_to_no_noise_leaves_the_conditional_law(name):
    """With signal 1, hardly any noise and all classes kept, what is denoised of a hole is its
    conditional mean and variance."""
    of = law(name)
    x = rows_of(of, 12, 0.5)
    given = of.condition(x).moments()
    found = of.denoise(x, level(len(x), 1.0, 1e-5, 1.0 - 1e-12))
    hidden = x.isnan()
    assert close(found.mean[hidden], given.mean[hidden], atol=1e-6)
    assert close(found.variance[hidden], given.variance[hidden], atol=1e-6)


@every_law
def test_pieces_and_patterns_change_nothing(name, monkeypatch):
    """Rows alone, all together, and in pieces of a few rows have the same log p, and come back in
    their order."""
    of = law(name)
    x = rows_of(of, 60, 0.4)
    whole = of.log_prob(x)
    alone = torch.cat([of.log_prob(row[None]) for row in x])
    assert close(whole, alone)
    monkeypatch.setattr("quasistatic.distributions.mixtures.mixture.LARGEST", 100)
    monkeypatch.setattr("quasistatic.distributions.mixtures.gaussian_block.AT_ONCE", 40)
    assert close(of.log_prob(x), whole)
    at = level(len(x), *LEVELS[0])
    found = of.denoise(x, at)
    assert close(found.mean[7:8], of.denoise(x[7:8], at.rows(slice(7, 8))).mean)


@every_law
def test_rows_with_holes_of_their_own_are_drawn_in_pieces_that_fit(name, monkeypatch):
    """The draws are those of all rows together, and no piece has matrices beyond the limit."""
    of = law(name)
    x = rows_of(of, 60, 0.4)
    draw = lambda: of.complete(x, 3, RowDraws.of(x.numpy(), 0))  # noqa: E731
    whole, sizes, condition = draw(), [], Mixture.condition
    monkeypatch.setattr("quasistatic.distributions.mixtures.mixture.LARGEST", 4000)
    monkeypatch.setattr(
        Mixture, "condition", lambda self, rows: sizes.append(len(rows)) or condition(self, rows)
    )
    assert close(draw(), whole)
    parts = zip(of.blocks, torch.split(x, list(of.widths), 1), strict=True)
    most = int(torch.stack([block.table_size(part) for block, part in parts]).sum(0).max())
    assert sum(sizes) == 60
    assert max(sizes) <= max(1, 1000 // most)


@every_law
def test_joined_laws_are_their_mixture(name):
    of = law(name)
    other = Mixture(WEIGHT.flip(0), of.blocks)
    x = rows_of(of, 30, 0.3)
    both = Mixture.joined([of, other], [0.25, 0.75])
    each = torch.stack([of.log_prob(x) + math.log(0.25), other.log_prob(x) + math.log(0.75)])
    assert close(both.log_prob(x), each.logsumexp(0))


def test_float32_keeps_its_digits_at_high_log_snr():
    """Where the noise has a deviation of 1e-3, the estimate is good to a thousandth of it."""
    of = law("full")
    x = of.sample(60, generator())
    at = level(60, (1 - 1e-6) ** 0.5, 1e-3, 0.9)
    x_t = noisy(of, x, at)
    exact, like = of.denoise(x_t, at), x_t.float()
    rough = of.to(like).denoise(like, at.to(like))
    assert ((rough.mean - exact.mean).abs() < 1e-6).all()
    assert ((rough.variance / exact.variance).log().abs() < 1e-3).all()


def test_the_draws_of_a_row_do_not_depend_on_the_rows_beside_it():
    of = law("all")
    x = rows_of(of, 30, 0.5)
    order = torch.randperm(30, generator=generator())

    def drawn(rows: Tensor, distinct: bool = False) -> Tensor:
        return of.complete(rows, 4, RowDraws.of(rows.numpy(), 0, distinct))

    whole = drawn(x)
    assert torch.equal(drawn(x[order]), whole[order])
    assert torch.equal(drawn(x[3:4]), whole[3:4])
    row = x[x.isnan().any(1)][:1].repeat(2, 1)
    same, other = drawn(row), drawn(row, distinct=True)
    assert torch.equal(same[0], same[1])
    assert not torch.equal(other[0], other[1])


def test_blocks_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="a mixture of 2 components needs blocks of as many"):
        Mixture(torch.zeros(2), (normals("full"),))


def test_a_whole_row_is_computed_alike_beside_rows_with_holes():
    """Of a nearly singular covariance, two ways to compute log p differ in the seventh digit."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(3, 4, 4, generator=rng)
    root[:, :, -1] = root[:, :, 0] + 3e-5 * root[:, :, -1]
    matrix = root.mT @ root
    block = GaussianBlock.full(torch.randn(3, 4, generator=rng), matrix)
    law = Mixture(torch.full((3,), -math.log(3)), (block,))
    whole = law.sample(4, rng)
    holed = whole.clone()
    holed[torch.arange(4), torch.arange(4)] = torch.nan  # as many rows of each pattern
    alone = law.log_prob(whole[:1])
    beside = law.log_prob(torch.cat([whole[:1], holed]))[:1]
    torch.testing.assert_close(beside, alone, rtol=1e-13, atol=0)
