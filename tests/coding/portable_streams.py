"""Writes and reads portable streams in this process, whose arithmetic the caller chose.

    ATEN_CPU_CAPABILITY=avx2 python portable_streams.py write FOLDER
    ATEN_CPU_CAPABILITY=default python portable_streams.py read FOLDER FOLDER --threads 2 1

`--split` makes the network see a batch in parts of so many examples. Threads and splits are those
of the folders, in turn. Each stream that is read is compared with the array that was written. The
models are untrained networks of each kind of law.
"""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import quasistatic as qs
from quasistatic.coding import blocks
from quasistatic.model import Model
from quasistatic.recipes.tabular import tabular
from quasistatic.spaces import Continuous, Table
from quasistatic.spaces.yeo_johnson import YeoJohnson

Chosen = dict[str, tuple[qs.Diffusion, np.ndarray]]


def network(space: qs.spaces.Space, kernel: qs.kernels.Kernel, head: qs.heads.Head) -> qs.Diffusion:
    """An untrained model whose steps depend on x_t."""
    torch.manual_seed(0)
    outputs = head.bind(space, kernel).outputs
    return qs.Diffusion(space, kernel, head, qs.networks.MLP(space.state, 32, 2, outputs=outputs))


def models() -> dict[str, tuple[qs.Diffusion, np.ndarray]]:
    """A model and an array for each kind of law."""
    rng = np.random.default_rng(0)
    gaussian = qs.GaussianKernel(qs.schedules.linear_log_snr(12, 6, -6))
    bits = qs.BinomialKernel(qs.schedules.erase_evenly(12), mean=0.3)
    names = np.array(["u", "v", "w"])[rng.integers(0, 3, 40)]
    levels, binary = qs.Quantized(9, count=17), qs.Binary((4, 5))
    bent = YeoJohnson(2, (0.2, 1.7), (0.3, -5.0), (2.0, 0.5), (0.1, 0.0), (0.8, 1.1))
    made = {
        "levels": (network(levels, gaussian, qs.Levels()), rng.integers(0, 17, (24, 9))),
        "exact": (network(levels, gaussian, qs.Exact(qs.Levels())), rng.integers(0, 17, (16, 9))),
        "decoder": (network(levels, gaussian, qs.Velocity()), rng.integers(0, 17, (24, 9))),
        "bits": (network(binary, bits, qs.Clean()), rng.integers(0, 2, (32, 4, 5))),
        "reals": (
            network(Continuous(2, (0.3, -5.0), (2.0, 0.01)), gaussian, qs.Velocity()),
            rng.normal(size=(24, 2)) * [2.0, 0.01] + [0.3, -5.0],
        ),
        "bent": (network(bent, gaussian, qs.Velocity()), np.exp(rng.normal(size=(24, 2)))),
        "digits": (qs.load_pretrained("digits"), rng.integers(0, 17, (2, 64))),
    }
    made["table"] = _table(names, rng)
    return made


def _table(names: np.ndarray, rng: np.random.Generator) -> tuple[qs.Diffusion, np.ndarray]:
    import pandas as pd

    n = len(names)
    frame = pd.DataFrame({"name": names, "count": rng.poisson(20, n)})
    frame["price"] = np.round(np.exp(rng.normal(size=n)), 2)
    frame["real"] = rng.normal(size=n)
    frame.loc[::7, "price"] = None
    frame.loc[::9, "name"] = None
    space = Table.infer(frame)
    torch.manual_seed(0)
    return tabular(space, steps=8, width=16, depth=1), space.read(frame).numpy()


@contextlib.contextmanager
def in_parts(size: int) -> Iterator[None]:
    """The network sees so many examples at a time; 0 for all."""
    whole = Model.output

    def output(self: Model, x_t: Tensor, t: Tensor) -> Tensor:
        parts = zip(x_t.split(size), t.split(size), strict=True)
        return torch.cat([whole(self, *part) for part in parts])

    if size:
        Model.output = output  # type: ignore[method-assign]
    try:
        yield
    finally:
        Model.output = whole  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["write", "read"])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--models", nargs="*", help="default: all")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--split", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    plain = blocks._plain
    # Noise has no short code: only without a plain packing to lose to is it the model's.
    blocks._plain = lambda *args: [  # type: ignore[assignment]
        replace(block, payload=bytes(10**6)) for block in plain(*args)
    ]
    chosen, real = models(), torch.set_num_threads
    chosen = {name: chosen[name] for name in asked.models or chosen}
    for number, folder in enumerate(asked.folders):
        threads = asked.threads[number % len(asked.threads)]
        # The codec asks for one thread: this process has so many for it.
        torch.set_num_threads = lambda n, threads=threads: real(threads)  # type: ignore[assignment]
        with in_parts(asked.split[number % len(asked.split)]):
            (write if asked.verb == "write" else read)(folder, chosen)
    print(torch.backends.cpu.get_cpu_capability(), asked.threads, asked.split)


def codec_of(model: qs.Diffusion) -> qs.Codec:
    return qs.Codec(model, min(12, model.steps), together=32, workers=1, verify=False)


def write(folder: Path, chosen: Chosen) -> None:
    """The streams of the models, with their weights and the arrays."""
    for name, (model, x) in chosen.items():
        path = folder / f"{name}.qs"
        # Weights are drawn by the machine's arithmetic, too: the reader takes those of the writer.
        torch.save(model.state_dict(), path.with_suffix(".pt"))
        np.save(path.with_suffix(".npy"), x)
        with path.open("wb") as file:
            assert set(codec_of(model).write(x, file).blocks) == {"chain"}, name
        if model.space.levels is not None and name != "exact":
            layered = qs.LayeredCodec(model, 4).compress(x[:3])
            path.with_suffix(".layers").write_bytes(layered)


def read(folder: Path, chosen: Chosen) -> None:
    """Asserts that each stream gives the array that was written."""
    for name, (model, _) in chosen.items():
        path = folder / f"{name}.qs"
        model.load_state_dict(torch.load(path.with_suffix(".pt")))
        x = np.load(path.with_suffix(".npy"))
        found = codec_of(model).decompress(path.read_bytes())
        assert np.array_equal(found, x, equal_nan=True), name
        if (layers := path.with_suffix(".layers")).exists():
            some = qs.LayeredCodec(model, 4).decompress(layers.read_bytes())
            assert np.array_equal(some.array, x[:3]), name


if __name__ == "__main__":
    main()
