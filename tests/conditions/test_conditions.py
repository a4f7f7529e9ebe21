"""A condition: its codes, the verbs of p(x | y), training with it, folders and errors."""

import contextlib
import json
import math

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.conditions import ClassLabel, Condition, Named, Vector
from quasistatic.diagnostics.oracles import LabelledMixtureOracle

ORACLE = LabelledMixtureOracle(
    labels=(0, 1, 1),
    weights=(0.5, 0.2, 0.3),
    means=((1.5, 0.0), (-1.0, 1.0), (-1.0, -1.5)),
    variances=((0.3, 0.2), (0.2, 0.3), (0.25, 0.25)),
)


def chain(steps: int = 400) -> qs.Diffusion:
    """The chain of a perfect network that takes the class."""
    kernel = qs.GaussianKernel(qs.schedules.cosine(steps))
    return qs.Diffusion(**ORACLE.parts(kernel)).double()


def untrained(condition, network=None, space=None, head=None, kernel=None) -> qs.Diffusion:
    """A model whose network reacts to its condition, without training."""
    torch.manual_seed(0)
    width = condition.width
    network = network or qs.networks.MLP(2, width=16, depth=1, condition=width)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.3 * torch.randn_like(weight)
    kernel = kernel or qs.GaussianKernel(qs.schedules.cosine(12))
    parts = space or qs.Continuous(2), kernel, head or qs.Velocity(), network
    return qs.Diffusion(*parts, condition=condition)


# --- codes


def test_codes_of_classes_are_one_hot_by_number_or_name():
    named = ClassLabel(3, ("cat", "dog", "cow"))
    by_name, by_number = named.encode(["cow", "cat"]), named.encode(np.array([2, 0], np.int8))
    assert torch.equal(by_name, by_number)
    assert torch.equal(by_number, torch.eye(3, dtype=torch.float64)[[2, 0]])
    assert named.encode("dog").tolist() == [[0, 1, 0]]


def test_numbers_are_standardised_and_missing_ones_are_zero():
    y = torch.tensor([[1.0, 10.0], [3.0, 30.0], [5.0, math.nan]], dtype=torch.float64)
    code = Vector.of(y).encode(y)
    known = code[:, 2:].bool()
    assert torch.equal(known, ~y.isnan())
    assert torch.equal(code[:, :2][~known], torch.zeros(1, dtype=torch.float64))
    columns = code[:, 0], code[:2, 1]
    for column in columns:
        assert abs(column.mean()) < 1e-12
        assert abs(column.std(correction=0) - 1) < 1e-12


def test_named_conditions_are_side_by_side_and_a_missing_name_is_zero():
    both = Named({"a": ClassLabel(2), "b": Vector(1)})
    whole = both.encode({"a": [0, 1, 1], "b": 0.5})
    assert torch.equal(whole[:, :2], ClassLabel(2).encode([0, 1, 1]))
    assert torch.equal(whole[:, 2:], Vector(1).encode(0.5).expand(3, -1))
    assert not both.encode({"a": 1})[:, 2:].any()


def test_a_share_of_conditions_is_dropped_and_parts_are_dropped_alone(rng):
    both = Named({"a": ClassLabel(2), "b": Vector(1)})
    code = both.encode({"a": 1, "b": 2.0}).expand(40_000, -1)
    kept = both.dropped(code, 0.2, rng)
    a, b = kept[:, :2].any(1), kept[:, 2:].any(1)
    # P(all lost) = 0.2 + 0.2 / 4; P(a lost and b kept) = 0.2 / 4.
    for found, expected in ((~a & ~b, 0.25), (~a & b, 0.05), (a & ~b, 0.05), (a & b, 0.65)):
        error = math.sqrt(expected * (1 - expected) / len(code))
        assert abs(found.double().mean() - expected) < 4 * error
    single = ClassLabel(2).dropped(ClassLabel(2).encode([1] * 40_000), 0.1, rng).any(1)
    assert abs(single.double().mean() - 0.9) < 4 * math.sqrt(0.09 / 40_000)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: ClassLabel(1), ValueError, "at least 2"),
        (lambda: ClassLabel(3, ("a", "b")), ValueError, "different names"),
        (lambda: ClassLabel(3).encode([0, 3]), ValueError, "no class 3 .at 1"),
        (lambda: ClassLabel(3).encode([0.5]), ValueError, "no class 0.5"),
        (lambda: ClassLabel(3).encode([math.nan]), ValueError, "no class nan"),
        (lambda: ClassLabel(2, ("cat", "dog")).encode("dot"), ValueError, "did you mean dog"),
        (lambda: ClassLabel(2).encode([]), ValueError, "no label"),
        (lambda: ClassLabel(2).encode(np.eye(2)), ValueError, "not its one-hot"),
        (lambda: Vector(2).encode([1.0, 2.0, 3.0]), ValueError, "shape"),
        (lambda: Vector(2).encode([1e9, 0.0]), ValueError, "units"),
        (lambda: Vector(2).encode([math.inf, 0.0]), ValueError, "units"),
        (lambda: Vector(2, scale=0.0), ValueError, "positive"),
        (lambda: Vector.of(np.ones((4, 2))), ValueError, "constant"),
        (lambda: Named({}), ValueError, "empty"),
        (lambda: Named({"a": 3}), TypeError, "'a' must be a Condition"),
        (lambda: Named({"a": ClassLabel(2)}).encode(1), TypeError, "by name"),
        (lambda: Named({"a": ClassLabel(2)}).encode({"b": 1}), ValueError, "known: a"),
        (
            lambda: Named({"a": ClassLabel(2), "b": Vector(1)}).encode(
                {"a": [0, 1], "b": [1, 2, 3]}
            ),
            ValueError,
            "2 of a, 3 of b",
        ),
        (lambda: Vector(1).values(), TypeError, "ClassLabel"),
    ],
)
def test_a_wrong_condition_is_an_error_that_says_what_it_got(wrong, error, says):
    with pytest.raises(error, match=says):
        wrong()


# --- networks

NETWORKS = [
    lambda width: qs.networks.MLP((8, 8), width=16, depth=1, condition=width),
    lambda width: qs.networks.UNet(
        (8, 8), width=8, multiples=(1, 2), blocks=1, attention=(), condition=width
    ),
    lambda width: qs.networks.DiT((8, 8), width=16, depth=1, heads=2, condition=width),
    lambda width: qs.networks.Multiscale((8, 8), width=4, dense=(16,), condition=width),
    lambda width: qs.networks.Padded((7, 8), qs.networks.MLP((8, 8), width=16, condition=width)),
]
IDS = ["MLP", "UNet", "DiT", "Multiscale", "Padded"]


@pytest.mark.parametrize("build", NETWORKS, ids=IDS)
def test_a_network_reacts_to_its_condition_row_by_row_and_zeros_are_none(build, float64):
    torch.manual_seed(0)
    network = build(3).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn_like(weight)
    x, time = torch.randn(4, *network.shape), torch.rand(4)
    code = torch.eye(3)[[0, 1, 2, 0]]
    given, none = network(x, time, code), network(x, time, torch.zeros(4, 3))
    assert (given - none).abs().amax((1, 2, 3)).min() > 1e-6
    turned = network(x, time, code.roll(2, 0))
    alone = torch.cat(
        [network(x[i : i + 1], time[:1] * 0 + time[i], code[i : i + 1]) for i in range(4)]
    )
    torch.testing.assert_close(given, alone)
    assert (turned - given)[0].abs().max() > 1e-6


@pytest.mark.parametrize("build", NETWORKS, ids=IDS)
def test_a_network_without_a_condition_has_the_weights_it_had(build):
    torch.manual_seed(0)
    plain = build(0)
    after = torch.rand(1)
    torch.manual_seed(0)
    conditional = build(3)
    extra = set(conditional.state_dict()) - set(plain.state_dict())
    assert not [name for name in plain.state_dict() if "given" in name]
    assert all("given" in name for name in extra)
    if not isinstance(conditional, qs.networks.Multiscale):  # whose layers have more inputs
        for name, value in plain.state_dict().items():
            assert torch.equal(value, conditional.state_dict()[name])
    torch.manual_seed(0)
    build(0)
    assert torch.equal(after, torch.rand(1))


def test_a_model_without_a_condition_calls_its_network_with_two_arguments():
    class Own(torch.nn.Module):
        def forward(self, x, time):
            return x[..., None]

    kernel = qs.GaussianKernel(qs.schedules.cosine(10))
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Velocity(), Own())
    assert "condition" not in model.describe()
    assert model.sample(2, rng=0).shape == (2, 2)
    with pytest.raises(TypeError, match="no condition"):
        model.sample(2, given=1)
    with pytest.raises(TypeError, match="third argument"):
        qs.Diffusion(qs.Continuous(2), kernel, qs.Velocity(), Own(), ClassLabel(3))


# --- verbs


def test_conditional_k_is_below_the_exact_log_p_of_x_given_y_and_closes(float64):
    x, y = ORACLE.draw(300, 0)
    exact = torch.stack([ORACLE.given(k).log_prob(x) for k in range(2)], 1)[torch.arange(300), y]
    gaps = []
    for steps in (50, 400):
        score = chain(steps).score(x, None, given=y, rng=1)
        gap = exact - score.nats
        error = float(gap.std() / len(gap) ** 0.5)
        assert gap.mean() > -3 * error
        gaps.append(float(gap.mean()))
    assert gaps[1] < gaps[0] / 2
    assert gaps[1] < 0.06  # nats


def test_without_a_condition_the_same_model_scores_p_of_x(float64):
    x, y = ORACLE.draw(300, 0)
    model = chain()
    gap = ORACLE.log_prob(x) - model.score(x, None, rng=1).nats
    assert abs(gap.mean()) < 0.05
    assert torch.equal(
        model.given(y).given(None).score(x, 8, rng=1).nats, model.score(x, 8, rng=1).nats
    )


def test_draws_given_a_class_have_its_law(float64):
    model, n = chain(100), 2000
    for y in range(2):
        drawn, exact = model.sample(n, given=y, rng=y), ORACLE.given(y).mixture
        weight = exact.log_weight.exp()
        mean = weight @ exact.mean
        variance = weight @ (exact.variance + exact.mean**2) - mean**2
        assert ((drawn.mean(0) - mean).abs() < 4 * (variance / n).sqrt() + 0.02).all()
        assert ((drawn.var(0) / variance - 1).abs() < 0.2).all()


MODELS = {
    "reals": lambda: untrained(ClassLabel(3)),
    "bits": lambda: untrained(
        ClassLabel(3),
        qs.networks.MLP(6, width=16, depth=1, condition=3),
        qs.Binary(6),
        qs.Clean(),
        qs.BinomialKernel(qs.schedules.erase_evenly(12)),
    ),
    "levels": lambda: untrained(
        ClassLabel(3),
        qs.networks.MLP(6, width=16, depth=1, outputs=8, condition=3),
        qs.Quantized(6, 8),
        qs.Levels(),
    ),
    "classes": lambda: untrained(
        ClassLabel(3),
        qs.networks.MLP(5, width=16, depth=1, condition=3),
        qs.OneHot((2, 3)),
        qs.Classes(),
        qs.CategoricalKernel(qs.schedules.erase_evenly(12), (2, 3)),
    ),
}


@pytest.fixture(params=MODELS)
def model(request, float64):
    return MODELS[request.param]().double()


def test_values_for_each_example_are_those_of_one_value_for_all(model):
    y = [2, 0, 1, 1, 2]
    drawn = model.sample(5, given=y, rng=0)
    alone = {k: model.sample(5, given=k, rng=0) for k in range(3)}
    assert torch.equal(drawn, torch.stack([alone[k][i] for i, k in enumerate(y)]))
    whole = model.score(drawn, None, given=y, rng=3).nats
    each = {k: model.score(drawn, None, given=k, rng=3).nats for k in range(3)}
    torch.testing.assert_close(whole, torch.stack([each[k][i] for i, k in enumerate(y)]))
    spread = torch.stack(list(each.values())).std(0)
    assert spread.min() > 1e-6  # the condition counts


class Watching(torch.nn.Module):
    """Counts the rows whose class is not the one that their x_t, which has little noise, shows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.wrong = 0

    def forward(self, x, time, given):
        self.rows += len(x)
        self.wrong += int((given.argmax(1) != (x[:, 0] > 0)).sum())
        return x[..., None]


VERBS = {
    "bound": lambda m, x, y: m.score(x, 8, given=y, rng=0),
    "allocated": lambda m, x, y: m.score(x, given=y, stderr=1e-3, rng=0),
    "importance": lambda m, x, y: m.score(x, given=y, method=qs.Importance(3), rng=0),
    "flow": lambda m, x, y: m.score(x, given=y, method=qs.Flow(draws=2), rng=0),
    "encode": lambda m, x, y: m.encode(x, 8, given=y),
    "complete": lambda m, x, y: m.complete(
        x,
        torch.tensor([[False, True]] * 9),
        given=y,
        rng=0,
        method=qs.SMC(particles=4, repeats=2),
    ),
    "guided": lambda m, x, y: m.complete(
        x, torch.tensor([[False, True]] * 9), given=y, rng=0, method=qs.Guided()
    ),
    "compress": lambda m, x, y: m.compress(x, given=y, block=4, workers=1, portable=False),
    "costs": lambda m, x, y: qs.sampling.timesteps.measure_costs(m.given(y), x, rng=0),
    "bands": lambda m, x, y: qs.diagnostics.snr_bands.band_costs(m.given(y), x, 2),
    "entropy": lambda m, x, y: qs.diagnostics.entropy.entropy_budget(m.given(y), x, rng=0),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_verb_keeps_rows_and_conditions_together(verb, float64, monkeypatch):
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(12, 14.0, 6.0))
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Clean(), Watching(), ClassLabel(2))
    monkeypatch.setattr(qs.Diffusion, "chunk_size", 2)
    y = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])
    x = (2.0 * y - 1)[:, None] + torch.zeros(9, 2)
    VERBS[verb](model, x, y)
    assert model.network.rows > 50
    assert model.network.wrong <= 0.02 * model.network.rows  # particles begin at x_T
    model.network.rows = model.network.wrong = 0
    VERBS[verb](model, x, y.flip(0))
    assert model.network.wrong > 0.3 * model.network.rows


def test_a_sandwich_given_a_condition_brackets_one_number(model):
    found = model.sandwich(60, 2, given=[k % 3 for k in range(60)], rng=0)
    assert found.gap.mean() > -3 * found.stderr()


def test_completion_keeps_known_values_and_its_evidence_follows_the_condition(model):
    y = [0, 1, 2]
    x = model.sample(3, given=y, rng=0)
    mask = torch.zeros(x.shape, dtype=torch.bool)
    mask[:, : x.shape[1] // 2] = True
    many = qs.SMC(particles=256, repeats=4)
    found = model.complete(x, mask, 8, given=y, rng=0, method=many)
    assert torch.equal(found.draws[:, 0][~mask], x[~mask].to(found.draws))
    for k in y:
        alone = model.complete(x[k : k + 1], mask[k : k + 1], 8, given=k, rng=1, method=many)
        error = (found.evidence_stderr[k] ** 2 + alone.evidence_stderr[0] ** 2).sqrt()
        assert abs(found.log_evidence[k] - alone.log_evidence[0]) < 5 * error + 1e-6


def test_a_stream_is_read_with_the_same_condition_and_no_other(model):
    y = [k % 3 for k in range(6)]
    x = model.sample(6, given=y, rng=0).numpy()
    stream = model.compress(x, given=y, block=4, workers=1)
    assert (model.decompress(stream, given=y) == x).all()
    for wrong in (None, 0, y[::-1]):
        with pytest.raises(qs.StreamError, match="condition"):
            model.decompress(stream, given=wrong)
    plain = model.compress(x, workers=1)
    with pytest.raises(qs.StreamError, match="without"):
        model.decompress(plain, given=y)


def test_the_flow_carries_back_what_it_was_given(float64):
    model = untrained(ClassLabel(3)).double()
    x = torch.randn(4, 2)
    noise = model.encode(x, 8, given=[0, 1, 2, 0])
    torch.testing.assert_close(model.decode(noise, 8, given=[0, 1, 2, 0]), x, atol=1e-4, rtol=0)
    assert (model.decode(noise, 8, given=[1, 1, 2, 0]) - x)[0].abs().max() > 1e-3


def test_a_wrong_number_of_conditions_is_an_error(model):
    x = model.sample(3, rng=0)
    for call in (
        lambda: model.sample(3, given=[0, 1]),
        lambda: model.score(x, given=[0, 1]),
        lambda: model.given([0, 1]).score(x),
        lambda: model.compress(x, given=[0, 1]),
        lambda: model.complete(x, torch.ones_like(x).bool(), given=[0, 1]),
    ):
        with pytest.raises(ValueError, match="2 values were given for 3 examples"):
            call()


# --- training and folders


def test_training_learns_p_of_x_given_y_and_p_of_x(tmp_path):
    torch.manual_seed(0)
    x, y = ORACLE.draw(2000, 0)
    network = qs.networks.MLP(2, width=48, depth=2, condition=2)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(60, 7.0, -6.0))
    head = qs.Velocity(qs.FixedLarge())
    model = qs.Diffusion(qs.Continuous(2), kernel, head, network, ClassLabel(2))
    run = tmp_path / "run"
    how = {"steps": 500, "batch": 128, "validations": 2, "progress": False}
    qs.fit(model, x, x[:200], given=y, valid_given=y[:200], run=run, **how)
    test, label = ORACLE.draw(1000, 1)
    exact = torch.stack([ORACLE.given(k).log_prob(test) for k in range(2)], 1)
    loss = exact[torch.arange(1000), label] - model.score(test, None, given=label, rng=0).nats
    assert 0 < loss.mean() < 0.4
    marginal = ORACLE.log_prob(test) - model.score(test, None, rng=0).nats
    assert 0 < marginal.mean() < 0.4
    wrong = model.score(test, None, given=1 - label, rng=0).nats
    assert (exact[torch.arange(1000), label] - wrong).mean() > 1
    again = qs.load(run)
    assert again.condition == model.condition
    assert torch.equal(
        again.sample(4, given=[0, 1, 0, 1], rng=0), model.sample(4, given=[0, 1, 0, 1], rng=0)
    )
    config = json.loads((run / "config.json").read_text())
    config["model"]["condition"]["classes"] = 3
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises((TypeError, ValueError), match="condition"):
        qs.load(run)


def test_a_run_is_resumed_with_the_same_conditions_only(tmp_path):
    def fitted(steps_before_stop, y, folder):
        model = untrained(ClassLabel(3))
        stop = StopIteration("enough")

        def halt(progress):
            if steps_before_stop and progress.step >= steps_before_stop:
                raise stop

        with contextlib.suppress(StopIteration):
            qs.fit(
                model,
                x,
                given=y,
                run=folder,
                steps=12,
                batch=8,
                validations=6,
                save_every=0,
                progress=False,
                callbacks=[halt],
            )
        return model

    torch.manual_seed(1)
    x, y = torch.randn(40, 2), torch.arange(40) % 3
    whole = fitted(0, y, tmp_path / "whole")
    fitted(6, y, tmp_path / "parts")
    with pytest.raises(ValueError, match="another given"):
        fitted(0, y.flip(0), tmp_path / "parts")
    parts = fitted(0, y, tmp_path / "parts")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (None, TypeError, "given is missing"),
        ([0, 1], ValueError, "2 values for 6 rows"),
        ([0, 1, 2, 3, 0, 0], ValueError, "no class 3"),
    ],
)
def test_training_without_a_condition_for_each_row_is_an_error(given, error, says):
    with pytest.raises(error, match=says):
        qs.fit(untrained(ClassLabel(3)), torch.randn(6, 2), given=given, steps=1, progress=False)


def test_a_network_for_another_condition_is_refused():
    kernel = qs.GaussianKernel(qs.schedules.cosine(10))
    for width, condition, says in ((4, ClassLabel(3), "condition=3"), (4, None, "condition=4")):
        network = qs.networks.MLP(2, condition=width)
        with pytest.raises(TypeError, match=says):
            qs.Diffusion(qs.Continuous(2), kernel, qs.Velocity(), network, condition)


def test_several_conditions_by_name_are_stored_and_read(tmp_path):
    both = {"kind": ClassLabel(2, ("a", "b")), "size": Vector(1, 3.0, 2.0)}
    model = untrained(Named(both))
    model.save(tmp_path)
    again = qs.load(tmp_path)
    given = {"kind": ["a", "b"], "size": [1.0, 4.0]}
    assert again.condition == model.condition
    assert isinstance(again.condition, Condition)
    assert torch.equal(again.sample(2, given=given, rng=0), model.sample(2, given=given, rng=0))
    one, none = again.sample(2, given={"kind": "a"}, rng=0), again.sample(2, rng=0)
    assert (one - none).abs().max() > 1e-4


def test_a_model_and_a_score_print_what_is_given():
    model, x = untrained(ClassLabel(3, ("a", "b", "c"))), torch.randn(4, 2)
    assert "none is given: p(x)" in repr(model)
    assert "y = c: p(x | y)" in repr(model.given("c"))
    assert "y = a, b, c, a, ... for 6 examples: p(x | y)" in repr(model.given([0, 1, 2] * 2))
    assert "bound on log p(x)" in repr(model.score(x, rng=0))
    for score in (model.score(x, given=1, rng=0), model.given(1).score(x, rng=0)):
        assert "bound on log p(x | y)" in repr(score)
    both = untrained(Named({"kind": ClassLabel(2, ("a", "b")), "size": Vector(1, 3.0, 2.0)}))
    assert "y = {kind b, size 4}: p(x | y)" in repr(both.given({"kind": "b", "size": 4.0}))
    assert "y = {size 4}" in repr(both.given({"size": 4.0}))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m, x: m.score(x, method="importance"), r"such as Importance\(16\)"),
        (lambda m, x: m.score(x, method="flow"), r"such as Flow\(\)"),
        (lambda m, x: m.complete(x, x > 0, method="smc"), r"such as SMC\(particles=256\)"),
        (lambda m, x: m.sample(2, stepper="ddim"), r"DDIM\(\)"),
    ],
)
def test_a_name_in_place_of_a_method_is_an_error_that_says_what_to_write(call, says):
    with pytest.raises(TypeError, match=says):
        call(untrained(ClassLabel(3)), torch.randn(2, 2))


# --- the command line


def test_commands_take_the_condition(tmp_path, say, refused):
    run, out = tmp_path / "run", tmp_path / "out.npy"
    size = {"width": 16, "depth": 1, "steps": 20, "fit.steps": 4, "fit.validations": 1}
    words = [word for name, value in size.items() for word in (f"--{name}", value)]
    say("train", "digits", "--given", "label", *words, "-o", run)
    assert say("sample", run, "--given", "0,1,2", "-n", 6, "-o", out)["shape"] == [6, 64]
    by_command, model = np.load(out), qs.load(run)
    assert (by_command == model.sample(6, given=[0, 1, 2, 0, 1, 2], rng=0).numpy()).all()
    labels = qs.data.split(qs.data.digits_labels(), valid=0.1, test=0.2)
    test = qs.data.split(qs.data.digits(), valid=0.1, test=0.2).test
    found = say("score", run, "--given", "label", "--evaluations", "all")["nats"]
    expected = model.score(test, None, given=labels.test, rng=0).nats.mean()
    assert found == pytest.approx(float(expected), rel=1e-6)
    marginal = say("score", run, "--method", "classes", "--evaluations", "all")["nats"]
    gain = expected - marginal  # at most H(y), but for the noise of the estimate
    assert 0 < gain < math.log(10) + 0.2
    assert "no classes: leave --method" in refused("score", "digits", "--method", "classes")
    assert "no class 12: " in refused("sample", run, "--given", "12")
    assert "no class 'three'" in refused("sample", run, "--given", "three")
    assert "one condition" in refused("sample", run, "--given", "1", "--given", "2")
    assert "no condition" in refused("sample", "digits", "--given", "1")
    assert "--given 3 --guidance 2" in refused("sample", run, "--guidance", "2")
    assert "from -1" in refused("sample", run, "--given", "1", "--guidance", "-2")
    say("sample", run, "--given", "0,1,2", "--guidance", "3", "-n", 6, "-o", out)
    guided = model.sample(6, given=[0, 1, 2, 0, 1, 2], guidance=qs.Guidance(3.0), rng=0).numpy()
    assert (np.load(out) == guided).all()


def test_a_recipe_that_starts_at_a_law_of_each_class_is_trained_and_sampled(tmp_path, say):
    run, out = tmp_path / "run", tmp_path / "out.npy"
    fit = ("--fit.steps", 2, "--fit.validations", 1, "--fit.evaluations", 2, "--steps", 20)
    say("train", "digits", "--given", "label", "--start", "law", *fit, "-o", run)
    assert qs.load(run).network.classes == 10
    assert say("sample", run, "--given", "3", "-n", 4, "-o", out)["shape"] == [4, 8, 8]
    labels = qs.data.split(qs.data.digits_labels(), valid=0.1, test=0.2).test[:40]
    x = qs.data.split(qs.data.digits(), valid=0.1, test=0.2).test[:40].reshape(-1, 8, 8)
    found = qs.load(run).classify(x, 4, rng=0)  # before it has learned anything but the laws
    assert (found.label.numpy() == labels).mean() > 0.85
