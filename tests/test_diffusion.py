"""A model as two files on disk, and its verbs on what users hand them."""

import dataclasses
import json
import math
import os
import re

import numpy as np
import pytest
import torch
from torch import nn

import quasistatic as qs
from quasistatic.diffusion import Diffusion, registry
from quasistatic.kernels.schedules import cosine, erase_evenly, linear_log_snr
from quasistatic.sampling import SMC


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def continuous() -> Diffusion:
    torch.manual_seed(0)
    space = qs.Continuous(4, (0.1, -3.0, 7.0, 1e3), (0.3, 2.0, 5.0, 1e2))
    kernel = qs.GaussianKernel(linear_log_snr(12, 5.0, -5.0))
    return Diffusion(space, kernel, qs.Clean(qs.FixedLarge()), qs.networks.MLP(4, 16, 1))


def binary() -> Diffusion:
    torch.manual_seed(0)
    network = qs.networks.MLP((2, 3), 16, 1)
    return Diffusion(qs.Binary((2, 3)), qs.BinomialKernel(cosine(10), 0.3), qs.Clean(), network)


def quantized() -> Diffusion:
    torch.manual_seed(0)
    network = qs.networks.MLP(4, 16, 1, outputs=5)
    kernel = qs.GaussianKernel(linear_log_snr(12, 5.0, -5.0))
    return Diffusion(qs.Quantized(4, 5, spread=1.5), kernel, qs.Levels(), network)


def stepwise() -> Diffusion:
    torch.manual_seed(0)
    network = qs.networks.RBF(4, 6, 12, outputs=2)
    nn.init.normal_(network.read_out, std=0.1)
    kernel = qs.GaussianKernel(linear_log_snr(12, 4.0, -4.0))
    return Diffusion(qs.Continuous(4), kernel, qs.Natural(qs.Sigmoid()), network)


MODELS = {f.__name__: f for f in (continuous, binary, quantized, stepwise)}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


def data(model: Diffusion, n: int, seed: int = 1) -> torch.Tensor:
    """Raw data that the space holds, in the type of the weights."""
    space = model.space
    if isinstance(space, qs.Continuous):
        return space.decode(torch.randn(n, *space.shape, generator=seeded(seed)))
    count = len(space.levels)
    whole = torch.randint(count, (n, *space.shape), generator=seeded(seed))
    return whole.to(torch.get_default_dtype())


# save and load


@every_model
def test_a_loaded_model_scores_draws_and_completes_bit_for_bit(make, tmp_path):
    model = make()
    x = data(model, 5)
    model.save(tmp_path / "m", note="kept")
    loaded = qs.load(tmp_path / "m")
    assert not any(part.training for part in loaded.modules())
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    mine, its = model.score(x, 7, rng=seeded()), loaded.score(x, 7, rng=seeded())
    assert torch.equal(mine.nats, its.nats)
    assert torch.equal(model.sample(3, rng=seeded()), loaded.sample(3, rng=seeded()))
    mask = torch.rand(x.shape, generator=seeded()) < 0.5
    drawn = [m.complete(x, mask, 2, rng=seeded(), method=SMC(4)).draws for m in (model, loaded)]
    assert torch.equal(*drawn)
    assert loaded.describe() == model.describe()
    assert sorted(os.listdir(tmp_path / "m")) == ["config.json", "model.safetensors"]


@pytest.fixture
def saved(tmp_path):
    binary().save(tmp_path)
    return tmp_path


def edit(folder, change) -> None:
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def test_a_missing_folder_or_file_is_named(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"there is no folder {tmp_path / 'no'}")):
        qs.load(tmp_path / "no")
    (saved / "model.safetensors").rename(saved / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*model\.safetensors"):
        qs.load(saved)
    (saved / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        qs.load(saved)


def test_damaged_files_are_named(saved):
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        qs.load(saved)
    for text in ("", "{", "[]", "3", '{"format": 1}', '{"model": {}}'):
        (saved / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config\.json is damaged"):
            qs.load(saved)


def test_weights_that_are_nan_are_refused(tmp_path):
    model = binary()
    weight = next(model.network.parameters())
    with torch.no_grad():
        weight.view(-1)[3] = torch.nan
    model.save(tmp_path)
    with pytest.raises(ValueError, match=r"holds NaN in 1 of \d+ values of network\..*diverged"):
        qs.load(tmp_path)


@every_model
def test_weights_that_are_nan_draw_nothing(make):
    """They would give NaN, and for bits and levels zeros. The error names the tensor."""
    model = make()
    x = data(model, 2)
    name, weight = next(iter(model.network.named_parameters()))
    with torch.no_grad():
        weight.view(-1)[0] = torch.nan
    for draw in (
        lambda: model.sample(2, rng=0),
        lambda: model.complete(x, torch.ones(x.shape), rng=0, method=qs.Guided("constant")),
        lambda: model.complete(x, torch.ones(x.shape), rng=0, method=SMC(4)),
        lambda: model.compress(x),
    ):
        with pytest.raises(ValueError, match=rf"hold NaN, network\.{re.escape(name)} first"):
            draw()


@every_model
def test_examples_of_another_width_are_named_by_completion(make):
    x = torch.zeros(3, 9)
    for use in (make().impute, lambda x: make().complete(x, torch.ones(x.shape))):
        with pytest.raises(ValueError, match=r"x must have shape \(examples, .*\), got \(3, 9\)"):
            use(x)


@every_model
def test_what_numpy_masks_is_missing(make):
    """The value beneath the mask is in no answer: holes are refused where there may be none, and
    are filled by `impute` and `complete`."""
    model = make()
    x = data(model, 3).numpy()
    hidden = np.zeros(x.shape, bool)
    hidden[1].flat[2] = True
    masked = np.ma.array(np.where(hidden, 7, x), mask=hidden)
    where = str(tuple(int(k) for k in np.argwhere(hidden)[0]))
    for use in (model.score, model.compress, lambda x: qs.fit(model, x, steps=1)):
        with pytest.raises(
            ValueError, match=r"holds (nan at " + re.escape(where) + "|NaN in 1 of)"
        ):
            use(masked)
    holes = model.impute(np.where(hidden, np.nan, x), 3, rng=0, method=SMC(4)).draws
    assert torch.equal(model.impute(masked, 3, rng=0, method=SMC(4)).draws, holes)
    nothing = np.zeros(x.shape, bool)
    assert torch.equal(model.complete(masked, nothing, 3, rng=0, method=SMC(4)).draws, holes)
    whole = np.ma.array(x, mask=nothing)
    assert torch.equal(model.score(whole, rng=0).nats, model.score(x, rng=0).nats)


@every_model
def test_a_score_that_is_nan_is_an_error(make):
    """Of whatever method, and the first such example is named."""
    model = make()
    x = data(model, 4)
    whole = model.network.forward

    def broken(x_t, time):
        out = whole(x_t, time)
        out[torch.arange(len(out)) % 4 == 2] = torch.nan
        return out

    model.network.forward = broken
    with pytest.raises(ValueError, match="is NaN, first of example"):
        model.score(x, None, rng=0)
    with pytest.raises(ValueError, match="is NaN, first of example"):
        model.score(x, rng=0, method=qs.Importance(4))


def test_another_version_is_named(saved):
    edit(saved, lambda stored: stored.update(format=2))
    with pytest.raises(ValueError, match="has format 2, and this version of quasistatic reads 1"):
        qs.load(saved)


def test_weights_of_another_width_do_not_fit(saved):
    edit(saved, lambda stored: stored["model"]["network"].update(width=17))
    with pytest.raises(ValueError, match=r"(?s)do not fit its config\.json.*should have shape"):
        qs.load(saved)


def test_numbers_that_the_weights_do_not_earn_are_refused(tmp_path):
    """Before an example of that size is made."""
    model = continuous()
    model.save(tmp_path)
    edit(tmp_path, lambda stored: stored["model"]["space"].update(shape=[10**8], shift=0, scale=1))
    with pytest.raises(ValueError, match=r"has more than 4,.* values, the most for a network of"):
        qs.load(tmp_path)


def test_a_description_that_lacks_a_part_is_named(saved):
    edit(saved, lambda stored: stored["model"].pop("kernel"))
    with pytest.raises(ValueError, match="the description of a model lacks kernel"):
        qs.load(saved)
    edit(saved, lambda stored: stored["model"].update(kernel={"is": "GausianKernel"}))
    with pytest.raises(ValueError, match="did you mean GaussianKernel"):
        qs.load(saved)


class Own(nn.Module):
    """A network of the user's own class."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x, time):
        return (self.scale * x.cumsum(-1))[..., None]


def test_a_network_of_ones_own_is_named_and_has_to_be_given(tmp_path):
    model = Diffusion(qs.Binary(3), qs.BinomialKernel(cosine(5)), qs.Clean(), Own())
    nn.init.constant_(model.network.scale, 0.3)
    model.save(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model"]["network"] == {"is": "Own"}
    with pytest.raises(ValueError, match=r"class Own, .* load\(folder, network=Own"):
        qs.load(tmp_path)
    loaded = qs.load(tmp_path, network=Own())
    x = data(model, 4)
    assert torch.equal(loaded.score(x, rng=seeded()).nats, model.score(x, rng=seeded()).nats)


def registered() -> type:
    """A network of a user, as a notebook defines it again and again."""

    @dataclasses.dataclass(eq=False)
    class Registered(nn.Module):
        start: float = 0.5

        def __post_init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(self.start))

        def forward(self, x, time):
            return (self.scale * x.cumsum(-1))[..., None]

    return Registered


@pytest.fixture
def own_classes():
    """What a test registers is forgotten at its end."""
    before = dict(registry.KNOWN), dict(registry.OWN)
    yield
    for names, earlier in zip((registry.KNOWN, registry.OWN), before, strict=True):
        names.clear()
        names.update(earlier)


def test_a_network_that_is_registered_loads_by_its_name(tmp_path, own_classes):
    kind = registered()
    model = Diffusion(qs.Binary(3), qs.BinomialKernel(cosine(5)), qs.Clean(), kind(0.3))
    model.save(tmp_path)
    says = r"network=Registered\(start=0.3\)\), or make the class known before, as register\(Reg"
    with pytest.raises(ValueError, match=says):
        qs.load(tmp_path)
    assert qs.register(kind) is kind
    loaded = qs.load(tmp_path)
    assert type(loaded.network) is kind
    assert loaded.network.start == 0.3
    x = data(model, 4)
    assert torch.equal(loaded.score(x, rng=seeded()).nats, model.score(x, rng=seeded()).nats)
    newer = qs.register(registered())  # the same definition, run again
    assert type(qs.load(tmp_path).network) is newer


def test_what_cannot_be_registered(own_classes):
    with pytest.raises(TypeError, match="takes a dataclass"):
        qs.register(Own)
    with pytest.raises(TypeError, match="takes a dataclass"):
        qs.register(Own())
    other = dataclasses.make_dataclass("UNet", [("width", int)])
    with pytest.raises(ValueError, match="quasistatic has a class UNet already"):
        qs.register(other)


def test_a_run_is_a_model_that_loads(tmp_path):
    model = binary()
    qs.fit(model, data(model, 20), run=tmp_path, steps=5)
    assert torch.equal(qs.load(tmp_path).sample(4, rng=seeded()), model.sample(4, rng=seeded()))


def test_saving_again_replaces_the_model(saved):
    other = continuous()
    other.save(saved)
    assert qs.load(saved).describe() == other.describe()


# complete


@every_model
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_is_known_comes_back_bit_for_bit(make, dtype):
    model = make().to(dtype)
    x = data(model, 6).double() if dtype == torch.float32 else data(model, 6)
    mask = torch.rand(x.shape, generator=seeded(2)) < 0.4
    holes = torch.where(mask, torch.nan, x)
    made = model.complete(holes, mask, draws=3, rng=seeded(), method=SMC(6))
    assert made.draws.shape == (6, 3, *model.space.shape)
    for drawn in made.draws.unbind(1):
        assert torch.equal(drawn[~mask], x[~mask])  # also where weights have fewer digits
        model.space.check(drawn)  # and what is new is of the space
    hidden = made.draws.movedim(1, 0)[:, mask]
    assert (hidden[0] != hidden[1]).any()


@pytest.mark.parametrize("make", [binary, quantized])
def test_whole_numbers_booleans_lists_and_arrays_are_one(make):
    model = make()
    x = data(model, 3)
    mask = torch.rand(x.shape, generator=seeded(2)) < 0.4

    def complete(x, mask):
        return model.complete(x, mask, 2, rng=seeded(), method=SMC(4))

    expected = complete(x, mask)
    same = [x.long(), x.to(torch.uint8), x.numpy(), x.numpy().astype(int), x.tolist()]
    for form in same:
        made = complete(form, mask)
        assert torch.equal(made.draws.double(), expected.draws)
        assert torch.equal(made.log_evidence, expected.log_evidence)
    for form in (mask.numpy(), mask.tolist(), mask.long()):
        assert torch.equal(complete(x, form).draws, expected.draws)
    holes = np.where(mask.numpy(), np.nan, x.numpy())
    assert torch.equal(complete(holes, mask).draws, expected.draws)


@every_model
def test_a_row_of_which_all_is_known_is_itself_and_one_of_which_nothing_is_has_no_evidence(make):
    model = make()
    x = data(model, 2)
    mask = torch.zeros(x.shape, dtype=torch.bool)
    mask[1] = True
    made = model.complete(torch.where(mask, torch.nan, x), mask, 4, rng=seeded(), method=SMC(64))
    assert torch.equal(made.draws[0], x[:1].expand_as(made.draws[0]))
    assert made.log_evidence[1] == 0.0  # log E_p[1]
    assert made.log_evidence[0].abs() > 0.1
    assert made.draws[1].flatten(1).std(0).max() > 0


def test_all_hidden_is_a_plain_sample():
    """Independent bits: with nothing known, the draws have the model's own mean."""
    model = binary()
    x = torch.zeros(40, 2, 3)
    made = model.complete(x, torch.ones_like(x), draws=64, rng=seeded(1), method=SMC(2))
    drawn = made.draws.flatten(0, 1)
    plain = model.sample(len(drawn), rng=seeded(2))
    error = (drawn.mean(0) - plain.mean(0)).abs() / (2 * plain.var(0) / len(drawn)).sqrt()
    assert error.max() < 5


EVERY = torch.tensor(list(np.ndindex(2, 2, 2, 2)))
"""All sixteen rows of four bits."""


def four_bits() -> tuple[Diffusion, torch.Tensor]:
    """A chain over four bits and the exact probability of each row: the walk as a product of
    matrices over all rows."""
    torch.manual_seed(0)
    network = qs.networks.MLP(4, 16, 1, outputs=2)
    nn.init.normal_(network.read_out.weight, std=0.1)
    model = Diffusion(qs.Binary(4), qs.BinomialKernel(cosine(4), 0.3), qs.Levels(), network).eval()
    x = EVERY.to(torch.get_default_dtype())
    p = model.kernel.prior(x).log_prob(x).sum(1).exp()
    with torch.no_grad():
        for t in range(model.steps, 0, -1):
            at = torch.full((16,), t)
            law = model.reverse(x, at - 1, at) if t > 1 else model.last(x, at)
            to = [law.log_prob(each.expand_as(x)).sum(1).exp() for each in x]
            p = p @ torch.stack(to, 1)
    return model, p


def test_the_walk_the_bound_and_the_evidence_are_of_one_distribution():
    model, p = four_bits()
    assert p.sum().item() == pytest.approx(1)
    # Draws come as often as p says,
    drawn = model.sample(20_000, rng=seeded()).long() @ torch.tensor([8, 4, 2, 1])
    share = drawn.bincount(minlength=16) / len(drawn)
    assert ((share - p).abs() < 5 * (p * (1 - p) / len(drawn)).sqrt()).all()
    # K lies below log p,
    bound = model.score(EVERY.repeat_interleave(300, 0), None, rng=seeded()).nats.reshape(16, 300)
    assert (bound.mean(1) < p.log() + 5 * bound.std(1) / 300**0.5).all()
    assert (bound.mean(1) > p.log() - 1).all()
    # and the evidence of rows of which all is known is p.
    hidden = torch.zeros_like(EVERY)
    found = torch.stack(
        [
            model.complete(EVERY, hidden, 1, rng=seeded(i), method=SMC(250)).log_evidence.exp()
            for i in range(16)
        ]
    )
    assert ((found.mean(0) - p).abs() < 5 * found.std(0) / 4).all()
    assert ((found.mean(0) / p - 1).abs() < 0.15).all()


def test_completions_are_draws_from_the_exact_conditional():
    """Two bits of four are known: their marginal, and the other two given them, by summation."""
    model, p = four_bits()
    mask = torch.tensor([[False, True, True, False]]).expand(4, 4)
    seen = torch.tensor([[0, 9, 9, 0], [0, 9, 9, 1], [1, 9, 9, 0], [1, 9, 9, 1]])
    made = model.complete(seen, mask, draws=2000, rng=seeded(), method=SMC(4000))
    joint = p.reshape(2, 2, 2, 2)
    marginal = joint.sum((1, 2)).flatten()
    assert torch.allclose(made.log_evidence.exp(), marginal, rtol=0.05)
    given = joint.permute(0, 3, 1, 2).reshape(4, 4) / marginal[:, None]
    index = 2 * made.draws[..., 1].long() + made.draws[..., 2].long()
    share = torch.stack([row.bincount(minlength=4) / 2000 for row in index])
    assert ((share - given).abs() < 5 * (given * (1 - given) / 2000).sqrt()).all()
    assert (share - share.mean(0)).abs().max() > 0.01


def test_mean_and_deviation_are_those_of_the_draws():
    model = continuous()
    x = data(model, 2)
    made = model.complete(x, torch.tensor([[False, True, True, False]] * 2), 5, rng=seeded())
    assert torch.allclose(made.mean, made.draws.sum(1) / 5)
    assert torch.allclose(made.deviation**2, (made.draws**2).mean(1) - made.mean**2, atol=1e-6)
    assert (made.deviation[:, [0, 3]] == 0).all()


def test_mistakes_in_completing_are_named():
    model = continuous()
    x = data(model, 2)
    with pytest.raises(
        ValueError, match=r"the mask must have the shape of x, \(2, 4\), got \(2, 3\)"
    ):
        model.complete(x, torch.ones(2, 3))
    for wrong in (0.5, 2.0, -1.0, float("nan")):
        mask = torch.zeros(2, 4)
        mask[1, 2] = wrong
        with pytest.raises(ValueError, match=r"the mask holds .* at \(1, 2\), and it is True"):
            model.complete(x, mask)
    with pytest.raises(ValueError, match=r"must have the shape of x, \(2, 4\), got \(1, 4\)"):
        model.complete(x, torch.ones(1, 4))
    with pytest.raises(ValueError, match="particles must be 1 or more, got 0"):
        model.complete(x, torch.ones(2, 4), draws=5, method=SMC(0))
    x[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"x holds nan at \(1, 2\)"):
        model.complete(x, torch.zeros(2, 4))
    bits = data(binary(), 2)
    bits[1, 0, 2] = 2
    with pytest.raises(ValueError, match=r"from 0 to 1, got 2 at \(1, 0, 2\)"):
        binary().complete(bits, torch.zeros(2, 2, 3))
    with pytest.raises(TypeError, match="x must be an array of numbers, got str"):
        model.complete("x", torch.zeros(2, 4))


# score


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_16_bits_neither_score_nor_compress(dtype):
    model = binary()
    x = data(model, 3)
    model = model.to(dtype)
    for verb in (model.score, model.compress):
        with pytest.raises(TypeError, match=r"float32 or float64.*model.float\(\)"):
            verb(x)
    assert model.float().score(x).nats.isfinite().all()


def test_mistakes_in_scoring_are_named():
    model, bits = continuous(), binary()
    x = data(model, 3)
    x[2, 1] = torch.nan
    with pytest.raises(ValueError, match=r"x holds nan at \(2, 1\) \(first of 1\)"):
        model.score(x)
    x[2, 1] = -torch.inf
    with pytest.raises(ValueError, match=r"x holds -inf at \(2, 1\)"):
        model.score(x)
    with pytest.raises(ValueError, match=r"x must have shape \(examples, 4\), got \(4,\)"):
        model.score(torch.zeros(4))
    with pytest.raises(ValueError, match=r"x must have shape \(examples, 2, 3\), got \(5, 3, 2\)"):
        bits.score(torch.zeros(5, 3, 2))
    with pytest.raises(ValueError, match="x is empty: pass at least one example"):
        model.score(torch.zeros(0, 4))
    with pytest.raises(ValueError, match=r"from 0 to 1, got 0.5 at \(0, 0, 0\)"):
        bits.score(torch.full((2, 2, 3), 0.5))
    with pytest.raises(ValueError, match=r"from 0 to 4, got 5 at \(0, 0\)"):
        quantized().score(torch.full((2, 4), 5))
    with pytest.raises(ValueError, match="evaluations must be from 1 to"):
        model.score(torch.zeros(2, 4), evaluations=0)
    with pytest.raises(TypeError, match="x must be an array of numbers, got dict"):
        model.score({})


@every_model
def test_scoring_needs_no_more_than_the_values(make):
    """Type, container and the other rows of a full sum with its own noise do not matter."""
    model = make()
    x = data(model, 4)
    nats = model.score(x, None, rng=seeded()).nats
    assert torch.equal(model.score(x.numpy(), None, rng=seeded()).nats, nats)
    assert torch.equal(model.score(x.tolist(), None, rng=seeded()).nats, nats)
    assert torch.equal(model.score(x, 1000, rng=seeded()).nats, nats)  # more than there are terms


@every_model
def test_the_terms_and_units_of_a_score_agree(make):
    model = make()
    score = model.score(data(model, 4), 5, rng=seeded())
    assert set(score.terms) == {"prior", "transitions", "edge"}
    assert torch.allclose(sum(score.terms.values()), score.nats)
    assert torch.allclose(score.bits * math.log(2), score.nats)
    assert torch.allclose(score.bits_per_dim * -math.prod(model.space.shape), score.bits)
    assert torch.allclose(score.above_null + score.null, score.nats)
    assert score.evaluations == 5


def test_scoring_leaves_the_model_as_it_was():
    model = continuous().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.score(data(model, 2), 3)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


# building


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((qs.Continuous(3), qs.BinomialKernel(cosine(5)), qs.Clean()), "BinomialKernel diffuses b"),
        ((qs.Binary(3), qs.BinomialKernel(cosine(5)), qs.Noise()), "Noise needs a kernel with sig"),
        ((qs.Continuous(3), qs.GaussianKernel(cosine(5)), qs.Levels()), "Levels needs a space wit"),
        ((qs.Continuous(3), qs.GaussianKernel(erase_evenly(5)), qs.Noise()), "leaves no signal at"),
        ((qs.Binary(3), qs.BinomialKernel(cosine(5), (0.1, 0.2)), qs.Clean()), "mean activity of"),
        ((qs.Binary(2), qs.BinomialKernel(cosine(5)), qs.Levels()), "needs (2, 2, 2): build the n"),
    ],
)
def test_parts_that_do_not_fit_are_refused_at_once(parts, said):
    network = qs.networks.MLP(parts[0].shape, 8, 1)
    with pytest.raises(TypeError, match=re.escape(said)):
        Diffusion(*parts, network)


def of_images(network, shape=(8, 8)):
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(6, 4.0, -4.0))
    return qs.Diffusion(qs.Dequantized(shape), kernel, qs.Velocity(), network).double()


def test_a_network_of_no_place_says_the_same_of_a_larger_picture():
    torch.manual_seed(0)
    small = of_images(qs.networks.UNet((8, 8), 4, (1,), 1, attention=()))
    for weight in small.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    wide = small.resized((8, 16))
    assert wide.space.shape == (8, 16)
    x, t = torch.randn(2, 8, 16, dtype=torch.float64), torch.tensor([2, 5])
    again = wide.resized((8, 8))
    assert torch.equal(again.output(x[..., :8], t), small.output(x[..., :8], t))
    assert all(
        torch.equal(a, b) for a, b in zip(wide.parameters(), small.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "network",
    [qs.networks.MLP((8, 8), 8), qs.networks.UNet((8, 8), 4, (1,), 1, attention=(), framed=True)],
    ids=["MLP", "framed"],
)
def test_a_network_with_places_of_its_own_is_not_resized(network):
    with pytest.raises(TypeError, match=r"cannot be moved to data of shape \(8, 16\)"):
        of_images(network).resized((8, 16))


def test_examples_taken_a_few_at_a_time_are_all_there(monkeypatch):
    model = of_images(qs.networks.MLP((8, 8), 8))
    raw = torch.arange(7).repeat_interleave(64).reshape(7, 8, 8) * 30
    monkeypatch.setattr("quasistatic.model.Model.chunk_size", 3)
    assert model.sample(7).shape == (7, 8, 8)
    score = model.score(raw, None)
    # Example by example: the prior term is exact, and tells each example from the others.
    alone = torch.cat([model.score(row[None], None).terms["prior"] for row in raw])
    assert (score.terms["prior"].diff().abs() > 1e-6).any()
    torch.testing.assert_close(score.terms["prior"], alone, rtol=0.05, atol=1e-3)
