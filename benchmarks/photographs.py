"""A folder of 300 grey photographs of 256 x 256 pixels, for the verbs of the command line.

    python benchmarks/photographs.py photos
    quasistatic fit photos -o runs/photos --minutes 10
    quasistatic sample runs/photos -n 4 --times 50 --out drawn.png
    quasistatic score runs/photos --evaluations 16
    quasistatic compress runs/photos photos/bark-000.png --times 20
    quasistatic complete runs/photos --rows 1 --draws 2

One half are crops of the photographs of bark, one place in each of 150 random ones; the other half
are dead leaves as bytes.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import quasistatic as qs


def photographs(count: int, size: int, seed: int) -> dict[str, np.ndarray]:
    """Images by the names of their files, uint8 (size, size)."""
    rng = np.random.default_rng(seed)
    whole = qs.data.bark_images().train
    half = count // 2
    found = {}
    for number, which in enumerate(rng.permutation(np.arange(half) % len(whole))):
        top, left = (rng.integers(side - size + 1) for side in whole[which].shape)
        crop = whole[which][top : top + size, left : left + size]
        found[f"bark-{number:03}.png"] = crop
    leaves = qs.data.dead_leaves(count - half, size, smallest=4.0, largest=size / 4, seed=seed)
    grey = (128 + 64 * leaves).clip(0, 255).astype(np.uint8)
    return found | {f"leaves-{number:03}.png": each for number, each in enumerate(grey)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name, image in photographs(asked.count, asked.size, asked.seed).items():
        Image.fromarray(image).save(asked.folder / name)
    print(f"wrote {asked.count} images of {asked.size} x {asked.size} pixels to {asked.folder}")


if __name__ == "__main__":
    main()
