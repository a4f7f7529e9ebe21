"""The loop: what it must do at every step, known from outside."""

import math
import os
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import quasistatic as qs
from quasistatic._utils import files
from quasistatic.training.objectives import Objective

P = torch.tensor([0.1, 0.2, 0.5, 0.8])


def bits(n: int, seed: int = 0) -> torch.Tensor:
    """Independent bits with the probabilities P, in float64."""
    return (torch.rand(n, 4, generator=torch.Generator().manual_seed(seed)) < P).double()


def chain(seed: int = 0, steps: int = 10, **network) -> qs.Diffusion:
    torch.manual_seed(seed)
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(steps))
    return qs.Diffusion(qs.Binary(4), kernel, qs.Clean(), qs.networks.MLP(4, 16, 1, **network))


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [w.detach().clone() for w in model.parameters()]


def equal(a: list, b: list) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def line(n: int) -> tuple[qs.Diffusion, np.ndarray]:
    """A chain on numbers that tell their row, and the numbers."""
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(5, 4.0, -4.0))
    model = qs.Diffusion(qs.Continuous(1), kernel, qs.Clean(), Bias())
    return model, np.arange(float(n))[:, None]


class Bias(nn.Module):
    """One weight, which it answers to everything."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, x, time):
        return self.w.expand(*x.shape, 1)


class Watch(Objective):
    """A loss of the weights alone with a known gradient; it notes what it was shown."""

    def __init__(self, slope: float = 1.0) -> None:
        self.slope, self.rows, self.seen, self.draws = slope, [], [], []

    def check(self, model):
        return

    def __call__(self, model, raw, rng):
        self.rows.append(raw[:, 0].long().tolist())
        self.seen.append(weights(model)[0].item())
        self.draws.append(torch.rand((), generator=rng).item())
        return self.slope * model.network.w.expand(len(raw))

    def reading(self, model, raw, loss):
        return "slope", loss


# learning


@pytest.mark.parametrize("head", ["clean", "levels"])
def test_the_bound_comes_near_the_truth(head):
    """Independent bits: log p of a row is known, and K comes within 0.05 nats of it."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(10))
    outputs = {"clean": 1, "levels": 2}[head]
    network = qs.networks.MLP(4, 16, 1, outputs=outputs)
    kind = {"clean": qs.Clean, "levels": qs.Levels}[head]
    model = qs.Diffusion(qs.Binary(4), kernel, kind(), network)
    x = bits(20_000)
    test = bits(4000, seed=1)
    before = model.score(test).nats.mean().item()
    qs.fit(model, x, steps=400, lr=1e-2, validations=1)
    truth = (test * P.log() + (1 - test) * (1 - P).log()).sum(1)
    gap = truth - model.score(test, rng=torch.Generator().manual_seed(0)).nats
    assert -0.01 < gap.mean() < 0.05
    assert truth.mean() - before > 0.1  # it was not near before


def test_the_reading_is_the_bound():
    """What training shows as bits per dimension is what the score says, up to noise."""
    model, x = chain(), bits(4096)
    run = qs.fit(model, x, steps=200, lr=1e-12, validations=1, weight_decay=0.0, batch=1024)
    score = model.score(x).bits_per_dim
    assert run.metrics[-1]["bits_per_dim"] == pytest.approx(score.mean().item(), abs=0.01)


def test_the_model_ends_in_evaluation_with_the_mean_weights():
    model, x = line(8)
    watch = Watch()
    run = qs.fit(model, x, objective=watch, steps=10, ema=0.9, lr=0.1, warmup=0)
    assert equal(weights(model), run.mean)
    assert not model.training
    assert run.mean[0].item() != watch.seen[-1]


# the parts of a step


def test_the_mean_of_the_weights_obeys_its_recurrence():
    model, x = line(8)
    watch = Watch()
    run = qs.fit(model, x, objective=watch, steps=60, ema=0.8, lr=0.1, validations=0)
    # What step k sees are the weights after k steps; the last are found from the run one longer.
    longer = Watch()
    qs.fit(line(8)[0], x, objective=longer, steps=60, ema=0.8, lr=0.1, validations=0)
    assert longer.seen == watch.seen
    mean = watch.seen[0]
    for step, w in enumerate(watch.seen[1:], start=1):
        decay = min(0.8, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * w
    # The last step has a rate known in closed form, and Adam's move on a constant gradient is it.
    last = watch.seen[-1] * (1 - 0.01 * rate(59, 60)) - rate(59, 60)
    mean = 0.8 * mean + 0.2 * last
    assert run.mean[0].item() == pytest.approx(mean, rel=1e-6)


def rate(step: int, steps: int, lr: float = 0.1, warmup: int = 50) -> float:
    return lr * min(1.0, (step + 1) / warmup) * (1 + math.cos(math.pi * step / steps)) / 2


def test_the_learning_rate_rises_and_falls():
    how = qs.Fit(steps=1000, lr=0.1, warmup=50)
    assert how.rate(0) == pytest.approx(0.1 / 50, rel=1e-5)
    assert how.rate(24) == pytest.approx(0.05 * (1 + math.cos(0.024 * math.pi)) / 2)
    assert how.rate(500) == pytest.approx(0.05)
    assert how.rate(1000) == pytest.approx(0.0)
    rates = [how.rate(step) for step in range(1000)]
    top = rates.index(max(rates))
    assert top == 49
    assert rates[:50] == sorted(rates[:50])
    assert rates[49:] == sorted(rates[49:], reverse=True)
    assert qs.Fit(steps=10, lr=0.1, warmup=0).rate(0) == 0.1


def test_the_weights_move_by_the_learning_rate():
    """Adam's step on a constant gradient is the rate itself, whatever the slope."""
    model, x = line(8)
    watch = Watch(slope=3.0)
    qs.fit(model, x, objective=watch, steps=80, lr=0.1, weight_decay=0.0, validations=0)
    moved = -np.diff(watch.seen)
    expected = [rate(step, 80) for step in range(79)]
    assert np.allclose(moved, expected, rtol=1e-4)


def test_gradients_are_clipped_to_their_norm():
    """Adam cannot tell a constant slope, but it can tell when it changes: clipped, it cannot."""

    @dataclass
    class Jump(Watch):
        jump: float

        def __post_init__(self) -> None:
            super().__init__()

        def __call__(self, model, raw, rng):
            self.slope = 1.0 if len(self.seen) < 10 else self.jump
            return super().__call__(model, raw, rng)

    def path(jump: float, clip: float) -> list[float]:
        model, x = line(8)
        watch = Jump(jump)
        qs.fit(model, x, objective=watch, steps=20, clip=clip, lr=0.1, warmup=0, validations=0)
        return watch.seen

    assert np.allclose(path(1000.0, 1.0), path(1.0, 1.0), rtol=1e-5)
    assert not np.allclose(path(1000.0, 1e9), path(1.0, 1e9), rtol=1e-2)
    # A slope below the limit is left as it is.
    assert path(0.25, 2.0) == path(0.25, 1e9)


@pytest.mark.parametrize(("n", "batch"), [(12, 5), (12, 4), (7, 7), (3, 256), (50, 1)])
def test_an_epoch_shows_every_row_once(n, batch):
    model, x = line(n)
    watch = Watch()
    qs.fit(model, x, objective=watch, steps=60, batch=batch, validations=0)
    assert {len(rows) for rows in watch.rows} == {min(batch, n)}
    seen = [row for rows in watch.rows for row in rows]
    epochs = [tuple(seen[i : i + n]) for i in range(0, len(seen) - n + 1, n)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(n))
    if len(epochs) > 3 and n > 3:
        assert len(set(epochs)) > len(epochs) // 2  # each in an order of its own


def test_every_step_draws_afresh():
    model, x = line(8)
    watch = Watch()
    qs.fit(model, x, objective=watch, steps=50, validations=0)
    assert len(set(watch.draws)) == 50
    other = Watch()
    qs.fit(line(8)[0], x, objective=other, steps=50, seed=1, validations=0)
    assert not set(watch.draws) & set(other.draws)


# seeds


def test_the_same_seed_is_the_same_run_and_another_is_not():
    def trained(seed: int, world: int):
        model = chain(dropout=0.3)
        torch.manual_seed(world)  # torch's own state is no input of a run
        run = qs.fit(model, bits(100), bits(30, 1), steps=30, batch=16, seed=seed, validations=3)
        return weights(model), run.metrics

    first, second, third = trained(0, 7), trained(0, 8), trained(1, 8)
    assert equal(first[0], second[0])
    assert first[1] == second[1]
    assert not equal(first[0], third[0])
    assert first[1] != third[1]


def test_training_leaves_the_worlds_random_state_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    qs.fit(line(8)[0], line(8)[1], steps=3)
    assert torch.equal(torch.rand(3), expected)


# validation


class Scored(nn.Module):
    """A belief that drifts past the best one: first better, then worse."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.full((1,), -3.0))

    def forward(self, x, time):
        return self.w.expand(*x.shape, 1)


def drifting(folder=None, **changes):
    """The weight moves from -3 upward by about a tenth a step; the best for the data is 0."""
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(5, 4.0, -4.0))
    model = qs.Diffusion(qs.Continuous(1), kernel, qs.Clean(qs.FixedLarge()), Scored())
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    x -= x.mean()
    how = {"steps": 100, "validations": 50, "lr": 0.1, "warmup": 0, "ema": 0.0, "weight_decay": 0.0}
    run = qs.fit(model, x, x, objective=Watch(-1.0), run=folder, **(how | changes))
    return model, run


def test_the_best_weights_on_the_validation_data_are_kept(tmp_path):
    model, run = drifting(tmp_path)
    scores = {record["step"]: record["valid_bits_per_dim"] for record in run.metrics}
    assert run.best_step == min(scores, key=scores.get)
    assert 2 < run.best_step < run.step == 100
    assert run.best_score == min(scores.values())
    assert abs(model.network.w.item()) < 0.4 < run.mean[0].item()
    loaded, facts = files.load_tensors(tmp_path / "model.safetensors")
    assert torch.equal(loaded["network.w"], model.network.w)
    assert facts == {"step": 100, "best_step": run.best_step}


@pytest.mark.parametrize("patience", [1, 4])
def test_patience_ends_a_run_that_no_longer_improves(patience):
    model, run = drifting(patience=patience)
    scores = [record["valid_bits_per_dim"] for record in run.metrics]
    assert scores.index(min(scores)) == len(scores) - 1 - patience
    assert run.step == run.metrics[-1]["step"] == run.best_step + 2 * patience < 100
    assert run.finished
    assert abs(model.network.w.item()) < 0.4


def test_without_validation_data_the_last_mean_is_kept():
    model, x = line(8)
    run = qs.fit(model, x, steps=20, validations=4)
    assert (run.best_step, run.best) == (20, None)
    assert equal(weights(model), run.mean)
    assert [record["step"] for record in run.metrics] == [5, 10, 15, 20]
    assert not any("valid_bits_per_dim" in record for record in run.metrics)


def test_validation_does_not_touch_the_training():
    a, b = chain(dropout=0.3), chain(dropout=0.3)
    first = qs.fit(a, bits(64), steps=20, validations=0)
    second = qs.fit(b, bits(64), bits(10, 1), steps=20, validations=20)
    assert equal(first.mean, second.mean)


def test_progress_counts_up_to_the_last_step():
    seen = []
    run = qs.fit(line(8)[0], line(8)[1], steps=30, callbacks=[seen.append], validations=3)
    steps = [now.step for now in seen]
    assert steps == sorted(steps)
    assert steps[-1] == 30
    assert {now.steps for now in seen} == {30}
    assert seen[-1].seconds_left == 0
    assert seen[-1].latest == run.metrics[-1]


# what is not finite


class Breaks(nn.Module):
    """Good for k steps of training, then NaN."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.inner, self.k, self.calls = qs.networks.MLP(4, 16, 1), k, 0

    def forward(self, x, time):
        self.calls += self.training
        bad = self.training and self.calls > self.k
        return self.inner(x, time) * (torch.nan if bad else 1.0)


def test_a_network_that_breaks_is_stopped_with_its_last_good_weights(tmp_path):
    def model(k):
        torch.manual_seed(0)
        kernel = qs.BinomialKernel(qs.schedules.erase_evenly(10))
        return qs.Diffusion(qs.Binary(4), kernel, qs.Clean(), Breaks(k))

    how = {"steps": 30, "batch": 8, "validations": 0}
    broken, x = model(7), bits(40)
    with pytest.raises(qs.NonFiniteLoss, match=r"at step 8, first on row \d+ .* of step 7 are k"):
        qs.fit(broken, x, run=tmp_path, **how)
    # The same run, asked what it held at that step.
    good, held = model(math.inf), {}

    class At7(qs.Bound):
        def __call__(self, model, raw, rng):
            held.setdefault(len(held), weights(model))
            return super().__call__(model, raw, rng)

    qs.fit(good, x, objective=At7(), **how)
    assert equal(weights(broken), held[7])
    tensors, facts = files.load_tensors(tmp_path / "checkpoint.safetensors")
    assert facts["step"] == 7
    for name, tensor in broken.state_dict().items():
        assert torch.equal(tensors[f"model.{name}"], tensor)
    assert not os.path.exists(tmp_path / "model.safetensors")
    # The folder goes on from there once the network is mended.
    mended = model(math.inf)
    run = qs.fit(mended, x, run=tmp_path, **how)
    assert run.step == 30
    assert equal(weights(mended), weights(good))


def test_the_row_that_breaks_the_loss_is_named():
    class Row(Watch):
        def __call__(self, model, raw, rng):
            loss = super().__call__(model, raw, rng)
            return torch.where(raw[:, 0] == 13, math.inf, loss)

    model, x = line(20)
    with pytest.raises(qs.NonFiniteLoss, match=r"the loss is inf at step \d+, first on row 13 of"):
        qs.fit(model, x, objective=Row(), steps=20, batch=6)


def test_a_loss_that_is_finite_with_a_gradient_that_is_not_is_stopped():
    class Cliff(Watch):
        def __call__(self, model, raw, rng):
            loss = super().__call__(model, raw, rng)
            return (loss - model.network.w.detach()).abs().sqrt() if len(self.seen) == 4 else loss

    model, x = line(8)
    watch = Cliff()
    with pytest.raises(qs.NonFiniteLoss, match=r"the gradient has norm (nan|inf) at step 4 though"):
        qs.fit(model, x, objective=watch, steps=20)
    assert model.network.w.item() == watch.seen[-1]


def test_nan_in_the_data_is_found_before_training():
    x = bits(10)
    x[3, 2] = torch.nan
    with pytest.raises(ValueError, match=r"x holds nan at \(3, 2\)"):
        qs.fit(chain(), x)
    with pytest.raises(ValueError, match=r"valid holds nan at \(3, 2\)"):
        qs.fit(chain(), bits(10), x)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"steps": 0}, "steps must be 1 or more, got 0"),
        ({"batch": 0}, "batch must be 1 or more, got 0"),
        ({"lr": -1.0}, "lr must be positive, got -1.0"),
        ({"lr": math.nan}, "lr must be positive, got nan"),
        ({"clip": 0.0}, "clip must be positive, got 0.0"),
        ({"ema": 1.0}, "ema must be from 0 to less than 1, got 1.0"),
        ({"patience": -1}, "patience must be 0 or more, got -1"),
        ({"evaluations": 0}, "evaluations must be 1 or more, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, said):
    with pytest.raises(ValueError, match=said):
        qs.Fit(**setting)
    with pytest.raises(ValueError, match=said):
        qs.fit(*line(8), **setting)


def test_data_in_any_layout_train_alike():
    """Read-only, reversed, foreign byte order: an array is its values."""
    x = bits(40).numpy()
    frozen = np.broadcast_to(x, x.shape)
    expected = None
    for same in (x, frozen, x[::-1].copy()[::-1], x.astype(">f8"), x.astype(np.uint8), x.tolist()):
        model = chain()
        qs.fit(model, same, steps=3, batch=8)
        expected = expected or weights(model)
        assert equal(weights(model), expected)
