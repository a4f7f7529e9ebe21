"""SD15's Table 2: the Parzen-window estimate of MNIST from a model's samples, in bits.

    python benchmarks/parzen.py [--run runs/mnist] [--samples 10000] [--times 50]

By the paper's protocol (Goodfellow et al. 2014): a Gaussian window about each of 10000 samples in
[0, 1], its width chosen on validation images, scored on the 10000 test images. The same estimate
of as many training images stands beside it: a model above that would not be better than the data.
Keeps benchmarks/results/parzen.json, and the samples beside the run.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch

import quasistatic as qs


def samples_of(run: Path, count: int, times: int) -> np.ndarray:
    """Draws of the run, uint8 (count, 28, 28); those that an earlier call kept, if it did."""
    kept = run / f"samples-{count}-{times}.npy"
    if not kept.exists():
        rng = torch.Generator().manual_seed(0)
        drawn = qs.load(run).sample(count, times=times, rng=rng)
        np.save(kept, drawn.numpy().astype(np.uint8))
    return np.load(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=50)
    asked = parser.parse_args()
    data = qs.data.mnist()
    valid, test = data.valid[:1000] / 255, data.test / 255
    rows = {}
    sets = {
        "samples of the model": samples_of(asked.run, asked.samples, asked.times),
        "training images": data.train[np.random.default_rng(0).permutation(50_000)][
            : asked.samples
        ],
    }
    for name, images in sets.items():
        found = qs.diagnostics.metrics.parzen(
            images / 255, valid, test, np.geomspace(0.05, 0.5, 21)
        )
        bits = found.nats.mean().item() / math.log(2)
        rows[name] = {"bits": bits, "stderr": found.stderr() / math.log(2), "sigma": found.sigma}
        print(f"{name:<24}{bits:>9.1f} +- {rows[name]['stderr']:.1f} bits, sigma {found.sigma:.3f}")
    print(f"SD15 Table 2: 317 +- 2.7 bits\n{found.caution}")
    rows["samples of the model"] |= {"samples": asked.samples, "times": asked.times}
    path = Path(__file__).parent / "results" / "parzen.json"
    path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
