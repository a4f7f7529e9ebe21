"""Writes and reads portable streams in this process, whose arithmetic the caller chose.

    ATEN_CPU_CAPABILITY=avx2 python portable_streams.py write FOLDER
    ATEN_CPU_CAPABILITY=default python portable_streams.py read FOLDER FOLDER --threads 2 1
    ATEN_CPU_CAPABILITY=avx512 python portable_streams.py exchange FOLDER FOLDER FOLDER

`exchange` writes to the first folder, prints a line, waits for a line, and reads the other folders.
`--split` makes the network see a batch in parts of so many examples. Threads and splits are those
of the folders, in turn. Each stream that is read is compared with the array that was written. The
models are untrained networks of each kind of law.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Collection, Iterator
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

Case = tuple[qs.Diffusion, np.ndarray]
Chosen = dict[str, Case]
Maker = Callable[[np.random.Generator], Case]


def network(space: qs.spaces.Space, kernel: qs.kernels.Kernel, head: qs.heads.Head) -> qs.Diffusion:
    """An untrained model whose steps depend on x_t."""
    torch.manual_seed(0)
    outputs = head.bind(space, kernel).outputs
    return qs.Diffusion(space, kernel, head, qs.networks.MLP(space.state, 32, 2, outputs=outputs))


def models(names: Collection[str] = ()) -> Chosen:
    """A model and an array for each kind of law, or for those with these names."""
    chosen = {name: MODELS[name] for name in names or MODELS}
    return {name: made(np.random.default_rng(0)) for name, made in chosen.items()}


def _levels(head: qs.heads.Head, count: int = 24) -> Maker:
    space = qs.Quantized(9, count=17)
    return lambda rng: (network(space, GAUSSIAN, head), rng.integers(0, 17, (count, 9)))


def _bits(rng: np.random.Generator) -> Case:
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(12), mean=0.3)
    return network(qs.Binary((4, 5)), kernel, qs.Clean()), rng.integers(0, 2, (32, 4, 5))


def _reals(rng: np.random.Generator) -> Case:
    space = Continuous(2, (0.3, -5.0), (2.0, 0.01))
    x = rng.normal(size=(24, 2)) * [2.0, 0.01] + [0.3, -5.0]
    return network(space, GAUSSIAN, qs.Velocity()), x


def _bent(rng: np.random.Generator) -> Case:
    space = YeoJohnson(2, (0.2, 1.7), (0.3, -5.0), (2.0, 0.5), (0.1, 0.0), (0.8, 1.1))
    return network(space, GAUSSIAN, qs.Velocity()), np.exp(rng.normal(size=(24, 2)))


def _digits(rng: np.random.Generator) -> Case:
    return qs.load_pretrained("digits"), rng.integers(0, 17, (2, 64))


def _table(rng: np.random.Generator) -> Case:
    import pandas as pd

    n = 40
    names = np.array(["u", "v", "w"])[rng.integers(0, 3, n)]
    frame = pd.DataFrame({"name": names, "count": rng.poisson(20, n)})
    frame["price"] = np.round(np.exp(rng.normal(size=n)), 2)
    frame["real"] = rng.normal(size=n)
    frame.loc[::7, "price"] = None
    frame.loc[::9, "name"] = None
    space = Table.infer(frame)
    torch.manual_seed(0)
    return tabular(space, steps=8, width=16, depth=1), space.read(frame).numpy()


GAUSSIAN = qs.GaussianKernel(qs.schedules.linear_log_snr(12, 6, -6))
MODELS: dict[str, Maker] = {
    "levels": _levels(qs.Levels()),
    "exact": _levels(qs.Exact(qs.Levels()), 16),
    "decoder": _levels(qs.Velocity()),
    "bits": _bits,
    "reals": _reals,
    "bent": _bent,
    "digits": _digits,
    "table": _table,
}


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
    parser.add_argument("verb", choices=["write", "read", "exchange"])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--models", nargs="*", default=(), help="default: all")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--split", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    plain = blocks._plain
    # Noise has no short code: only without a plain packing to lose to is it the model's.
    blocks._plain = lambda *args: [  # type: ignore[assignment]
        replace(block, payload=bytes(10**6)) for block in plain(*args)
    ]
    chosen, real = models(asked.models), torch.set_num_threads
    for number, folder in enumerate(asked.folders):
        threads = asked.threads[number % len(asked.threads)]
        # The codec asks for one thread: this process has so many for it.
        torch.set_num_threads = lambda n, threads=threads: real(threads)  # type: ignore[assignment]
        if asked.verb == "exchange" and number == 1:
            print("written", flush=True)
            sys.stdin.readline()
        writes = asked.verb == "write" or (asked.verb == "exchange" and number == 0)
        with in_parts(asked.split[number % len(asked.split)]):
            (write if writes else read)(folder, chosen)
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
