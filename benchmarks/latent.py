"""Latent diffusion on bark: bits in raw units with their parts, a lossless round trip, a filled
hole, a sheet of samples, and what a draw costs beside a chain of pixels.

    quasistatic train latent-bark
    python benchmarks/latent.py runs/latent-bark bits codec hole sheet draw
    python benchmarks/latent.py runs/latent-bark bits --pixels runs/bark
"""

import argparse
import io
import json
import math
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from image_files import bits_per_value
from PIL import Image
from torch.profiler import ProfilerActivity, profile

import quasistatic as qs
from quasistatic.coding import Codec
from quasistatic.recipes import RECIPES
from quasistatic.recipes.spectral import spectral_law
from quasistatic.sampling import SMC

CROPS = 4
"""Crops of each held-out image."""

STEPS = 50
"""Of the chain, in a draw whose cost is measured."""


def crops(size: int = 128, each: int = CROPS) -> np.ndarray:
    """Crops of held-out photographs, uint8 (N, size, size)."""
    return qs.data.bark(size, crops=each).test


def bits(
    model: qs.Diffusion, pixels: Path | None, each: int = CROPS, evaluations: int = 32
) -> None:
    """Bits a pixel of held-out crops, with the parts of the bound."""
    x, unit = crops(each=each), 128 * 128 * math.log(2)
    score = model.score(x, evaluations, rng=0)
    per = score.bits_per_dim
    error = per.std().item() / len(per) ** 0.5
    print(f"latent model: {per.mean():.3f} ± {error:.3f} bits a pixel, {len(x)} crops of 128x128")
    parts = {name: -(value.mean().item()) / unit for name, value in score.terms.items()}
    of_z = sum(parts[name] for name in ("prior", "transitions", "edge"))
    print(
        f"  decoder {parts['decoder']:.3f}, code of z {of_z:.3f}, less the bits that z gives back "
        f"{-parts['encoder']:.3f} (rate {of_z + parts['encoder']:.3f})",
        flush=True,
    )
    for name, each_file in bits_per_value(x).items():
        print(f"{name}: {each_file.mean():.3f}", flush=True)
    space = qs.Dequantized((128, 128), 256, spread=2.84)
    train = qs.data.bark(128).train
    rows = torch.arange(0, len(train), 16)
    began = time.process_time()
    law = spectral_law(space, train.batch(rows, torch.Generator().manual_seed(0)).numpy()).law
    took = time.process_time() - began
    raw = torch.from_numpy(x).float()
    x_0 = space.encode(raw, torch.Generator().manual_seed(0))
    log_p = law.log_prob(x_0.flatten(1)) + space.log_volume(x_0).flatten(1).sum(1)
    print(f"spectral law of the pixels: {-log_p.mean() / unit:.3f}, fitted in {took:.1f} CPU s")
    if pixels is not None:
        wide = qs.load(pixels).resized((128, 128))
        print(f"chain of the pixels: {wide.score(x, 16, rng=0).bits_per_dim.mean():.3f}")


def codec(model: qs.Diffusion, pixels: Path | None) -> None:
    """A lossless round trip of 16 crops, against the bound of the same chain."""
    x = crops(each=1)[:16]
    for portable in (False, True):
        began = time.process_time()
        file = io.BytesIO()
        report = Codec(model, 50, portable=portable).write(x, file)
        back = Codec(model, portable=portable).decompress(file.getvalue())
        took = time.process_time() - began
        print(f"{'portable' if portable else 'native'}: {report}")
        print(f"  equal: {bool((back == x).all())}, {took:.0f} CPU s")
    bound = model.score(x, None, times=50, rng=0).bits_per_dim.mean().item()
    print(f"bound of the same chain of 50 times: {bound:.4f} bits a pixel")


def hole(model: qs.Diffusion, pixels: Path | None) -> None:
    """A hole of 100x100 pixels in crops of 128x128, by the weighted walk (SD15 Fig. 5)."""
    x = crops()[:: 4 * CROPS][:3]
    hidden = np.zeros(x.shape, dtype=bool)
    hidden[:, 14:114, 14:114] = True
    began = time.process_time()
    found = model.complete(x, hidden, draws=2, times=50, rng=0, method=SMC(8, repeats=2))
    print(found, f"\n  {time.process_time() - began:.0f} CPU s")
    rows = [
        np.concatenate([image, np.where(mask, 255, image), *draws.numpy().astype(np.uint8)], 1)
        for image, mask, draws in zip(x, hidden, found.draws, strict=True)
    ]
    Image.fromarray(np.concatenate(rows).astype(np.uint8)).save("latent-hole.png")
    print("wrote latent-hole.png: an image, its hole, and two draws of each of three")


def sheet(model: qs.Diffusion, pixels: Path | None) -> None:
    """Samples of 256x256 pixels, by the model of smaller crops."""
    wide = model.resized((256, 256))
    began = time.process_time()
    drawn = wide.sample(4, times=100, rng=0).numpy().astype(np.uint8)
    print(f"4 draws of 256x256 in {time.process_time() - began:.0f} CPU s")
    real = crops(256, 1)[::4][:4]
    rows = [np.concatenate(list(each), 1) for each in (drawn, real)]
    Image.fromarray(np.concatenate(rows)).save("latent-sheet.png")
    print("wrote latent-sheet.png: four draws, and four held-out crops below")


def _cost(name: str, folder: Path, queue: "multiprocessing.Queue[tuple[float, float]]") -> None:
    torch.set_num_threads(1)
    if name == "pixels":
        model = RECIPES["bark"]().build().model.resized((128, 128)).eval()
    else:
        model = qs.load(folder)
    model.sample(16, times=2, rng=0)
    began = time.process_time()
    model.sample(16, times=STEPS, rng=0)
    took = (time.process_time() - began) / 16
    queue.put((took, _peak_of_tensors(lambda: model.sample(16, times=3, rng=0))))


def _peak_of_tensors(work: Callable[[], object]) -> float:
    """The most MiB that tensors occupy at once during some work. The process itself grows by less
    where it has free pages, so its size depends on what ran before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted(
        (event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"
    )
    return float(np.cumsum([change for _, change in changes]).max()) / 2**20


def draw(model: qs.Diffusion, pixels: Path | None, folder: Path = Path()) -> None:
    """CPU seconds and memory of 16 draws of 128x128, beside the recipe of pixels."""
    context, found = multiprocessing.get_context("spawn"), {}
    for name in ("pixels", "latents"):
        queue = context.Queue()
        process = context.Process(target=_cost, args=(name, folder, queue))
        process.start()
        found[name] = queue.get()
        process.join()
        print(
            f"{name}: {found[name][0]:.3f} CPU s a draw of {STEPS} steps, "
            f"{found[name][1]:.0f} MiB of tensors at most"
        )
    times, memory = (found["latents"][k] / max(found["pixels"][k], 1e-9) for k in (0, 1))
    print(f"latents take {times:.3f} of the time and {memory:.3f} of the memory")


PARTS = {"bits": bits, "codec": codec, "hole": hole, "sheet": sheet, "draw": draw}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("parts", nargs="*", choices=list(PARTS), default=["bits"])
    parser.add_argument("--pixels", type=Path, help="a run of the recipe bark")
    parser.add_argument("--crops", type=int, default=CROPS, help="for bits: of each image")
    parser.add_argument("--evaluations", type=int, default=32, help="for bits: of each crop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = qs.load(options.run)
    for name in options.parts or ["bits"]:
        more = {
            "draw": {"folder": options.run},
            "bits": {"each": options.crops, "evaluations": options.evaluations},
        }.get(name, {})
        PARTS[name](model, options.pixels, **more)


if __name__ == "__main__":
    main()
