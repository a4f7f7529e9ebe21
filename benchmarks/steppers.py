"""Steppers against the true flow, beside diffusers' schedulers.

    python benchmarks/steppers.py certify [--law ring|pinwheel] [--draws 1000]
    python benchmarks/steppers.py digits [--draws 1000]
    python benchmarks/steppers.py mnist --run RUN [--draws 500]
    python benchmarks/steppers.py binarized [--run RUN] [--draws 500]
    python benchmarks/steppers.py discrete
    python benchmarks/steppers.py parallel
    python benchmarks/steppers.py figure

certify: on a law whose probability flow is known, with its exact estimates and no network: the
root mean square error of a value of x_0 to the true flow from the same noise, and minus the mean
log-density of the draws, at 5 to 50 evaluations. The default and its times were chosen on the ring
of eight normals, and the pinwheel was tried afterwards. Beside them diffusers' DDIM, DPM-Solver++
and UniPC with their own spacings and the same estimates.
digits: the shipped model of digits, its draws at 5, 10 and 20 evaluations against long ancestral
draws: energy distance and kernel distance of features of a small classifier, beside diffusers'
schedulers with the same network.
mnist: the same for a run of grey MNIST. binarized: for the shipped model of binarized MNIST, whose
bits have no flow, so that diffusers' schedulers do not apply.
discrete: bits and classes with the exact probabilities of each value, by enumeration: the
divergence of few-step draws from the data, without any sampling noise.
parallel: the rounds and the wall time of Parallel at 94 steps, on one and two cores.
figure: error against evaluations of the kept tables of certify, log-log, into
docs/pictures/steppers.png, and the walks of some steppers into docs/pictures/trajectories.png.
The tables are kept in benchmarks/results/steppers.json. Needs the `bench` extra.
"""

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers import schedulers
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from torch import Tensor

import quasistatic as qs
from quasistatic.diagnostics.certificates import COUNTS, certify, pinwheel, ring, true_flow
from quasistatic.diagnostics.metrics import kid
from quasistatic.diagnostics.oracles import IsingOracle, SwissRollOracle
from quasistatic.distributions import total
from quasistatic.model import Model
from quasistatic.sampling import (
    DDIM,
    Ancestral,
    DPMSolver,
    EvenLogSNR,
    EvenTimes,
    Heun,
    Karras,
    Kept,
    Multistep,
    Parallel,
    Quadratic,
    Stepper,
    TimeGrid,
    UniPC,
    timesteps,
    walk,
)

RESULTS = Path(__file__).parent / "results" / "steppers.json"
LAWS = {"ring": ring, "pinwheel": pinwheel}
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


class Searched(TimeGrid):
    """The times that flow_path finds, from other noise than the draws are made of."""

    def __init__(self, count: int, stepper: Stepper) -> None:
        super().__init__(count)
        object.__setattr__(self, "stepper", stepper)

    def places(self, model: Model) -> Tensor:
        return timesteps.flow_path(model, self.count, self.stepper, rng=1).times.double()


OURS = {
    "default: UniPC(2), inner log-SNR": (UniPC(2), None),
    "Multistep(2), inner log-SNR": (Multistep(2), None),
    "UniPC(3), inner log-SNR": (UniPC(3), None),
    "UniPC(2), even log-SNR": (UniPC(2), EvenLogSNR),
    "UniPC(2), Karras": (UniPC(2), Karras),
    "UniPC(2), quadratic": (UniPC(2), Quadratic),
    "UniPC(2), even t": (UniPC(2), EvenTimes),
    "DPMSolver(2), inner log-SNR": (DPMSolver(2), None),
    "DPMSolver(2), even log-SNR": (DPMSolver(2), EvenLogSNR),
    "Heun, inner log-SNR": (Heun(), None),
    "DDIM, even t": (DDIM(), EvenTimes),
    "DDIM, even log-SNR": (DDIM(), EvenLogSNR),
    "Ancestral, even t": (Ancestral(), EvenTimes),
    "UniPC(2), flow_path": (UniPC(2), partial(Searched, stepper=UniPC(2))),
    "Multistep(2), flow_path": (Multistep(2), partial(Searched, stepper=Multistep(2))),
    "DPMSolver(2), flow_path": (DPMSolver(2), partial(Searched, stepper=DPMSolver(2))),
}


def theirs(betas: dict[str, object] = BETAS) -> dict[str, Callable[[], object]]:
    """diffusers' schedulers, each with the spacings that it has."""
    solver = betas | {"solver_order": 2, "final_sigmas_type": "zero"}
    dpm, unipc = schedulers.DPMSolverMultistepScheduler, schedulers.UniPCMultistepScheduler
    euler = solver | {"euler_at_final": True}
    return {
        "DDIM": lambda: schedulers.DDIMScheduler(**betas, clip_sample=False),
        "DPM-Solver++(2M)": lambda: dpm(**euler),
        "DPM-Solver++(2M), Karras": lambda: dpm(**euler, use_karras_sigmas=True),
        "DPM-Solver++(2M), even log-SNR": lambda: dpm(**euler, use_lu_lambdas=True),
        "UniPC": lambda: unipc(**solver),
        "UniPC, Karras": lambda: unipc(**solver, use_karras_sigmas=True),
        "UniPC, even log-SNR": lambda: unipc(**solver, use_exponential_sigmas=True),
    }


def answer(scheduler, estimate: Callable, x_T: Tensor, count: int) -> Tensor:
    """x_0 by one of diffusers' schedulers, with estimates of x_0 at its noise levels."""
    scheduler.set_timesteps(count)
    x = x_T.float()
    for i, t in enumerate(scheduler.timesteps):
        if hasattr(scheduler, "sigmas"):
            sigma = float(scheduler.sigmas[i])
            signal, noise = 1 / (1 + sigma**2) ** 0.5, sigma / (1 + sigma**2) ** 0.5
        else:
            alpha_bar = float(scheduler.alphas_cumprod[int(t)])
            signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        eps = (x - signal * estimate(x, int(t), signal, noise)) / noise
        x = scheduler.step(eps.float(), t, x, return_dict=False)[0]
    return x


def exact(law) -> Callable:
    """The exact estimates of a law."""

    def estimate(x: Tensor, t: int, signal: float, noise: float) -> Tensor:
        one = torch.ones(len(x), 1, dtype=torch.float64)
        return law.mixture.moments(x.double(), signal * one, noise * one)[..., 0]

    return estimate


def certified(name: str, draws: int) -> dict[str, dict]:
    law, kernel = LAWS[name](), qs.GaussianKernel(qs.schedules.linear(1000))
    rows = dict(_kept().get(name, {}))
    entropy = certify(DDIM(), law=law, counts=(5,), n=10).entropy
    print(f"{name}: RMSE to the true flow, and NLL in nats (exact draws: {entropy:.2f})")
    print(f"{'evaluations':<38}" + "".join(f"{each:>16}" for each in COUNTS))

    def told(label: str, rmse: tuple, nll: tuple) -> None:
        rows[label] = {"rmse": list(rmse), "nll": list(nll)}
        cells = (f"{e:.4f} ({n:.2f})" for e, n in zip(rmse, nll, strict=True))
        print(f"{label:<38}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
        _keep({name: rows})

    for label, (stepper, grid) in OURS.items():
        if label in rows:
            continue
        found = certify(stepper, grid, law, kernel, n=draws)
        told(label, found.rmse, found.nll)
    model = Model(**law.parts(kernel)).double()
    x_T = next(iter(walk(model, draws, 2, 0))).x
    truth = true_flow(law, kernel, x_T)
    for label, make in theirs().items():
        if f"diffusers {label}" in rows:
            continue
        torch.set_default_dtype(torch.float32)  # as the schedulers expect
        each = [answer(make(), exact(law), x_T, count).double() for count in COUNTS]
        torch.set_default_dtype(torch.float64)
        rmse = tuple((x - truth).square().mean().sqrt().item() for x in each)
        told(f"diffusers {label}", rmse, tuple(-law.log_prob(x).mean().item() for x in each))
    return rows


IMAGES_OURS = {
    "default: UniPC(2), to one level's width": (UniPC(2), None),
    "UniPC(2), inner log-SNR": (UniPC(2), partial(EvenLogSNR, high=4.2, low=-2.0)),
    "UniPC(2), even log-SNR": OURS["UniPC(2), even log-SNR"],
    "DPMSolver(2), even log-SNR": OURS["DPMSolver(2), even log-SNR"],
    "DPMSolver(2), Karras": (DPMSolver(2), Karras),
    "UniPC(2), flow_path": OURS["UniPC(2), flow_path"],
    "Multistep(2), flow_path": OURS["Multistep(2), flow_path"],
    "DPMSolver(2), flow_path": OURS["DPMSolver(2), flow_path"],
    "DDIM, even t": OURS["DDIM, even t"],
    "Ancestral, even t": OURS["Ancestral, even t"],
}
BITS_OURS = {
    "Ancestral, even t": (Ancestral(), EvenTimes),
    "Kept(0.5), even t": (Kept(0.5), EvenTimes),
    "Kept(0.2), even t": (Kept(0.2), EvenTimes),
    "Kept(0), even t": (Kept(0.0), EvenTimes),
    "Ancestral, quadratic": (Ancestral(), Quadratic),
    "Kept(0), quadratic": (Kept(0.0), Quadratic),
}


def images(
    model: qs.Diffusion,
    features: Callable[[Tensor], Tensor],
    draws: int,
    long: int,
    ours: dict[str, tuple],
    part: str,
) -> dict[str, dict]:
    """Distances of few-step draws to long ancestral ones, beside diffusers' schedulers where the
    kernel has a flow. Rows that an earlier call has kept are not computed again."""
    truth = model.sample(2 * draws, long, 1).cpu()
    counts, rows = (5, 10, 20), dict(_kept().get(part, {}))

    def add(label: str, draw: Callable[[int], Tensor]) -> None:
        if label in rows:
            return
        drawn = [draw(count) for count in counts]
        found = [
            (energy(x, truth[:draws]), kid(features(x), features(truth[:draws]))) for x in drawn
        ]
        rows[label] = {
            "energy": [e for e, _ in found],
            "kid": [k.mean for _, k in found],
            "kid_stderr": [k.stderr for _, k in found],
        }
        cells = (f"{e:.3f}  {k.mean:.4f} ± {k.stderr:.4f}" for e, k in found)
        print(f"{label:<42}" + "".join(f"{cell:>26}" for cell in cells), flush=True)
        _keep({part: rows})

    print(f"{'evaluations: energy distance, KID':<42}" + "".join(f"{c:>26}" for c in counts))
    add("noise floor (other ancestral draws)", lambda count: truth[draws:])
    for label, (stepper, grid) in ours.items():

        def drawn(count: int, stepper: Stepper = stepper, grid: Callable | None = grid) -> Tensor:
            times = count if grid is None else grid(count)(model)
            return model.sample(draws, times, 2, stepper=stepper).cpu()

        add(label, drawn)
    if not isinstance(model.kernel, qs.GaussianKernel):
        return rows
    alpha_bar = model.kernel.schedule.alpha_bar.cpu()
    betas = {"trained_betas": (1 - alpha_bar[1:] / alpha_bar[:-1]).numpy()}
    x_T, device = next(iter(walk(model, draws, 2, 2))).x.cpu(), model.blank(1).device

    def estimate(x: Tensor, t: int, signal: float, noise: float) -> Tensor:
        found = []
        for each in x.split(model.chunk_size):
            there = each.to(device)
            found.append(model.estimate(there, torch.full((len(each),), t + 1, device=device)))
        return torch.cat(found).cpu()

    for label, make in theirs(betas).items():

        @torch.no_grad()
        def scheduled(count: int, make: Callable = make) -> Tensor:
            x_0 = answer(make(), estimate, x_T, count)
            return model.space.decode(x_0.to(device)).cpu()

        add(f"diffusers {label}", scheduled)
    return rows


def _kept() -> dict[str, dict]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def _keep(found: dict[str, dict]) -> None:
    RESULTS.write_text(json.dumps(_kept() | found, indent=2) + "\n")


class Enumerated:
    """All states of a few bits or classes, with the exact law of few-step walks among them.

    Each step is factorised over the values, as a network's is, with the exact probabilities of x_0
    given x_t. What is left is the error of few steps.
    """

    def __init__(self, kernel: qs.Kernel, states: Tensor, log_p: Tensor) -> None:
        self.kernel, self.states, self.log_p = kernel, states, log_p

    def mean(self, t: int) -> Tensor:
        """P(x_0 = 1 | x_t) of each value for each state (S, W)."""
        count = len(self.states)
        at = torch.full((count * count,), t)
        x_t, x_0 = self.states.repeat_interleave(count, 0), self.states.repeat(count, 1)
        joint = total(self.kernel.marginal(x_0, at).log_prob(x_t)).reshape(count, count)
        return (joint + self.log_p).softmax(1).nan_to_num() @ self.states

    def steps(self, mean: Tensor) -> Tensor:
        """The probabilities of all next states, from independent means (S, W): (S, S)."""
        mean = mean.nan_to_num()  # of states that no walk reaches
        one = mean.clamp(1e-300, 1).log() @ self.states.T
        if isinstance(self.kernel, qs.CategoricalKernel):
            return one.exp()
        return (one + (1 - mean).clamp(1e-300, 1).log() @ (1 - self.states).T).exp()

    def divergence(self, times: Tensor, eta: float) -> float:
        """KL from the data to the draws of a walk, in nats."""
        kernel, states, grid = self.kernel, self.states, times.tolist()
        law = total(kernel.prior(states).log_prob(states)).exp()
        law = law / law.sum()
        for s, t in zip(grid[-2::-1], grid[:0:-1], strict=True):
            mean = self.mean(t)
            denoised = kernel.from_moments(mean, mean * (1 - mean))
            early, late = (torch.full((len(states),), each) for each in (s, t))
            law = law @ self.steps(kernel.kept(states, denoised, early, late, eta).mean)
        law = law @ self.steps(self.mean(grid[0]))
        held = self.log_p.isfinite()
        return float((self.log_p.exp() * (self.log_p - law.log()))[held].sum())


def _spins() -> tuple[Tensor, Tensor]:
    law = IsingOracle(8, 0.6, 0.1)
    return law.sequences, law.log_weight


def _potts(variables: int, masked: bool = False) -> tuple[Tensor, Tensor]:
    """A ring of variables of three classes, neighbours alike; with MASK as a fourth class."""
    count = 3 + masked
    classes = torch.cartesian_prod(*[torch.arange(count)] * variables)
    alike = (classes == classes.roll(1, 1)).double().sum(1)
    log_p = torch.where((classes < 3).all(1), 1.2 * alike, -torch.inf).log_softmax(0)
    return torch.nn.functional.one_hot(classes, count).flatten(1).double(), log_p


def discrete() -> dict[str, dict]:
    """KL of few-step walks of bits and classes, exactly."""
    even, cosine = qs.schedules.erase_evenly(1000), qs.schedules.cosine(1000)
    laws = {
        "bits, erase_evenly": Enumerated(qs.BinomialKernel(even), *_spins()),
        "bits, cosine": Enumerated(qs.BinomialKernel(cosine), *_spins()),
        "classes, redrawn": Enumerated(qs.CategoricalKernel(even, (3,) * 4), *_potts(4)),
        "classes, masked": Enumerated(
            qs.CategoricalKernel.absorbing(even, (4,) * 3), *_potts(3, True)
        ),
    }
    rows: dict[str, dict] = {}
    counts = (5, 10, 20, 50)
    print(
        f"{'KL from the data, in nats, by evaluations':<42}" + "".join(f"{c:>10}" for c in counts)
    )
    for name, law in laws.items():
        for eta in (1.0, 0.5, 0.2, 0.0):
            for grid in (EvenTimes, Quadratic):
                chain = Chain(law.kernel)
                found = [law.divergence(grid(count)(chain), eta) for count in counts]
                kind = "Ancestral" if eta == 1 else f"Kept({eta:g})"
                label = f"{name}: {kind}, {'even t' if grid is EvenTimes else 'quadratic'}"
                rows[label] = {"kl": found}
                print(f"{label:<42}" + "".join(f"{each:>10.4f}" for each in found), flush=True)
    return rows


def parallel(device: str) -> dict[str, dict]:
    """Rounds, evaluations and wall time of Parallel at 94 steps, by the shipped model of digits."""
    torch.set_default_dtype(torch.float32)
    rows: dict[str, dict] = {}
    serial = Multistep(1, corrected=False)
    for threads, n in itertools.product((1, 2) if device == "cpu" else (1,), (1, 16)):
        torch.set_num_threads(threads)
        expected, slow = _timed(n, serial, device)
        for window, tolerance in ((None, 1e-3), (30, 1e-3)):
            found, fast = _timed(n, Parallel(serial, window, tolerance), device)
            where = f"{threads} threads" if device == "cpu" else device
            label = f"{n} draws, {where}, window {window or 'all'}"
            off = float((found - expected).abs().max())
            rows[label] = {"serial": slow, "parallel": fast, "largest_difference": off}
            print(
                f"{label:<36}{fast['rounds']:>4} rounds of 94, {slow['seconds']:.3f} s serial, "
                f"{fast['seconds']:.3f} s parallel, largest difference {off:.2g}",
                flush=True,
            )
    return rows


def _timed(n: int, stepper: Stepper, device: str) -> tuple[Tensor, dict[str, float]]:
    """Estimates of x_0 before rounding, and the rounds and the least seconds of three calls."""
    model = qs.load_pretrained("digits").to(device)
    rounds: list[int] = []
    model.network.register_forward_hook(lambda *_: rounds.append(1))
    seconds = []
    for _ in range(3):
        rounds.clear()
        begun = time.perf_counter()
        for state in walk(model, n, EvenLogSNR(94), 0, stepper):
            x = state.x
        x = x.cpu()
        seconds.append(time.perf_counter() - begun)
    return x, {"rounds": len(rounds), "seconds": min(seconds)}


@dataclass(frozen=True)
class Chain:
    """What a time grid asks of a model."""

    kernel: qs.Kernel

    @property
    def steps(self) -> int:
        return self.kernel.steps


def energy(a: Tensor, b: Tensor) -> float:
    """The squared energy distance of two samples, unbiased."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    own = (torch.cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b))
    return float(2 * torch.cdist(a, b).mean() - sum(own))


def digit_features() -> Callable[[Tensor], Tensor]:
    """The hidden layer of a classifier of scikit-learn's digits."""
    x, y = load_digits(return_X_y=True)
    return _hidden(x / 16, y, 64, 300, 16)


def mnist_features(levels: int = 256) -> Callable[[Tensor], Tensor]:
    """The hidden layer of a classifier of 20000 digits of MNIST, grey or binarized (2 levels)."""
    grey, y = qs.data.mnist().train[:20_000], qs.data.mnist_labels().train[:20_000]
    x = grey.reshape(len(grey), -1) / 255.0
    x = (x > 0.5).astype(float) if levels == 2 else x
    return _hidden(x, y, 128, 8, levels - 1)


def _hidden(x, y, width: int, rounds: int, largest: int) -> Callable[[Tensor], Tensor]:
    """The hidden layer of a classifier, for images from 0 to `largest`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = MLPClassifier((width,), max_iter=rounds, random_state=0).fit(x, y)
    print(f"features: a classifier that has {found.score(x, y):.1%} of its training images right")
    weight, bias = torch.from_numpy(found.coefs_[0]), torch.from_numpy(found.intercepts_[0])
    return lambda each: (each.flatten(1).double() / largest @ weight + bias).relu()


def error_figure() -> None:
    """Error against evaluations of all rows of certify, log-log."""
    from matplotlib import pyplot as plt

    kept = {name: rows for name, rows in json.loads(RESULTS.read_text()).items() if name in LAWS}
    drawn, axes = plt.subplots(1, len(kept), figsize=(11, 4.6), sharey=True, layout="constrained")
    for ax, (law, rows) in zip(axes, kept.items(), strict=True):
        for label, row in rows.items():
            if label.startswith("Ancestral"):
                continue
            others, first = label.startswith("diffusers"), label.startswith("default")
            searched = "flow_path" in label
            places = [each for each in OURS if ("flow_path" in each) == searched]
            colors = plt.get_cmap("Dark2" if searched else "tab20")
            color = "grey" if others else colors(places.index(label))
            style = {"color": color, "linewidth": 2.5 if first else 1.0}
            dashes = "--" if others else ":" if searched else "-"
            ax.loglog(COUNTS, row["rmse"], dashes, marker=".", label=label, **style)
        ax.set(title=law, xlabel="network evaluations", xticks=COUNTS)
        ax.set_xticklabels(map(str, COUNTS))
        ax.minorticks_off()
    axes[0].set_ylabel("RMSE to the true flow")
    axes[-1].legend(
        *axes[0].get_legend_handles_labels(),
        fontsize=6,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )
    drawn.savefig(Path(__file__).parent.parent / "docs" / "pictures" / "steppers.png", dpi=130)


WALKS = {
    "true flow (UniPC, 200)": (UniPC(2), 200),
    "UniPC(2), 10": (UniPC(2), 10),
    "DPMSolver(2), 10": (DPMSolver(2), 10),
    "DDIM, even log-SNR, 10": (DDIM(), EvenLogSNR(10)),
    "DDIM, even t, 10": (DDIM(), EvenTimes(10)),
    "DPMSolver(2, eta=1), 20": (DPMSolver(2, eta=1.0), 20),
    "ancestral, 10": (Ancestral(), 10),
}


def trajectory_figure() -> None:
    """The walks of some steppers from the same noise, on a ring and on the swiss roll."""
    from matplotlib import pyplot as plt

    laws = {"ring": ring(), "roll": SwissRollOracle(0.05)}
    drawn, axes = plt.subplots(
        len(laws), len(WALKS), figsize=(2.2 * len(WALKS), 4.8), layout="constrained"
    )
    for k, (row, (name, law)) in enumerate(zip(axes, laws.items(), strict=True)):
        model = Model(**law.parts(qs.GaussianKernel(qs.schedules.linear(1000)))).double()
        exact = law.sample(1500, torch.Generator().manual_seed(1))
        for ax, (label, (stepper, times)) in zip(row, WALKS.items(), strict=True):
            states = [state.x for state in walk(model, 40, times, 3, stepper)]
            path = torch.stack(states)
            ax.scatter(*exact.T, s=1, color="#d0d0d0", linewidths=0)
            for each in path.unbind(1):
                ax.plot(*each.T, color="#2a6fbb", linewidth=0.6, alpha=0.7)
            ax.scatter(*path[-1].T, s=7, color="#d95f02", zorder=3, linewidths=0)
            ax.set(xlim=(-2.7, 2.7), ylim=(-2.7, 2.7), xticks=[], yticks=[], aspect="equal")
            if k == 0:
                ax.set_title(label, fontsize=8)
        row[0].set_ylabel(name)
    drawn.savefig(Path(__file__).parent.parent / "docs" / "pictures" / "trajectories.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "part",
        choices=["certify", "digits", "mnist", "binarized", "discrete", "parallel", "figure"],
    )
    parser.add_argument("--law", choices=list(LAWS), default="ring")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--run", type=Path, help="the run of mnist, or another one of binarized")
    parser.add_argument("--device", default="cpu", help="of digits, mnist, binarized and parallel")
    parser.add_argument("--fresh", action="store_true", help="compute kept rows again")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    warnings.simplefilter("ignore")
    if asked.fresh:
        _keep({asked.law if asked.part == "certify" else asked.part: {}})
    if asked.part == "figure":
        error_figure()
        trajectory_figure()
        return
    if asked.part == "discrete":
        found = {"discrete": discrete()}
    elif asked.part == "parallel":
        found = {"parallel": _kept().get("parallel", {}) | parallel(asked.device)}
    elif asked.part == "digits":
        torch.set_default_dtype(torch.float32)
        model = qs.load_pretrained("digits").to(asked.device)
        found = {"digits": images(model, digit_features(), asked.draws, 250, IMAGES_OURS, "digits")}
    elif asked.part == "mnist":
        torch.set_default_dtype(torch.float32)
        ours = {name: row for name, row in IMAGES_OURS.items() if "flow_path" not in name}
        model = qs.load(asked.run).to(asked.device)
        found = {"mnist": images(model, mnist_features(), asked.draws, 100, ours, "mnist")}
    elif asked.part == "binarized":
        torch.set_default_dtype(torch.float32)
        model = qs.load(asked.run) if asked.run else qs.load_pretrained("binarized-mnist")
        model.to(asked.device)
        found = {
            "binarized": images(model, mnist_features(2), asked.draws, 100, BITS_OURS, "binarized")
        }
    else:
        found = {asked.law: certified(asked.law, asked.draws)}
    _keep(found)


if __name__ == "__main__":
    main()
