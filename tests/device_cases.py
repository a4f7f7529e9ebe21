"""Small models of every space, kernel and head, and what each verb answers: the same on every
device. Used by the tests on a pretended device and by `benchmarks/gpu.py` on a real one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

import quasistatic as qs
from quasistatic.conditions import ClassLabel, Condition
from quasistatic.diagnostics.anomalies import AnomalyDetector
from quasistatic.diagnostics.entropy import entropy_budget
from quasistatic.diagnostics.information_rate import information_rate
from quasistatic.diagnostics.progressive import (
    code_progressively,
    generate_progressively,
    interpolate,
)
from quasistatic.networks import DiffusersUNet
from quasistatic.recipes.latent import chain_of_latents, latent_start
from quasistatic.sampling import DDIM, Ancestral, Clip, DPMSolver, EvenLogSNR, Heun, UniPC
from quasistatic.sampling.timesteps import analytic_variance, measure_costs
from quasistatic.spaces.columns import CategoryColumn, NumericColumn

STEPS = 12
LOG_SNR = qs.schedules.linear_log_snr(STEPS, 6.0, -6.0)
ERASE = qs.schedules.erase_evenly(STEPS)


@dataclass(frozen=True)
class Case:
    """A model, data of its space (N, *), and an objective to train it with."""

    model: qs.Diffusion
    x: np.ndarray
    objective: qs.Objective = qs.Bound()
    given: np.ndarray | None = None


def _model(space, kernel, head, outputs: int | None = None, **how) -> qs.Diffusion:
    outputs = outputs or head.bind(space, kernel).outputs
    network = qs.networks.MLP(space.state, 16, 1, outputs=outputs, holes=space.holes, **how)
    return qs.Diffusion(space, kernel, head, network)


def _bits(head, mean: float | tuple = 0.4) -> Case:
    x = (np.random.default_rng(0).random((24, 5)) < 0.3).astype(np.float64)
    return Case(_model(qs.Binary(5), qs.BinomialKernel(ERASE, mean), head), x)


def _levels(head, count: int = 8, objective: qs.Objective | None = None) -> Case:
    x = np.random.default_rng(0).integers(0, count, (24, 2, 3)).astype(np.uint8)
    space = qs.Quantized((2, 3), count, spread=2.0)
    return Case(_model(space, qs.GaussianKernel(LOG_SNR), head), x, objective or qs.Bound())


def _reals(head, learned: bool = False, objective: qs.Objective | None = None) -> Case:
    x = np.random.default_rng(0).standard_normal((24, 4))
    space = qs.Continuous(4, shift=(0.1, 0.0, 0.2, -0.1), scale=(1.0, 2.0, 1.5, 1.0))
    schedule = qs.schedules.learned(LOG_SNR.log_snr[1:]) if learned else LOG_SNR
    return Case(_model(space, qs.GaussianKernel(schedule), head), x, objective or qs.Bound())


def _dequantized() -> Case:
    x = np.random.default_rng(0).integers(0, 8, (24, 4)).astype(np.int64)
    return Case(_model(qs.Dequantized(4, 8), qs.GaussianKernel(LOG_SNR), qs.Velocity()), x)


def _classes() -> Case:
    x = np.random.default_rng(0).integers(0, (3, 2), (24, 2))
    return Case(_model(qs.OneHot((3, 2)), qs.CategoricalKernel(ERASE, (3, 2)), qs.Classes()), x)


def _absorbing() -> Case:
    x = np.random.default_rng(0).integers(0, (3, 2), (24, 2))
    kernel = qs.CategoricalKernel.absorbing(ERASE, (4, 3))
    return Case(_model(qs.OneHot((3, 2), masked=True), kernel, qs.Classes()), x)


def _table(holes: bool) -> Case:
    r = np.random.default_rng(0)
    line = NumericColumn("line", float(holes), "", (-1.0, 1.0), (-1.0, 1.0), -9.0, 9.0)
    other = NumericColumn("other", 0.0, "", (-2.0, 0.0, 2.0), (-1.0, 0.2, 1.0), -9.0, 9.0)
    table = qs.Table((line, CategoryColumn("class", 0.0, "", ("a", "b"), (0.5, 0.5)), other))
    x = np.stack([r.standard_normal(24), r.integers(0, 2, 24), r.standard_normal(24)], 1)
    if holes:
        x[::5, 0] = np.nan
    return Case(qs.tabular(table, steps=STEPS, width=16, depth=1), x)


def _spread_levels() -> Case:
    table = (tuple((0.3,) * 3 for _ in range(2)), tuple((0.6,) * 3 for _ in range(2)))
    return _levels(qs.heads.Spread(qs.Levels(), qs.Analytic((1, STEPS), table)))


def _spectral(space: qs.Space, network: type = qs.networks.UNet) -> Case:
    """A network on a spectral law of small waves."""
    axis = np.arange(8) / 8
    phase = np.random.default_rng(0).random((24, 8, 1))
    x = np.rint(8 + 6 * np.sin(6 * (axis + phase))).astype(np.uint8)
    law = qs.spectral_law(space, x).law
    return Case(qs.spectral_model(space, law, steps=STEPS, width=8, network=network), x)


def _latent(second: bool) -> Case:
    """An autoencoder of small pictures, or the chain of its latents."""
    r = np.random.default_rng(0)
    x = (r.integers(2, 14, (24, 1, 1)) + r.normal(0, 1, (24, 8, 8)).cumsum(1)).clip(0, 15)
    images = torch.from_numpy(x.astype(np.uint8))
    raw = qs.Quantized((8, 8), 16, 2.0)
    sizes = {"channels": 2, "down": 4, "width": 8, "blocks": 1}
    first = latent_start(raw, images, **sizes)
    if not second:
        return Case(first, images.numpy(), objective=qs.Evidence())
    model = chain_of_latents(first, images, steps=STEPS, width=8)[0]
    return Case(model, images.numpy())


def _network(network: nn.Module, condition: Condition | None = None) -> Case:
    """A network of pictures with 8 levels, and with labels if it has a condition."""
    x = np.random.default_rng(0).integers(0, 8, (24, 1, 8, 8)).astype(np.uint8)
    space = qs.Quantized((1, 8, 8), 8, spread=2.0)
    parts = space, qs.GaussianKernel(LOG_SNR), qs.Velocity(qs.FixedLarge()), network
    model = qs.Diffusion(*parts, condition=condition)
    return Case(model, x, given=None if condition is None else np.arange(24) % 3)


def _unet() -> nn.Module:
    return DiffusersUNet((1, 8, 8), STEPS, (8, 16), 1, (1,), (0,), groups=4, middle_groups=4)


def _dit(codes: int = 0) -> nn.Module:
    return qs.networks.DiT((1, 8, 8), 8, 1, 2, patch=4, condition=codes)


CASES: dict[str, Callable[[], Case]] = {
    "spectral dequantized": partial(_spectral, qs.Dequantized((8, 8), 16)),
    "spectral levels": partial(_spectral, qs.Quantized((8, 8), 16, 2.0), qs.networks.DiT),
    "autoencoder": partial(_latent, False),
    "latents": partial(_latent, True),
    "network of diffusers": lambda: _network(_unet()),
    "labels": lambda: _network(_dit(ClassLabel(3).width), ClassLabel(3)),
    "bits levels": partial(_bits, qs.Levels()),
    "bits clean": partial(_bits, qs.Clean(), (0.1, 0.5, 0.8, 0.4, 0.2)),
    "bits natural": partial(_bits, qs.Natural()),
    "levels table": partial(_levels, qs.Levels()),
    "levels logistics": partial(_levels, qs.Levels(2), 32),
    "levels exact": partial(_levels, qs.Exact(qs.Levels())),
    "levels spread": _spread_levels,
    "levels velocity": partial(_levels, qs.Velocity(qs.FixedLarge())),
    "levels noise simple": partial(_levels, qs.Noise(qs.FixedLarge()), objective=qs.Simple()),
    "reals noise": partial(_reals, qs.Noise()),
    "reals clean": partial(_reals, qs.Clean(qs.FixedLarge())),
    "reals velocity": partial(_reals, qs.Velocity(qs.Interpolated())),
    "reals mean": partial(_reals, qs.Mean(qs.Sigmoid())),
    "reals natural": partial(_reals, qs.Natural()),
    "reals equilibrium": partial(_reals, qs.Equilibrium()),
    "reals hybrid": partial(_reals, qs.Velocity(qs.Interpolated()), objective=qs.Hybrid()),
    "reals learned": partial(_reals, qs.Velocity(), True),
    "reals least variance": partial(
        _reals,
        qs.Velocity(),
        True,
        qs.MinimumVariance(),
    ),
    "dequantized": _dequantized,
    "classes": _classes,
    "classes absorbing": _absorbing,
    "table": partial(_table, False),
    "table with holes": partial(_table, True),
}


def build(name: str) -> Case:
    """The case of that name, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        case = CASES[name]()
        with torch.no_grad():
            for weight in case.model.network.parameters():
                weight.copy_(0.3 * torch.randn_like(weight))
    return case


def verbs(case: Case) -> dict[str, Callable[[], object]]:
    """What can be asked of a case; each call draws from a CPU generator with a fixed seed, so that
    the answers can be compared between devices."""
    model, x = case.model, case.x
    few, rng = x[:6], lambda: torch.Generator().manual_seed(1)
    mask = np.zeros((6, *model.space.shape), dtype=bool)
    mask.reshape(6, -1)[:, 0] = True
    jumps = 6 if model.head.jumps else None
    even = EvenLogSNR(5)
    flat = int(np.prod(model.space.shape))
    view = torch.from_numpy(np.random.default_rng(2).standard_normal((2, flat)))
    seen = np.random.default_rng(3).standard_normal((2, 2))

    def known() -> object:
        filled = np.where(np.isnan(few.astype(float)), 0.0, few)
        return model.complete(filled, mask, draws=2, times=jumps, rng=rng(), method=qs.SMC(4))

    def noisy() -> object:
        factor = qs.Observed(np.where(np.isnan(few.astype(float)), 0.0, few), 0.5)
        return model.posterior(factor, 2, jumps, rng(), method=qs.SMC(4, pull=0.5))

    def linear() -> object:
        factor = qs.Linear(seen, view, 0.5)
        return model.posterior(factor, 2, jumps, rng(), method=qs.SMC(4))

    def smooth() -> object:
        factor = qs.Smooth(lambda raw, rows: -0.1 * (raw**2).flatten(1).sum(1), count=2)
        return model.posterior(factor, 2, jumps, rng(), method=qs.SMC(4, pull=1.0))

    def label() -> object:
        factor = qs.Label(lambda raw: raw.flatten(1)[:, :2], [0, 1, 1])
        return model.posterior(factor, 2, jumps, rng(), method=qs.SMC(4))

    def walk(name: str) -> object:
        factor = qs.Observed(np.where(np.isnan(few.astype(float)), 0.0, few), 0.5)
        return model.posterior(factor, 2, jumps, rng(), method=qs.Guided(name))

    def layers() -> object:
        codec = qs.LayeredCodec(model, jumps)
        return codec.decompress(codec.compress(few))

    def anomalies() -> object:
        # Scores and not p-values: these are ranks, and the rows compared are equal.
        reference = np.concatenate([x, x])
        detector = AnomalyDetector.fit(model, reference, x, below=np.inf, bands=2, draws=1)
        found = detector.score(few)
        return [found.scores, found.bands, found.costs, found.log_snr]

    asked: dict[str, Callable[[], object]] = {
        "sample": lambda: model.sample(5, jumps, rng()),
        "score": lambda: model.score(x, 5, rng=rng()),
        "score all terms": lambda: model.score(few, None, rng=rng()),
        "score to an error": lambda: model.score(x, 8, rng=rng(), stderr=0.5),
        "importance": lambda: model.score(few, rng=rng(), method=qs.Importance(3)),
        "flow": lambda: model.score(few, times=jumps, rng=rng(), method=qs.Flow()),
        "continuous time": lambda: model.score(few, rng=rng(), method=qs.ContinuousTime()),
        "sandwich": lambda: model.sandwich(6, 2, jumps, rng()),
        "complete": known,
        "observed": noisy,
        "linear": linear,
        "smooth": smooth,
        "label": label,
        "guided, constant": lambda: walk("constant"),
        "guided, matched": lambda: walk("matched"),
        "impute": lambda: model.impute(
            np.where(mask, np.nan, few.astype(float)), 2, jumps, rng(), method=qs.SMC(4)
        ),
        "compress": lambda: model.decompress(model.compress(few)),
        "compress in layers": layers,
        "check": lambda: _errors(qs.check(model, x, rng(), 200)),
        "anomalies": anomalies,
        "entropy budget": lambda: entropy_budget(model, x, jumps, rng=rng()).spent,
        "step costs": lambda: measure_costs(model, x, 6, rng()).between,
        "analytic": lambda: torch.tensor(analytic_variance(model, x, 4, rng()).table),
        "information rate": lambda: information_rate(model, x, rng=rng()),
        "coded": lambda: code_progressively(model, x, 5, rng=rng()),
        "generated": lambda: generate_progressively(model, 3, shown=3, times=jumps, rng=rng()),
        "interpolated": lambda: interpolate(model, few, x[6:12], STEPS, (0.5,), jumps, rng()),
        "loss": lambda: gradient(case, rng()),
        "DDIM": lambda: model.sample(3, 5, rng(), stepper=DDIM(0.5)),
        "multistep": lambda: model.sample(3, even, rng(), stepper=DPMSolver(2)),
        "UniPC": lambda: model.sample(3, even, rng(), stepper=UniPC(2)),
        "Heun": lambda: model.sample(3, even, rng(), stepper=Heun()),
        "clipped": lambda: model.sample(3, 5, rng(), stepper=Clip(Ancestral())),
        "encode": lambda: model.decode(model.encode(few[:2], even, rng(), tolerance=1e-2), even),
    }
    if case.given is not None:
        y = case.given
        asked |= {
            "sample given": lambda: model.sample(5, jumps, rng(), given=2),
            "score given": lambda: model.score(x, 5, rng=rng(), given=y),
            "guided sample": lambda: model.sample(
                5, jumps, rng(), given=1, guidance=qs.Guidance(1.0)
            ),
            "corrected guidance": lambda: model.sample(
                5, 6, rng(), given=1, guidance=qs.CorrectedGuidance(1.0)
            ),
            "classify": lambda: model.classify(few, 2, 2, rng()).log_prob,
        }
    if isinstance(model.space, (qs.OneHot, qs.Table)):
        # A class has no slope: these factors are for numbers.
        asked = {name: ask for name, ask in asked.items() if name not in ("smooth", "label")}
    return asked


def gradient(case: Case, rng: torch.Generator) -> Tensor:
    """The losses of a batch, and the gradient of the first weights."""
    model = case.model.train()
    raw = model.space.check(case.x).to(model.blank(1))
    losses = case.objective(model, raw, rng)
    losses.sum().backward()
    found = [w.grad.flatten() for w in model.parameters() if w.grad is not None]
    for weight in model.parameters():
        weight.grad = None
    model.eval()
    return torch.cat([each.cpu() for each in (losses.detach(), *found)])


def _errors(report) -> Tensor:
    return torch.tensor([float(row.error or 0.0) for row in report.rows])


def numbers(answer: object) -> np.ndarray:
    """All numbers of an answer in one row, on the CPU in float64."""
    if isinstance(answer, Tensor):
        return answer.detach().cpu().double().flatten().numpy()
    if isinstance(answer, np.ndarray):
        return answer.astype(np.float64).flatten()
    if isinstance(answer, (int, float, bool)):
        return np.array([float(answer)])
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, (list, tuple)):
        parts = [numbers(each) for each in answer]
        return np.concatenate(parts) if parts else np.zeros(0)
    if hasattr(answer, "__dataclass_fields__"):
        return numbers([getattr(answer, name) for name in answer.__dataclass_fields__])
    return np.zeros(0)


def ask(verb: Callable[[], object]) -> np.ndarray | str:
    """The numbers that a verb answers; the error's first words where the model has no such answer.

    Only a TypeError or ValueError of the library is such an answer.
    """
    try:
        return numbers(verb())
    except (TypeError, ValueError, np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
        return f"{type(error).__name__}: {str(error)[:60]}"
