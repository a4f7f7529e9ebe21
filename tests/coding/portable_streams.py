"""Writes and reads portable streams in this process, whose arithmetic the caller chose.

    ATEN_CPU_CAPABILITY=avx2 python portable_streams.py write FOLDER
    ATEN_CPU_CAPABILITY=default python portable_streams.py read FOLDER --threads 2 --split 3

`--split` makes the network see a batch in parts of so many examples. Each stream that is read is
compared with the array that was written. The models are untrained networks of each kind of law.
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
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="*", help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--split", type=int, default=0)
    asked = parser.parse_args()
    # The codec asks for one thread: this process has so many for it.
    real = torch.set_num_threads
    torch.set_num_threads = lambda n: real(asked.threads)  # type: ignore[assignment]
    plain = blocks._plain
    # Noise has no short code: only without a plain packing to lose to is it the model's.
    blocks._plain = lambda *args: [  # type: ignore[assignment]
        replace(block, payload=bytes(10**6)) for block in plain(*args)
    ]
    chosen = models()
    for name in asked.models or chosen:
        model, x = chosen[name]
        path = asked.folder / f"{name}.qs"
        weights = path.with_suffix(".pt")
        if asked.verb == "write":  # weights are drawn by the machine's arithmetic, too
            torch.save(model.state_dict(), weights)
            np.save(path.with_suffix(".npy"), x)
        else:
            model.load_state_dict(torch.load(weights))
            x = np.load(path.with_suffix(".npy"))
        codec = qs.Codec(model, min(12, model.steps), together=32, workers=1, verify=False)
        with in_parts(asked.split):
            if asked.verb == "write":
                with path.open("wb") as file:
                    assert set(codec.write(x, file).blocks) == {"chain"}, name
                if model.space.levels is not None and name != "exact":
                    layered = qs.LayeredCodec(model, 4).compress(x[:3])
                    path.with_suffix(".layers").write_bytes(layered)
                continue
            assert np.array_equal(codec.decompress(path.read_bytes()), x, equal_nan=True), name
            if (layers := path.with_suffix(".layers")).exists():
                found = qs.LayeredCodec(model, 4).decompress(layers.read_bytes())
                assert np.array_equal(found.array, x[:3]), name
    print(torch.backends.cpu.get_cpu_capability(), asked.threads, asked.split)


if __name__ == "__main__":
    main()
