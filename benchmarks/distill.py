"""Few steps by training: a flow map beside the model that it was distilled from.

    python benchmarks/distill.py ring [--steps 4000]
    python benchmarks/distill.py digits [--steps 2000]
    python benchmarks/distill.py mnist --run RUN [--steps 300]

ring: eight normals on a circle, whose law, flow and estimates are known: draws of the map in 1, 2,
4 and 8 evaluations and of the teacher in 4, 10 and 50, by the energy distance to exact draws, by
minus their mean log-density under the law, and by the error to the flow from the same noise; and
log p of new points by the map, by the teacher's flow and by its bound, against the law.
digits: the shipped model of digits; draws against long ancestral ones, by the energy distance and
by the kernel distance of features of a small classifier; and log p of the test digits.
mnist: the same for a run of grey MNIST, without the log p, which would take a gradient for each
trajectory.
The tables are kept in benchmarks/results/distill.json. Needs the `bench` extra.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from steppers import digit_features, energy, mnist_features
from torch import Tensor

import quasistatic as qs
from quasistatic.diagnostics.certificates import ring
from quasistatic.diagnostics.metrics import kid
from quasistatic.networks import MLP, FlowMapNetwork
from quasistatic.sampling import DDIM, FlowMap, UniPC

RESULTS = Path(__file__).parent / "results" / "distill.json"
COUNTS, TEACHER = (1, 2, 4, 8), (4, 10, 50)


def trained(model: qs.Diffusion, steps: int, method: qs.MeanFlow, **options) -> qs.Diffusion:
    """The distilled model, with the CPU seconds that it took."""
    begun = time.process_time()
    settings = qs.Fit(steps=steps, lr=2e-3, ema=0.999, validations=10, **options.pop("fit", {}))
    found = qs.distill(model, 8, method=method, settings=settings, progress=False, **options)
    print(f"distilled in {time.process_time() - begun:.0f} s of CPU, {steps} steps", flush=True)
    return found


def walks(student: qs.Diffusion, teacher: qs.Diffusion, n: int) -> dict[str, Tensor]:
    """Draws from the same noise by both."""
    found = {f"map, {count}": student.sample(n, count, 3, stepper=FlowMap()) for count in COUNTS}
    for name, stepper in (("UniPC(2)", UniPC(2)), ("DDIM, even log-SNR", DDIM())):
        for count in TEACHER:
            grid = count if isinstance(stepper, type(UniPC(2))) else qs.sampling.EvenLogSNR(count)
            found[f"teacher, {name}, {count}"] = teacher.sample(n, grid, 3, stepper=stepper)
    return found


def log_p(score: Tensor, other: Tensor, dims: int) -> dict[str, float]:
    """The differences of two log-densities, in nats a value."""
    off = (score - other).double() / dims
    return {"mean": float(off.mean()), "absolute": float(off.abs().mean())}


def shown(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    for name, row in table.items():
        print(f"{name:<44}" + "  ".join(f"{key} {value:.4f}" for key, value in row.items()))
    return table


def on_ring(steps: int) -> dict[str, dict]:
    law = ring()
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(1000, 12, -10))
    teacher = qs.Diffusion(**law.parts(kernel)).float()
    torch.manual_seed(0)
    network = MLP(2, width=192, depth=3, outputs=2, condition=FlowMapNetwork.ENDS)
    method = qs.MeanFlow(trajectories=8192)
    student = trained(teacher, steps, method, network=network, fit={"batch": 512})
    exact = law.sample(4000, 11).float()
    drawn = walks(student, teacher, 4000) | {"exact draws": law.sample(4000, 12).float()}
    flow = teacher.sample(4000, 200, 3, stepper=UniPC(2))
    table = {
        name: {
            "energy": energy(x, exact),
            "nll": float(-law.log_prob(x).mean()),
            "rmse": float((x - flow).square().mean().sqrt()),
        }
        for name, x in drawn.items()
    }
    x = law.sample(2000, 13)
    truth = law.log_prob(x)
    scores = {
        f"map, {count}": student.score(x, method=qs.FlowMapDensity(count, draws=4), rng=0)
        for count in COUNTS
    }
    flow_64 = teacher.score(x, times=64, method=qs.Flow(probes=None, draws=4), rng=0)
    scores |= {
        "teacher's flow, 64": flow_64,
        "teacher's flow, 8": teacher.score(x, times=8, method=qs.Flow(probes=None, draws=4), rng=0),
        "teacher's bound, all 1000": teacher.score(x, None, rng=0),
    }
    against = {
        name: log_p(each.nats, truth, 2)
        | {"to_flow": log_p(each.nats, flow_64.nats, 2)["absolute"]}
        for name, each in scores.items()
    }
    return {"draws": shown(table), "log_p": shown(against)}


def images(
    teacher: qs.Diffusion,
    student: qs.Diffusion,
    features: Callable[[Tensor], Tensor],
    n: int,
    long: int,
) -> dict[str, dict]:
    """Both models' draws against long ancestral ones."""
    truth = teacher.sample(2 * n, long, 1).cpu()
    drawn = {name: x.cpu() for name, x in walks(student, teacher, n).items()}
    drawn |= {"other ancestral draws": truth[n:]}
    table = {}
    for name, x in drawn.items():
        distance = kid(features(x), features(truth[:n]))
        table[name] = {
            "energy": energy(x, truth[:n]),
            "kid": distance.mean,
            "kid_stderr": distance.stderr,
        }
    return shown(table)


def on_digits(steps: int, n: int) -> dict[str, dict]:
    teacher = qs.load_pretrained("digits")
    method = qs.MeanFlow(trajectories=4096, evaluations=40)
    student = trained(teacher, steps, method, fit={"batch": 256})
    table = images(teacher, student, digit_features(), n, 250)
    x = torch.from_numpy(qs.data.split(qs.data.digits(), valid=0.1, test=0.2).test)
    bound = teacher.score(x, None, rng=0)
    flow = teacher.score(x, times=50, method=qs.Flow(), rng=0)
    scores = {
        f"map, {count}": student.score(x, method=qs.FlowMapDensity(count), rng=0)
        for count in COUNTS
    } | {
        "teacher's flow, 50": flow,
        "teacher's flow, 8": teacher.score(x, times=8, method=qs.Flow(), rng=0),
    }
    against = {
        name: {"bits_per_dim": float(each.bits_per_dim.mean())}
        | {"to_flow": log_p(each.nats, flow.nats, 64)["absolute"]}
        for name, each in scores.items()
    }
    against["teacher's bound, all 1000"] = {"bits_per_dim": float(bound.bits_per_dim.mean())}
    return {"draws": table, "log_p": shown(against)}


def on_mnist(run: Path, steps: int, n: int, device: str) -> dict[str, dict]:
    teacher = qs.load(run).to(device)
    cpu = device == "cpu"
    method = qs.MeanFlow(trajectories=768 if cpu else 16384, evaluations=24, density=False)
    fit = {"batch": 64 if cpu else 512, "warmup": 50}
    student = trained(teacher, steps, method, fit=fit, device=device)
    return {"draws": images(teacher, student, mnist_features(), n, 100)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["ring", "digits", "mnist"])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--device", default="cpu", help="of mnist")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if asked.part == "ring":
        found = on_ring(asked.steps or 4000)
    elif asked.part == "digits":
        found = on_digits(asked.steps or 2000, asked.draws)
    else:
        found = on_mnist(asked.run, asked.steps or 300, asked.draws, asked.device)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {asked.part: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
