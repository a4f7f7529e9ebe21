"""Steppers against the true flow, beside diffusers' schedulers.

    python benchmarks/steppers.py certify [--law ring|pinwheel] [--draws 1000]
    python benchmarks/steppers.py figure

certify: on a law whose probability flow is known, with its exact estimates and no network: the
root mean square error of a value of x_0 to the true flow from the same noise, and minus the mean
log-density of the draws, at 5 to 50 evaluations. The default and its times were chosen on the ring
of eight normals, and the pinwheel was tried afterwards. Beside them diffusers' DDIM, DPM-Solver++
and UniPC with their own spacings and the same estimates.
figure: error against evaluations of all of them, log-log, into docs/pictures/steppers.png.
The tables are kept in benchmarks/results/steppers.json. Needs the `bench` extra.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import schedulers
from torch import Tensor

import quasistatic as qs
from quasistatic.diagnostics.certificates import COUNTS, certify, pinwheel, ring, true_flow
from quasistatic.model import Model
from quasistatic.sampling import (
    DDIM,
    Ancestral,
    DPMSolver,
    EvenLogSNR,
    EvenTimes,
    Heun,
    Karras,
    Multistep,
    Quadratic,
    UniPC,
    walk,
)

RESULTS = Path(__file__).parent / "results" / "steppers.json"
LAWS = {"ring": ring, "pinwheel": pinwheel}
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
SOLVER = BETAS | {"solver_order": 2, "final_sigmas_type": "zero"}
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
}


def theirs() -> dict[str, Callable[[], object]]:
    """diffusers' schedulers, each with the spacings that it has."""
    dpm, unipc = schedulers.DPMSolverMultistepScheduler, schedulers.UniPCMultistepScheduler
    euler = SOLVER | {"euler_at_final": True}
    return {
        "DDIM": lambda: schedulers.DDIMScheduler(**BETAS, clip_sample=False),
        "DPM-Solver++(2M)": lambda: dpm(**euler),
        "DPM-Solver++(2M), Karras": lambda: dpm(**euler, use_karras_sigmas=True),
        "DPM-Solver++(2M), even log-SNR": lambda: dpm(**euler, use_lu_lambdas=True),
        "UniPC": lambda: unipc(**SOLVER),
        "UniPC, Karras": lambda: unipc(**SOLVER, use_karras_sigmas=True),
        "UniPC, even log-SNR": lambda: unipc(**SOLVER, use_exponential_sigmas=True),
    }


def answer(scheduler, law, x_T: Tensor, count: int) -> Tensor:
    """x_0 by one of diffusers' schedulers, with the law's exact estimates at its noise levels."""
    torch.set_default_dtype(torch.float32)  # as the schedulers expect
    scheduler.set_timesteps(count)
    x = x_T.clone()
    for i, t in enumerate(scheduler.timesteps):
        if hasattr(scheduler, "sigmas"):
            sigma = float(scheduler.sigmas[i])
            signal, noise = 1 / (1 + sigma**2) ** 0.5, sigma / (1 + sigma**2) ** 0.5
        else:
            alpha_bar = float(scheduler.alphas_cumprod[int(t)])
            signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        one = torch.ones(len(x), 1, dtype=torch.float64)
        estimate = law.mixture.moments(x.double(), signal * one, noise * one)[..., 0]
        eps = (x - signal * estimate) / noise
        x = scheduler.step(eps.float(), t, x.float(), return_dict=False)[0]
    torch.set_default_dtype(torch.float64)
    return x.double()


def certified(name: str, draws: int) -> dict[str, dict]:
    law, kernel = LAWS[name](), qs.GaussianKernel(qs.schedules.linear(1000))
    rows = {}
    entropy = certify(DDIM(), law=law, counts=(5,), n=10).entropy
    print(f"{name}: RMSE to the true flow, and NLL in nats (exact draws: {entropy:.2f})")
    print(f"{'evaluations':<38}" + "".join(f"{each:>16}" for each in COUNTS))

    def told(label: str, rmse: tuple, nll: tuple) -> None:
        rows[label] = {"rmse": list(rmse), "nll": list(nll)}
        cells = (f"{e:.4f} ({n:.2f})" for e, n in zip(rmse, nll, strict=True))
        print(f"{label:<38}" + "".join(f"{cell:>16}" for cell in cells), flush=True)

    for label, (stepper, grid) in OURS.items():
        found = certify(stepper, grid, law, kernel, n=draws)
        told(label, found.rmse, found.nll)
    model = Model(**law.parts(kernel)).double()
    x_T = next(iter(walk(model, draws, 2, 0))).x
    truth = true_flow(law, kernel, x_T)
    for label, make in theirs().items():
        each = [answer(make(), law, x_T, count) for count in COUNTS]
        rmse = tuple((x - truth).square().mean().sqrt().item() for x in each)
        told(f"diffusers {label}", rmse, tuple(-law.log_prob(x).mean().item() for x in each))
    return rows


def figure() -> None:
    from matplotlib import pyplot as plt

    kept = json.loads(RESULTS.read_text())
    drawn, axes = plt.subplots(1, len(kept), figsize=(11, 4.6), sharey=True, layout="constrained")
    for ax, (law, rows) in zip(axes, kept.items(), strict=True):
        for label, row in rows.items():
            if label.startswith("Ancestral"):
                continue
            others, first = label.startswith("diffusers"), label.startswith("default")
            color = "grey" if others else plt.get_cmap("tab20")(list(rows).index(label))
            style = {"color": color, "linewidth": 2.5 if first else 1.0}
            dashes = "--" if others else "-"
            ax.loglog(COUNTS, row["rmse"], dashes, marker=".", label=label, **style)
        ax.set(title=law, xlabel="network evaluations", xticks=COUNTS)
        ax.set_xticklabels(map(str, COUNTS))
        ax.minorticks_off()
    axes[0].set_ylabel("RMSE to the true flow")
    axes[-1].legend(fontsize=6, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    drawn.savefig(Path(__file__).parent.parent / "docs" / "pictures" / "steppers.png", dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["certify", "figure"])
    parser.add_argument("--law", choices=list(LAWS), default="ring")
    parser.add_argument("--draws", type=int, default=1000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    warnings.simplefilter("ignore")
    if asked.part == "figure":
        figure()
        return
    rows = certified(asked.law, asked.draws)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {asked.law: rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
