"""What the bound costs: the full sum over T = 1000 against evaluations that go where the noise is.

    quasistatic train mnist --out runs/mnist
    python benchmarks/score.py [--run runs/mnist] [--images 100]

On the first test images, 8-bit, of a run: (a) their mean to 0.01 bits per dimension; (b) each
image's own value at the standard error that its full sum has. A pilot's evaluations count. Prints
network evaluations, seconds and whether the two agree, and keeps benchmarks/results/score.json.
"""

import argparse
import json
import time
from pathlib import Path

import torch

import quasistatic as qs

MEAN_TO = 0.01
TARGETS = {"mean": 50.0, "each": 4.0}


def timed(model: qs.Diffusion, images: object, **asked: object) -> tuple[qs.Score, float]:
    rng = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    score = model.score(images, rng=rng, **asked)  # type: ignore[arg-type]
    return score, time.perf_counter() - started


def rms(x: torch.Tensor) -> float:
    return x.square().mean().sqrt().item()


def row(score: qs.Score, seconds: float) -> dict[str, float]:
    per_image = score.spent / len(score.null)
    return {
        "bits_per_dim": score.bits_per_dim.mean().item(),
        "noise_of_each": rms(score.noise_per_dim),
        "noise_of_mean": rms(score.noise_per_dim) / len(score.null) ** 0.5,
        "evaluations_an_image": per_image,
        "seconds": seconds,
    }


def compared(name: str, full: qs.Score, seconds: float, score: qs.Score, taken: float) -> dict:
    """The cheap estimate beside the full sum, and how far apart they are in standard errors."""
    apart = score.bits_per_dim - full.bits_per_dim
    error = (score.noise_per_dim**2 + full.noise_per_dim**2).sqrt()
    one = row(score, taken)
    one |= {
        "fewer_evaluations": full.spent / score.spent,
        "fewer_seconds": seconds / taken,
        "mean_apart_in_errors": (apart.mean() / (rms(error) / len(apart) ** 0.5)).item(),
        "each_apart_in_errors": rms(apart / error),
        "target": TARGETS[name],
    }
    return one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--images", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model, images = qs.load(asked.run), qs.data.mnist().test[: asked.images]
    full, seconds = timed(model, images, evaluations=None)
    rows = {"full": row(full, seconds)}
    rows["mean"] = compared("mean", full, seconds, *timed(model, images, stderr=MEAN_TO))
    own = rms(full.noise_per_dim)
    rows["each"] = compared("each", full, seconds, *timed(model, images, stderr=own, each=True))
    path = Path(__file__).parent / "results" / "score.json"
    path.write_text(json.dumps({"images": len(images), "rows": rows}, indent=2) + "\n")
    print(f"{len(images)} images, T = {model.steps}; standard errors leave the images' spread out")
    print(f"{'':<6}{'bits/dim':>9}{'+- each':>9}{'+- mean':>9}{'evals':>8}{'s':>8}{'fewer':>8}")
    for name, each in rows.items():
        fewer = each.get("fewer_evaluations", 1.0)
        print(
            f"{name:<6}{each['bits_per_dim']:>9.4f}{each['noise_of_each']:>9.4f}"
            f"{each['noise_of_mean']:>9.4f}{each['evaluations_an_image']:>8.1f}"
            f"{each['seconds']:>8.1f}{fewer:>8.1f}"
        )
        if name in TARGETS:
            print(
                f"      target {each['target']:g} times fewer; apart by "
                f"{each['mean_apart_in_errors']:.2f} errors in the mean, "
                f"{each['each_apart_in_errors']:.2f} root mean square over the images"
            )


if __name__ == "__main__":
    main()
