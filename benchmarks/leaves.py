"""Dead leaves: the bound of the diffusion model beside exact densities, on the same images.

    python benchmarks/leaves.py [--only NAME ...] [--minutes 10] [--test 2000] [--folder FOLDER]

Trains each model for as many minutes of one thread's own time (a model that the folder holds is
only scored), and scores the recipe's test images. Prints one table and keeps
benchmarks/results/leaves.json, where the rows of earlier calls stay.

Figures are mean log2-densities a pixel, as SD15 Table 2 has them: higher is better, and minus that
is a code length. The published 1.244 (MCGSM) and 1.489 (SD15) are on other images, whose radii,
greys and noise decide what can be reached, and are not beside these.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from autoregressive import MCGSM, CausalConvolutions, CausalModel, GaussianImages
from torch import Tensor

import quasistatic as qs
from quasistatic._utils import files
from quasistatic.data import Split
from quasistatic.recipes import DeadLeaves
from quasistatic.recipes.runs import open_run, train

EVALUATIONS = 20
"""Network evaluations that the bound spends on a test image."""


@dataclass(frozen=True)
class Result:
    """What a model reached: log-density or its bound of each test image (N,), in nats, on which
    budget of minutes, in how many seconds of one thread, with how many fitted numbers."""

    nats: Tensor
    minutes: float
    seconds: float
    parameters: int
    steps: int

    def row(self, pixels: int) -> dict:
        """JSON values."""
        bits = self.nats.double() / (pixels * math.log(2))
        return {
            "log2_density_per_pixel": bits.mean().item(),
            "code_bits_per_pixel": -bits.mean().item(),
            "stderr": (bits.std() / len(bits) ** 0.5).item(),
            "test_images": len(bits),
            "minutes": self.minutes,
            "seconds": self.seconds,
            "steps": self.steps,
            "parameters": self.parameters,
        }


def diffusion(data: Split, minutes: float, folder: Path) -> Result:
    """The recipe, with as many steps as the minutes allow."""
    run, note = folder / "diffusion", folder / "diffusion.json"
    if not note.exists():
        recipe = DeadLeaves()
        build, step, validation = costs(recipe, data)
        # Whole parts of the run: a last step by itself would be validated once more.
        part = (60 * minutes / recipe.fit.validations - validation) / step
        steps = recipe.fit.validations * max(20, round(part))
        started = time.process_time()
        train(replace(recipe, fit=replace(recipe.fit, steps=steps)), run)
        seconds = time.process_time() - started - build
        facts = {"minutes": minutes, "seconds": seconds, "steps": steps}
        files.write_text(note, json.dumps(facts))
    model = open_run(run).model
    score = model.score(data.test, EVALUATIONS, rng=torch.Generator().manual_seed(0))
    return Result(score.nats, parameters=count(model), **json.loads(note.read_text()))


def costs(recipe: DeadLeaves, data: Split) -> tuple[float, float, float]:
    """Seconds of one thread's own time that the recipe takes to build, to step, and to validate
    once."""

    def seconds(steps: int, valid: np.ndarray | None = None) -> float:
        started = time.process_time()
        qs.fit(model, data.train, valid, settings=recipe.fit, steps=steps, validations=1)
        return time.process_time() - started

    started = time.process_time()
    model = recipe.build().model
    build = time.process_time() - started
    seconds(2)  # fills caches
    short = [seconds(2) for _ in range(3)]
    step = statistics.median(seconds(12) - each for each in short) / 10
    return build, step, seconds(2, data.valid) - statistics.median(short)


def causal(
    make: Callable[[], CausalModel], name: str, batch: int, lr: float
) -> Callable[[Split, float, Path], Result]:
    """The maker of a causal model's result."""

    def result(data: Split, minutes: float, folder: Path) -> Result:
        torch.manual_seed(0)
        model, path = make(), folder / f"{name}.safetensors"
        if not path.exists():
            seconds, steps = fit_causal(model, torch.from_numpy(data.train), minutes, batch, lr)
            facts = {"minutes": minutes, "seconds": seconds, "steps": steps}
            files.save_tensors(path, model.state_dict(), facts)
        tensors, facts = files.load_tensors(path)
        model.load_state_dict(tensors)
        with torch.no_grad():
            parts = [model.log_prob(x) for x in torch.from_numpy(data.test).split(64)]
        return Result(torch.cat(parts), parameters=count(model), **facts)

    return result


def fit_causal(
    model: CausalModel, x: Tensor, minutes: float, batch: int, lr: float
) -> tuple[float, int]:
    """Likelihood by Adam, the learning rate along a cosine of the time that is spent; the model
    ends with its mean weights. Seconds of one thread's own time, and steps."""
    weights = list(model.parameters())
    mean = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.Adam(weights, lr=lr, fused=True)
    started, step, spent = time.process_time(), 0, 0.0
    while spent < 60 * minutes:
        rate = 0.5 * (1 + math.cos(math.pi * spent / (60 * minutes)))
        for group in optimizer.param_groups:
            group["lr"] = lr * rate * min(1.0, (step + 1) / 50)
        loss = -model.log_prob(x[torch.randint(len(x), (batch,))]).mean() / x[0].numel()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        # A mean over the last tenth of the steps or so, and at most over a few hundred.
        share = max(0.005, 10 / (step + 10))
        torch._foreach_lerp_(mean, [weight.detach() for weight in weights], share)
        step, spent = step + 1, time.process_time() - started
    with torch.no_grad():
        torch._foreach_copy_(weights, mean)
    return spent, step


def gaussian(data: Split, minutes: float, folder: Path) -> Result:
    """One Gaussian, by the mean and covariance of the training images."""
    started = time.process_time()
    model = GaussianImages(torch.from_numpy(data.train))
    seconds = time.process_time() - started
    nats = model.log_prob(torch.from_numpy(data.test))
    return Result(nats, minutes, seconds, model.parameters, steps=1)


def count(model: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


MODELS = {
    "diffusion": diffusion,
    "convolutions": causal(CausalConvolutions, "convolutions", 16, 6e-3),
    "mcgsm": causal(MCGSM, "mcgsm", 16, 2e-2),
    "gaussian": gaussian,
}

KINDS = {
    "diffusion": "diffusion model (a lower bound)",
    "convolutions": "causal convolutions, mixture of Gaussians",
    "mcgsm": "MCGSM",
    "gaussian": "Gaussian, full covariance",
}


def ceiling(noise: float) -> float:
    """Minus the entropy of the data's noise, in bits a pixel: the mean log2-density of no model is
    above it, as an image is at least as uncertain as it would be if its leaves were known."""
    return -0.5 * math.log2(2 * math.pi * math.e * noise**2)


def show(rows: dict, noise: float) -> None:
    head = ("log2 p", "code", "s.e.", "minutes", "seconds", "numbers")
    print(f"{'bits a pixel':<44}" + "".join(f"{name:>10}" for name in head))
    for name in (name for name in KINDS if name in rows):
        row = rows[name]
        values = (row["log2_density_per_pixel"], row["code_bits_per_pixel"], row["stderr"])
        numbers = "".join(f"{value:>10.4f}" for value in values)
        rest = f"{row['minutes']:>10g}{row['seconds']:>10.0f}{row['parameters']:>10,}"
        print(f"{KINDS[name]:<44}{numbers}{rest}")
    print(
        f"{'no model exceeds (the noise alone)':<44}{ceiling(noise):>10.4f}{-ceiling(noise):>10.4f}"
    )
    print("Published figures for dead leaves are on other images and are not comparable.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Dead leaves: bound and exact densities.")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--minutes", type=float, default=10.0, help="of one thread, for each model")
    parser.add_argument("--test", type=int, default=2000, help="images that are scored")
    parser.add_argument("--folder", type=Path, default=Path("runs") / "leaves")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = DeadLeaves()
    data = recipe.build().data
    data = replace(data, test=data.test[: given.test])
    path = Path(__file__).parent / "results" / "leaves.json"
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        row = MODELS[name](data, given.minutes, given.folder).row(data.test[0].size)
        # Read anew each time: calls for other models may have written meanwhile.
        kept = json.loads(path.read_text()) if path.exists() else {"rows": {}}
        kept |= {
            "data": {name: getattr(recipe, name) for name in ("noise", "smallest", "largest")}
            | {"size": 32, "train": len(data.train)},
            "ceiling_log2_density_per_pixel": ceiling(recipe.noise),
            "torch": torch.__version__,
        }
        kept["rows"][name] = row
        files.write_text(path, json.dumps(kept, indent=2) + "\n")
        show(kept["rows"], recipe.noise)


if __name__ == "__main__":
    main()
