"""Three ways to give 8-bit MNIST a likelihood, by the same network in the same minutes.

    python benchmarks/spaces.py [--minutes 5] [--threads 1] [--only levels decoder dequantised]

Each trains the recipe's U-Net with the settings of `quasistatic train mnist` into runs/spaces; the
number of steps is what fits the minutes, and a run that is there is only scored. Bits per
dimension of the 10000 test images by the same bound, and benchmarks/results/spaces.json.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from budget import steps_in

import quasistatic as qs
from quasistatic.heads import Head, Levels, Velocity
from quasistatic.recipes import MNIST
from quasistatic.spaces import Dequantized, Quantized, Space

SHAPE = (28, 28)
WAYS: dict[str, tuple[str, Space, Head]] = {
    "levels": ("Levels head", Quantized(SHAPE, 256, 2.0), Levels(MNIST().mixtures)),
    "decoder": (
        "discretised decoder (DDPM Eq. 13)",
        Quantized(SHAPE, 256, 2.0),
        Velocity(qs.Interpolated()),
    ),
    "dequantised": (
        "uniform dequantisation (SD15 footnote 3)",
        Dequantized(SHAPE, 256, 2.0),
        Velocity(qs.Interpolated()),
    ),
}


EVALUATIONS = 4


def measure(name: str, space: Space, head: Head, minutes: float, threads: int) -> dict:
    """Trains one way and scores it on the test images."""
    recipe = MNIST()
    data = qs.data.mnist()
    torch.manual_seed(0)
    kernel = recipe.build().model.kernel
    outputs = head.bind(space, kernel).outputs
    network = qs.networks.UNet(
        SHAPE, recipe.width, (1, 2), 1, attention=(1,), outputs=outputs, patch=2
    )
    model = qs.Diffusion(space, kernel, head, network)
    fit = replace(recipe.fit, threads=threads, validations=1)
    folder = Path("runs") / "spaces" / name
    if not folder.exists():
        fit = replace(fit, steps=steps_in(minutes, model, data.train, fit))
        qs.fit(model, data.train, data.valid[:500], settings=fit, run=folder)
    model = qs.load(folder)
    done = json.loads((folder / "config.json").read_text())["fit"]
    pace = json.loads((folder / "speed.json").read_text())["examples_per_second"]
    score = model.score(data.test, EVALUATIONS, rng=torch.Generator().manual_seed(0))
    bits = score.bits_per_dim
    return {
        "bits_per_dim": bits.mean().item(),
        "stderr": score.stderr(bits),
        "nats": score.nats.mean().item(),
        "steps": done["steps"],
        "seconds": done["steps"] * done["batch"] / pace,
        "threads": threads,
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=WAYS, default=list(WAYS))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    path = Path(__file__).parent / "results" / "spaces.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    for name in asked.only:
        _, space, head = WAYS[name]
        rows[name] = measure(name, space, head, asked.minutes, asked.threads)
        path.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"{'8-bit MNIST by':<42}{'bits/dim':>10}{'s.e.':>9}{'steps':>8}{'seconds':>9}")
    for name, row in rows.items():
        print(
            f"{WAYS[name][0]:<42}{row['bits_per_dim']:>10.4f}{row['stderr']:>9.4f}"
            f"{row['steps']:>8}{row['seconds']:>9.0f}"
        )


if __name__ == "__main__":
    main()
