"""How the network computes, and what a step sees: known without training."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import quasistatic as qs
from quasistatic._utils import files
from quasistatic.conditions import ClassLabel
from quasistatic.data.sources import Rows, Source
from quasistatic.training import precision as arithmetic
from quasistatic.training.data_loader import DataLoader, as_rows, as_source
from quasistatic.training.distributed import Engine
from quasistatic.training.precision import ComputeMode, fastest


def chain(network: nn.Module | None = None, **parts) -> qs.Diffusion:
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(10, 4.0, -4.0))
    network = network or qs.networks.MLP((2, 3), 16, 1, **parts)
    return qs.Diffusion(qs.Quantized((2, 3), 256), kernel, qs.Clean(), network)


def pixels(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 2, 3), dtype=np.uint8)


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [w.detach().clone() for w in model.parameters()]


def equal(a: list, b: list) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Noisy(Source):
    """Rows with one value of each drawn anew: what it draws is all that it is asked for."""

    def __init__(self, array: np.ndarray) -> None:
        self.rows, self.asked = Rows(array), []

    @property
    def shape(self):
        return self.rows.shape

    def __len__(self):
        return len(self.rows)

    def batch(self, rows, rng):
        drawn = torch.randint(256, (len(rows),), generator=rng)
        self.asked.append((rows.tolist(), drawn.tolist()))
        batch = self.rows.batch(rows, rng).clone()
        batch[:, 0, 0] = drawn.to(batch.dtype)
        return batch

    def fingerprint(self):
        return {"noisy": True, **self.rows.fingerprint()}


# data


def test_bytes_stay_bytes_until_a_step_takes_them(monkeypatch):
    """No tensor as large as all the data in four-byte numbers is ever made."""
    largest, checked = [], qs.Quantized.check

    def check(self, raw, name="x"):
        found = checked(self, raw, name)
        largest.append(len(found))
        return found

    monkeypatch.setattr(qs.Quantized, "check", check)
    monkeypatch.setattr("quasistatic.training.data_loader.CHECKED", 6 * 50)
    x = pixels(220)
    rows = as_rows(qs.Quantized((2, 3), 256), x, torch.float32)
    assert rows.array.dtype == torch.uint8
    assert largest == [50, 50, 50, 50, 20]
    assert np.shares_memory(rows.array.numpy(), x)


def test_a_bad_value_is_told_by_its_place_in_the_whole(monkeypatch):
    monkeypatch.setattr("quasistatic.training.data_loader.CHECKED", 6 * 50)
    x = pixels(220).astype(np.float32)
    x[173, 1, 2] = 300
    with pytest.raises(ValueError, match=r"x must hold whole .* got 300 at \(173, 1, 2\)"):
        as_rows(qs.Quantized((2, 3), 256), x, torch.float32)


@pytest.mark.parametrize("bad", [np.zeros(()), np.zeros((0, 2, 3)), np.zeros((4, 3, 2))])
def test_data_of_no_fitting_shape_are_refused(bad):
    with pytest.raises(ValueError, match=r"x (must have shape|is empty)"):
        as_source(qs.Quantized((2, 3), 256), bad, torch.float32)


def test_a_source_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"Noisy gives examples of shape \(2, 3\), and the space"):
        qs.fit(line_of(4), Noisy(pixels(10)), steps=1)
    with pytest.raises(ValueError, match="x must hold whole numbers from 0 to 15"):
        as_source(qs.Quantized((2, 3), 16), Noisy(pixels(10)), torch.float32)


def line_of(dims: int) -> qs.Diffusion:
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(10, 4.0, -4.0))
    return qs.Diffusion(qs.Continuous(dims), kernel, qs.Clean(), qs.networks.MLP(dims, 8, 1))


def test_bytes_and_numbers_and_a_source_of_rows_train_alike():
    x, found = pixels(60), []
    for same in (x, x.astype(np.float64), torch.as_tensor(x).long(), Rows(x)):
        model = chain()
        qs.fit(model, same, x, steps=4, batch=16, validations=2)
        found.append(weights(model))
    assert all(equal(found[0], other) for other in found[1:])


def test_a_source_draws_anew_at_each_step_and_the_same_in_each_run():
    first, second, other = (Noisy(pixels(40)) for _ in range(3))
    for source, seed in ((first, 0), (second, 0), (other, 1)):
        qs.fit(chain(), source, steps=12, batch=8, seed=seed, validations=0)
    assert first.asked == second.asked
    steps = [asked for asked in first.asked if len(asked[0]) == 8]
    assert len(steps) == 12
    assert len({tuple(drawn) for _, drawn in steps}) == 12
    assert {tuple(d) for _, d in steps}.isdisjoint({tuple(d) for _, d in other.asked})
    seen = [row for rows, _ in steps[:10] for row in rows]  # two epochs of 40
    assert sorted(seen) == sorted(2 * list(range(40)))


def test_a_run_on_a_source_goes_on_bit_for_bit(tmp_path):
    class Stop(Exception):
        pass

    def train(folder, stop=None):
        def show(now):
            if now.step == stop:
                raise Stop

        class Slow(qs.Bound):
            def __call__(self, model, raw, rng):
                clock.append(1.0)
                return super().__call__(model, raw, rng)

        model = chain(dropout=0.2)
        how = {"steps": 20, "batch": 16, "validations": 4, "save_every": 0.0, "accumulate": 2}
        qs.fit(
            model,
            Noisy(pixels(40)),
            pixels(9, 1),
            run=folder,
            objective=Slow(),
            callbacks=[show],
            **how,
        )
        return model

    clock: list[float] = []
    alone = train(tmp_path / "alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("quasistatic.training.loop.time.monotonic", lambda: float(len(clock)))
        patch.setattr("quasistatic.training.checkpoints.time.monotonic", lambda: float(len(clock)))
        with pytest.raises(Stop):
            train(tmp_path / "killed", stop=7)
    assert files.load_tensors(tmp_path / "killed" / "checkpoint.safetensors")[1]["step"] > 0
    assert equal(weights(train(tmp_path / "killed")), weights(alone))
    assert (tmp_path / "killed" / "metrics.jsonl").read_bytes() == (
        tmp_path / "alone" / "metrics.jsonl"
    ).read_bytes()


# processes


def test_a_process_that_ought_to_have_company_says_so(monkeypatch):
    Engine("cpu")  # what Accelerate knows is settled by the first
    with monkeypatch.context() as launched:
        launched.setenv("WORLD_SIZE", "2")
        with pytest.raises(RuntimeError, match="2 processes were launched, and this one knows of"):
            Engine()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.warns(UserWarning, match="several processes were asked for, and one was started"):
        Engine()


# parts


def test_parts_share_a_batch_and_draw_from_seeds_of_their_own():
    source = Rows(np.arange(10.0)[:, None])
    batches = DataLoader(source, 8, 3, 0, Engine("cpu"))
    whole = DataLoader(source, 8, 1, 0, Engine("cpu")).take(4)[0]
    parts = batches.take(4)
    assert [len(part.rows) for part in parts] == [3, 3, 2]
    assert sorted(torch.cat([part.rows for part in parts]).tolist()) == sorted(whole.rows.tolist())
    assert parts[0].seed == whole.seed
    assert len({part.seed for part in parts}) == 3
    for part in parts:
        assert part.raw[:, 0].tolist() == part.rows.tolist()


def test_the_gradient_of_a_step_is_the_mean_over_its_parts():
    """Two parts of unequal size, each with its own draws, against the sum written by hand."""
    x = pixels(7)
    kept = {}

    class Watch(qs.Bound):
        def __call__(self, model, raw, rng):
            losses = super().__call__(model, raw, rng)
            kept.setdefault("parts", []).append((raw, rng.initial_seed()))
            return losses

    model, reference = chain(), chain()
    start = weights(model)
    how = {"steps": 1, "batch": 7, "lr": 1e-3, "warmup": 0, "weight_decay": 0.0, "clip": 1e9}
    qs.fit(model, x, objective=Watch(), accumulate=2, validations=1, **how)
    assert [len(raw) for raw, _ in kept["parts"]] == [4, 3]
    losses = torch.cat(
        [qs.Bound()(reference, raw, torch.Generator().manual_seed(s)) for raw, s in kept["parts"]]
    )
    losses.mean().backward()
    optimizer = torch.optim.AdamW(reference.parameters(), lr=1e-3, weight_decay=0.0)
    optimizer.step()
    for got, expected in zip(kept_mean(model, start), weights(reference), strict=True):
        assert torch.allclose(got, expected, rtol=1e-9, atol=1e-12)


def kept_mean(model: nn.Module, start: list) -> list[torch.Tensor]:
    """The weights after one step, from their running mean, which is what a model ends with."""
    share = 1 - 2 / 11
    return [s + (mean - s) / share for mean, s in zip(weights(model), start, strict=True)]


def test_more_parts_than_rows_are_refused():
    with pytest.raises(ValueError, match="a batch of 3 rows cannot be shared among 4 parts"):
        qs.fit(chain(), pixels(3), steps=1, accumulate=4)


def test_another_number_of_parts_is_another_run_and_says_what_to_do(tmp_path):
    qs.fit(chain(), pixels(9), steps=2, run=tmp_path)
    with pytest.raises(ValueError, match=r"a run with 1 parts a step .* would have 2: set accumu"):
        qs.fit(chain(), pixels(9), steps=2, run=tmp_path, accumulate=2)


# arithmetic


class Types(nn.Module):
    """Notes in which type its product came out, and where it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.seen = nn.Linear(6, 6, dtype=torch.float32), []

    def forward(self, x, time):
        y = self.linear(x.flatten(1))
        self.seen.append((self.training, x.dtype, y.dtype))
        return y.reshape(*x.shape, 1)


def test_only_the_network_computes_in_bf16_and_only_in_training(float32):
    network, losses = Types(), []

    class Watch(qs.Bound):
        def __call__(self, model, raw, rng):
            loss = super().__call__(model, raw, rng)
            losses.append(loss.dtype)
            return loss

    model = chain(network)
    network.seen.clear()
    x = pixels(20)
    run = qs.fit(model, x, x, objective=Watch(), steps=3, validations=1, precision="bf16")
    training = {seen[1:] for seen in network.seen if seen[0]}
    validation = {seen[1:] for seen in network.seen if not seen[0]}
    assert training == {(torch.float32, torch.bfloat16)}
    assert validation == {(torch.float32, torch.float32)}
    assert set(losses) == {torch.float32}
    assert {w.dtype for w in run.mean} == {w.dtype for w in model.parameters()} == {torch.float32}
    assert model.network is network
    assert list(model.state_dict()) == ["network.linear.weight", "network.linear.bias"]


def test_bf16_trains_a_model_with_a_condition(float32):
    """Its network takes a third argument."""
    x, y = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3
    model = qs.Diffusion(
        qs.Continuous(2),
        qs.GaussianKernel(qs.schedules.linear(20)),
        qs.Velocity(qs.FixedLarge()),
        qs.networks.MLP(2, 16, 1, condition=3),
        condition=ClassLabel(3),
    )
    qs.fit(model, x, given=y, steps=3, precision="bf16", progress=False)
    of_class = [model.given(k).estimate(torch.zeros(1, 2), torch.tensor([9])) for k in (0, 1)]
    assert not torch.equal(*of_class)


def test_bf16_trains_nearly_what_float32_trains(float32):
    found = {}
    for precision in ("float32", "bf16"):
        model = chain()
        qs.fit(model, pixels(64), steps=20, batch=32, precision=precision, validations=0)
        found[precision] = torch.cat([w.flatten() for w in weights(model)])
    start = torch.cat([w.flatten() for w in weights(chain())])
    moved = (found["float32"] - start).norm()
    assert 0 < (found["float32"] - found["bf16"]).norm() < 0.1 * moved


def clockwork(monkeypatch, costs: dict[str, float]):
    """Time passes only where a step takes it; steps by name, and how often each was taken."""
    now, taken = [0.0], {}
    monkeypatch.setattr(arithmetic.time, "perf_counter", lambda: now[0])

    def begin(way):
        def step():
            taken[str(way)] = taken.get(str(way), 0) + 1
            if costs[str(way)] < 0:
                raise RuntimeError("no compiler\nand more")
            now[0] += costs[str(way)]

        return step

    return begin, taken


AUTO = ComputeMode.candidates("auto", "auto")


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        ((1.0, 12.0, 0.9, 0.8), "bf16 compiled"),
        ((1.0, 0.5, 0.9, 0.6), "bf16"),
        ((1.0, 0.97, 0.96, 1.1), "float32"),  # not worth another result
        ((1.0, 2.0, -1, -1), "float32"),
    ],
)
def test_the_fastest_is_taken_where_it_is_clearly_faster(monkeypatch, costs, chosen):
    names = ["float32", "bf16", "float32 compiled", "bf16 compiled"]
    assert [str(way) for way in AUTO] == names
    begin, taken = clockwork(monkeypatch, dict(zip(names, costs, strict=True)))
    best, seconds = fastest(AUTO, begin, 1000)
    assert str(best) == chosen
    assert seconds == {
        name: pytest.approx(cost) if cost > 0 else None
        for name, cost in zip(names, costs, strict=True)
    }
    assert taken["float32"] == 4
    assert taken["bf16"] == (2 if costs[1] > 2 else 4)  # a hopeless one is not tried again


def test_one_way_is_taken_untried_unless_it_has_to_be_compiled(monkeypatch):
    begin, taken = clockwork(monkeypatch, {"bf16": 1.0, "float32 compiled": -1})
    assert fastest([ComputeMode("bf16")], begin, 1000) == (ComputeMode("bf16"), {})
    assert not taken
    with pytest.raises(RuntimeError, match=r"needs a C\+\+ compiler .* compile='no' \(no compiler"):
        fastest([ComputeMode("float32", "yes")], begin, 1000)


def test_an_error_of_the_network_itself_is_not_hidden(monkeypatch):
    begin, _ = clockwork(monkeypatch, {"float32": -1, "bf16": 1.0})
    with pytest.raises(RuntimeError, match="no compiler"):
        fastest(ComputeMode.candidates("auto", "no"), begin, 1000)


def test_measuring_leaves_no_trace_and_its_choice_is_kept(tmp_path, monkeypatch, float32):
    """A run that chose float32 is the run that was told float32; one that goes on asks nobody."""
    x = pixels(40)

    def train(folder, precision):
        model = chain(dropout=0.3)
        model.network.blocks.insert(0, Counter())
        qs.fit(model, x, run=folder, steps=6, batch=8, precision=precision, validations=2)
        return model

    monkeypatch.setattr(arithmetic, "WORTH", 0.0)  # nothing is worth leaving float32
    auto, told = train(tmp_path / "auto", "auto"), train(tmp_path / "told", "float32")
    assert equal(weights(auto), weights(told))
    assert int(auto.network.blocks[0].count) == 6  # of steps, and none of trials
    speed = json.loads((tmp_path / "auto" / "speed.json").read_text())
    assert speed["arithmetic"] == "float32"
    assert set(speed["seconds_a_step"]) == {"float32", "bf16"}
    assert speed["examples_per_second"] > 0
    # The other way, from a folder that says it was chosen.
    folder = tmp_path / "kept"
    with pytest.raises(ZeroDivisionError):
        qs.fit(chain(), x, run=folder, steps=6, precision="auto", callbacks=[lambda now: 1 / 0])
    (folder / "speed.json").write_text(json.dumps({"arithmetic": "bf16"}))
    monkeypatch.setattr("quasistatic.training.train_step.fastest", only_one)
    run = qs.fit(chain(), x, run=folder, steps=6, precision="auto")
    assert run.speed["arithmetic"] == "bf16"


def only_one(ways, begin, steps, seconds):
    assert len(ways) == 1
    return ways[0], {}


class Counter(nn.Module):
    """Passes on what it is given, and counts how often in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, h, time):
        self.count += self.training
        return h


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"precision": "fp16"}, "precision must be float32, bf16 or auto, got 'fp16'"),
        ({"compile": True}, "compile must be no, yes or auto, got True"),
        ({"accumulate": 0}, "accumulate must be 1 or more, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, said):
    with pytest.raises(ValueError, match=said):
        qs.Fit(**setting)
