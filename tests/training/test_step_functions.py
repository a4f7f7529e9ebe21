"""A step compiled as one graph, or captured and replayed, is the step as it is written."""

import gc

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

import quasistatic as qs
from device_cases import CASES, build
from quasistatic._utils import constants
from quasistatic._utils.buffers import same_buffers
from quasistatic.training.distributed import Engine
from quasistatic.training.precision import ComputeMode
from quasistatic.training.step_functions import Captured, Compiled, Eager, StepFunction, _Reads

COMPILED = ComputeMode("float32", "yes")


def outcome(function: StepFunction, raw: torch.Tensor, seed: int) -> tuple[torch.Tensor, ...]:
    """The losses of a step, and the gradients of all weights."""
    for weight in function.weights:
        weight.grad = None
    losses = function(raw, torch.Generator().manual_seed(seed))
    return losses, *(w.grad.clone() for w in function.weights if w.grad is not None)


def assert_same(a: tuple, b: tuple, rtol: float) -> None:
    assert len(a) == len(b)
    for one, two in zip(a, b, strict=True):
        assert torch.allclose(one, two, rtol=rtol, atol=rtol * (1 + one.abs().max().item()))


def pieces(name: str, mode: ComputeMode = COMPILED):
    """The raw data of a case, and its step as it is written and compiled."""
    case = build(name)
    raw = case.model.space.check(case.x).to(case.model.blank(1))
    case.model.train()
    written = Eager(case.model, case.objective, ComputeMode(), len(raw))
    return raw, written, Compiled(case.model, case.objective, mode, len(raw))


@pytest.fixture
def backend(monkeypatch):
    """Compiles with a backend of torch.compile that needs no C++ compiler."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: real(f, backend="aot_eager", **how))


ONE_OF_EACH = [
    "bits levels",
    "levels logistics",
    "levels exact",
    "levels noise simple",
    "reals hybrid",
    "reals learned",
    "classes absorbing",
    "table with holes",
    "spectral dequantized",
    "spectral levels",
    "network of diffusers",
]
"""Cases with every kernel, space and objective, and each way that a head makes a law."""


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_whole_loss_compiles_as_one_graph(name, backend, monkeypatch):
    """Same losses and gradients, from the same seeds, twice."""
    raw, written, compiled = pieces(name)
    monkeypatch.setattr(compiled, "_fall_back", lambda error: pytest.fail(str(error)))
    for seed in (3, 4):
        assert_same(outcome(written, raw, seed), outcome(compiled, raw, seed), 1e-6)
    assert compiled.name == "loss compiled"


def test_an_objective_that_cannot_be_compiled_has_its_network_compiled(backend):
    raw, written, compiled = pieces("reals least variance")
    assert_same(outcome(written, raw, 3), outcome(compiled, raw, 3), 1e-6)
    assert compiled.name == "network compiled"


class OwnDraws(qs.Bound):
    """Draws by torch itself, and not by the library's functions."""

    def __call__(self, model, raw, rng):
        scale = torch.rand(len(raw), generator=rng)
        return scale * super().__call__(model, raw, rng)


def test_an_objective_with_draws_of_its_own_draws_the_same_when_compiled(backend):
    raw, written, compiled = pieces("reals velocity")
    written.objective = compiled.objective = OwnDraws()
    assert_same(outcome(written, raw, 3), outcome(compiled, raw, 3), 1e-6)
    assert compiled.name == "network compiled"


def test_the_default_compiler_gives_the_same_losses(float32):
    raw, written, compiled = pieces("reals noise")
    assert_same(outcome(written, raw, 3), outcome(compiled, raw, 3), 1e-5)
    assert compiled.name == "loss compiled"


class Replaying(Engine):
    """Captures as CUDA does: what is replayed reads and writes the memory of the capture."""

    captures = True

    def __init__(self) -> None:
        super().__init__("cpu")
        self.captured = 0

    def capture(self, work):
        self.captured += 1
        result = work()
        case = self.case
        kept = [w.grad for w in case.model.parameters()]

        def replay() -> None:
            new = work()
            with torch.no_grad():
                result.copy_(new)
                for gradient, weight in zip(kept, case.model.parameters(), strict=True):
                    if gradient is not None:
                        gradient.copy_(weight.grad)

        return replay, result


@pytest.mark.parametrize("name", ["bits levels", "levels logistics", "reals learned", "classes"])
def test_a_captured_step_is_the_step(name):
    """Over several seeds, batches of two sizes, and two parts of one batch."""
    case, engine = build(name), Replaying()
    engine.case = case
    raw = case.model.space.check(case.x).to(case.model.blank(1))
    written = Eager(case.model, case.objective, ComputeMode(), len(raw))
    captured = Captured(Eager(case.model, case.objective, ComputeMode(), len(raw)), engine)
    for rows, seed in ((raw, 3), (raw.flip(0), 4), (raw[:9], 5), (raw, 6)):
        expected, found = outcome(written, rows, seed), outcome(captured, rows, seed)
        assert_same(expected, found, 1e-12)
    assert engine.captured == 2
    rng = torch.Generator()
    sums = []
    for function in (written, captured):
        for weight in function.weights:
            weight.grad = None
        for seed, rows in ((7, raw), (8, raw.flip(0))):
            function(rows, rng.manual_seed(seed))
        sums.append([w.grad.clone() for w in function.weights if w.grad is not None])
    assert_same(tuple(sums[0]), tuple(sums[1]), 1e-12)


class Reading(Replaying):
    """Remembers the memory that a captured step reads, without keeping it."""

    def capture(self, work):
        with _Reads() as reads:
            found = super().capture(work)
        self.read = [StorageWeakRef(each.untyped_storage()) for each in reads.found.values()]
        return found


@pytest.mark.parametrize("name", CASES)
def test_the_memory_that_a_captured_step_reads_is_kept(name):
    """Also when the caches of constants and of laws in closed form are filled anew."""
    case, engine = build(name), Reading()
    engine.case = case
    raw = case.model.space.check(case.x).to(case.model.blank(1))
    inner = Eager(case.model, case.objective, ComputeMode(), len(raw))
    captured = Captured(inner, engine)
    captured(raw, torch.Generator().manual_seed(3))
    for buffer in case.model.buffers():
        buffer.copy_(buffer.clone())
    constants._KEPT.clear()
    inner(raw, torch.Generator().manual_seed(3))
    gc.collect()
    assert engine.read
    assert not any(each.expired() for each in engine.read)


def test_buffers_that_a_step_writes_are_as_they_were_after_a_capture():
    """A normalization by batches counts them; a capture is none."""
    network = torch.nn.BatchNorm1d(3)
    with same_buffers(network):
        network(torch.randn(5, 3))
    assert network.num_batches_tracked == 0
    version = network.running_mean._version
    with same_buffers(network):
        network.eval()(torch.randn(5, 3))
    assert network.running_mean._version == version


def test_a_step_that_cannot_be_captured_is_computed_without(monkeypatch):
    case, engine = build("reals noise"), Replaying()

    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(engine, "capture", refuse)
    raw = case.model.space.check(case.x).to(case.model.blank(1))
    written = Eager(case.model, case.objective, ComputeMode(), len(raw))
    captured = Captured(Eager(case.model, case.objective, ComputeMode(), len(raw)), engine)
    with pytest.warns(UserWarning, match="cannot be captured as a CUDA graph"):
        assert_same(outcome(written, raw, 3), outcome(captured, raw, 3), 1e-12)
    assert_same(outcome(written, raw, 4), outcome(captured, raw, 4), 1e-12)
    assert captured.name == "eager"


def test_recording_leaves_no_trace():
    case = build("reals noise")
    raw = case.model.space.check(case.x).to(case.model.blank(1))
    rng = torch.Generator().manual_seed(2)
    before, own = rng.get_state(), torch.get_rng_state()
    recorder = Eager(case.model, case.objective, ComputeMode(), len(raw)).record(raw, rng)
    assert torch.equal(rng.get_state(), before)
    assert torch.equal(torch.get_rng_state(), own)
    again = [draw.clone() for draw in recorder.redraw(rng)]
    rng.set_state(before)
    assert all(torch.equal(a, b) for a, b in zip(again, recorder.redraw(rng), strict=True))
