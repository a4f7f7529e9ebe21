"""Models of diffusers: how fast they load, and a model that diffusers trained beside our own.

    .venv/bin/python benchmarks/checkpoints.py load
    .venv/bin/python benchmarks/checkpoints.py train --seconds 300
    .venv/bin/python benchmarks/checkpoints.py train-ours --seconds 300
    .venv/bin/python benchmarks/checkpoints.py answer
    .venv/bin/python benchmarks/checkpoints.py steps

`load` compares `from_diffusers` with `DDPMPipeline.from_pretrained` on the configuration of
google/ddpm-cifar10-32 (35,746,307 random weights), each in a fresh process: CPU seconds and memory
of loading alone, and with one evaluation of the network. `train` trains a `UNet2DModel` on MNIST by
diffusers' own loop, and `train-ours` the recipe mnist of this library, each on one thread. `answer`
opens what was trained: bits per dimension of test images beside our own model's, 20 images
compressed, half-hidden digits completed (runs/checkpoints/completed.png), and the model written by
us and drawn from by diffusers' pipeline (runs/checkpoints/drawn_by_diffusers.png, and here
drawn.png). `steps` is the bound of 20 of the images by chains of 50 and 200 even steps.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch
from torch import Tensor

import quasistatic as qs
from quasistatic._utils.files import write_text
from quasistatic.heads.variances import FixedLarge, FixedSmall
from quasistatic.recipes import RECIPES
from quasistatic.reporting.figures import image_grid
from quasistatic.sampling import SMC
from quasistatic.sampling.timesteps import analytic_variance

RESULTS = Path(__file__).parent / "results" / "checkpoints.json"
FOLDER = Path("runs") / "checkpoints"
GOOGLE: dict[str, Any] = {
    "sample_size": 32,
    "attention_head_dim": None,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}
SMALL: dict[str, Any] = {
    "sample_size": 28,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (16, 32, 64),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "attention_head_dim": 16,
    "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
}
PROBE = """
import sys, time, torch
{imports}
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
before, start = memory(), time.process_time()
model = {load}
loaded = time.process_time() - start, memory() - before
with torch.no_grad():
    {call}
print(*loaded, time.process_time() - start, memory() - before)
"""
PROBES = {
    "quasistatic": {
        "imports": "import quasistatic as qs, quasistatic.checkpoints.reading",
        "load": "qs.from_diffusers(sys.argv[1])",
        "call": "model.output(torch.zeros(1, 3, 32, 32), torch.tensor([7]))",
    },
    "diffusers": {
        "imports": "from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel",
        "load": "DDPMPipeline.from_pretrained(sys.argv[1])",
        "call": "model.unet(torch.zeros(1, 3, 32, 32), 6)",
    },
}


def load(repeats: int) -> dict[str, Any]:
    """Seconds and megabytes of opening the configuration of google/ddpm-cifar10-32."""
    import diffusers

    folder = FOLDER / "cifar10"
    network = diffusers.UNet2DModel(**GOOGLE)
    count = sum(weight.numel() for weight in network.parameters())
    scheduler = diffusers.DDPMScheduler(variance_type="fixed_large")
    diffusers.DDPMPipeline(network, scheduler).save_pretrained(folder)
    found: dict[str, Any] = {"weights": count}
    names = ("cpu_seconds", "megabytes", "cpu_seconds_with_one_evaluation", "megabytes_with_it")
    for _ in range(repeats):  # in turn, so that both see the machine as it is
        for name, parts in PROBES.items():
            words = [sys.executable, "-W", "ignore", "-c", PROBE.format(**parts), str(folder)]
            done = subprocess.run(words, capture_output=True, check=True, text=True)
            values = map(float, done.stdout.split()[-4:])
            found.setdefault(name, []).append(dict(zip(names, values, strict=True)))
    for name in PROBES:
        best = {key: min(each[key] for each in found[name]) for key in names}
        found[name] = best
        print(f"{name:12}", ", ".join(f"{key} {value:.3g}" for key, value in best.items()))
    found["ratio"] = {k: found["quasistatic"][k] / found["diffusers"][k] for k in names}
    print("ratio       ", ", ".join(f"{k} {v:.2f}" for k, v in found["ratio"].items()))
    return found


def batches(x: Tensor, size: int) -> Iterator[Tensor]:
    """Batches of shuffled rows, without end."""
    while True:
        order = torch.randperm(len(x))
        for start in range(0, len(x) - size + 1, size):
            yield x[order[start : start + size]]


def train(seconds: float) -> dict[str, Any]:
    """A network trained by diffusers' loop."""
    import diffusers
    from diffusers.optimization import get_cosine_schedule_with_warmup

    torch.manual_seed(0)
    data = qs.data.mnist()
    x = torch.from_numpy(np.asarray(data.train[:])).reshape(-1, 1, 28, 28)
    network = diffusers.UNet2DModel(**SMALL)
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rows = batches(x, 64)

    def step() -> float:
        """One step of the loop of diffusers' unconditional training example."""
        clean = next(rows).float() / 127.5 - 1
        noise, t = torch.randn_like(clean), torch.randint(1000, (len(clean),))
        predicted = network(scheduler.add_noise(clean, noise, t), t).sample
        loss = torch.nn.functional.mse_loss(predicted, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    start = time.process_time()
    for _ in range(5):
        step()
    steps = int(seconds / ((time.process_time() - start) / 5))
    rate = get_cosine_schedule_with_warmup(optimizer, 50, steps)
    losses = []
    start = time.process_time()
    for number in range(steps):
        losses.append(step())
        rate.step()
        if time.process_time() - start > seconds:
            break
        if number % 100 == 0:
            print(f"step {number} of {steps}: loss {np.mean(losses[-100:]):.4f}", flush=True)
    spent = time.process_time() - start
    diffusers.DDPMPipeline(network, scheduler).save_pretrained(FOLDER / "mnist")
    count = sum(weight.numel() for weight in network.parameters())
    found = {"steps": len(losses), "cpu_seconds": spent, "weights": count}
    found["loss"] = float(np.mean(losses[-100:]))
    print(found)
    return found


def train_ours(seconds: float) -> dict[str, Any]:
    """The recipe mnist."""
    recipe = RECIPES["mnist"]()
    experiment = recipe.build()
    data = experiment.data
    how: dict[str, Any] = {"batch": 64, "lr": 2e-3, "ema": 0.995, "progress": False}
    start = time.process_time()
    qs.fit(experiment.model, data.train, steps=10, **how)
    steps = int(seconds / ((time.process_time() - start) / 10))
    model = recipe.build().model
    start = time.process_time()
    qs.fit(model, data.train, steps=steps, warmup=100, **how)
    model.save(FOLDER / "ours")
    count = sum(weight.numel() for weight in model.parameters())
    found = {"steps": steps, "cpu_seconds": time.process_time() - start, "weights": count}
    print(found)
    return found


def answer(images: int) -> dict[str, Any]:
    """What the trained model answers: a score, codes, completions; and the way back."""
    x = np.asarray(qs.data.mnist().test[:images]).reshape(-1, 28, 28)
    valid = np.asarray(qs.data.mnist().valid[:128]).reshape(-1, 28, 28)
    opened = {
        "fixed_small": qs.from_diffusers(FOLDER / "mnist", variance=FixedSmall()),
        "fixed_large": qs.from_diffusers(FOLDER / "mnist", variance=FixedLarge()),
        "fixed_large, x_0 not clipped": qs.from_diffusers(
            FOLDER / "mnist", variance=FixedLarge(), clip=False
        ),
    }
    model = opened["fixed_small"]
    spread = qs.Spread(model.head, analytic_variance(model, valid, rng=0))
    opened["a measured variance"] = qs.Diffusion(model.space, model.kernel, spread, model.network)
    opened["our recipe mnist"] = qs.load(FOLDER / "ours")
    found: dict[str, Any] = {"images": images, "bits_per_dim": {}}
    for name, each in opened.items():
        score = each.score(x, 64, rng=0)
        mean, error = score.bits_per_dim.mean().item(), score.stderr(score.bits_per_dim)
        found["bits_per_dim"][name] = [mean, float(error)]
        print(f"{name:30} {mean:.4f} ± {error:.4f} bits per dimension", flush=True)
    found["compress"] = compressed(opened, x[:20])
    best = opened["a measured variance"]
    completed(best, x[:8])
    backwards()
    return found


def compressed(opened: dict[str, qs.Diffusion], x: np.ndarray) -> dict[str, float]:
    """Bytes of 20 images by each model, read again, beside image formats."""
    found = {}
    for name in ("fixed_large", "a measured variance", "our recipe mnist"):
        stream = opened[name].compress(x, times=50)
        if not (opened[name].decompress(stream) == x).all():
            raise RuntimeError(f"{name}: what was read is not what was written")
        found[name] = len(stream)
    whole = np.ascontiguousarray(x.reshape(-1, 28))
    found["PNG, one image"] = len(imagecodecs.png_encode(whole, level=9))
    found["JPEG XL, one image"] = len(imagecodecs.jpegxl_encode(whole, lossless=True, effort=9))
    found["bytes as they are"] = x.size
    for name, size in found.items():
        print(
            f"{name:30} {size:7,} bytes for {len(x)} images, {8 * size / x.size:.3f} bits a pixel"
        )
    return {name: float(size) for name, size in found.items()}


def completed(model: qs.Diffusion, x: np.ndarray) -> None:
    """Digits with their lower half hidden: the whole, what is known, and four completions."""
    hidden = np.broadcast_to(np.arange(28)[:, None] >= 14, x.shape)
    made = model.complete(x, hidden, draws=4, times=100, rng=0, method=SMC(16, 4))
    known = np.where(hidden, 64, x)
    rows = [np.stack([a, b, *c]) for a, b, c in zip(x, known, made.draws.numpy(), strict=True)]
    path = FOLDER / "completed.png"
    figure = image_grid(np.concatenate(rows), (28, 28), columns=6, limits=(0, 255))
    figure.savefig(path, dpi=150)
    print(f"wrote {path}; log-evidence of the upper halves {made.log_evidence.mean():.0f} nats")


def backwards() -> None:
    """The model, written by us, and drawn from by diffusers' own pipeline."""
    from diffusers import DDPMPipeline

    model = qs.from_diffusers(FOLDER / "mnist")
    pipeline = DDPMPipeline.from_pretrained(qs.to_diffusers(model, FOLDER / "written"))
    rng = torch.Generator().manual_seed(0)
    drawn = pipeline(32, rng, num_inference_steps=100, output_type="np").images[..., 0] * 255
    ours = model.sample(32, 100, rng=0).numpy()
    for name, images in (("drawn_by_diffusers", drawn), ("drawn", ours)):
        image_grid(images, (28, 28), limits=(0, 255)).savefig(FOLDER / f"{name}.png", dpi=150)
        print(f"wrote {FOLDER / f'{name}.png'}")


def steps() -> dict[str, Any]:
    """Bits per dimension of 20 images by short chains, every term once."""
    x = np.asarray(qs.data.mnist().test[:20]).reshape(-1, 28, 28)
    opened = {
        "fixed_small": qs.from_diffusers(FOLDER / "mnist", variance=FixedSmall()),
        "our recipe mnist": qs.load(FOLDER / "ours"),
    }
    found: dict[str, Any] = {}
    for name, model in opened.items():
        for count in (50, 200):
            score = model.score(x, None, times=count, rng=0)
            value = score.bits_per_dim.mean().item()
            found.setdefault(name, {})[count] = value
            print(f"{name:20} {count:4} steps {value:.3f} bits per dimension", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Models of diffusers.")
    parser.add_argument("what", choices=("load", "train", "train-ours", "answer", "steps"))
    parser.add_argument("--seconds", type=float, default=300, help="CPU seconds of each training")
    parser.add_argument("--images", type=int, default=100, help="test images that are scored")
    parser.add_argument("--repeats", type=int, default=5, help="processes that load each")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if asked.what == "load":
        found = load(asked.repeats)
    elif asked.what == "train":
        found = train(asked.seconds)
    elif asked.what == "train-ours":
        found = train_ours(asked.seconds)
    elif asked.what == "steps":
        found = steps()
    else:
        found = answer(asked.images)
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    write_text(RESULTS, json.dumps(stored | {asked.what: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
