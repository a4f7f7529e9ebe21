"""Files by a model against files by general and image formats, on the same test images.

    python benchmarks/compress.py [--sets digits binarized-mnist] [--images 10000] [--workers 2]
    python benchmarks/compress.py --grow
    python benchmarks/compress.py --portable [--images 359] [--part 40]
    python benchmarks/compress.py --layers [--images 100]
    python benchmarks/compress.py --tables [--steps 1000]

Bits per dimension, and megabytes a second of the array with a byte a pixel, of the whole set as
one archive (or one picture, row by row of images) and of each image by itself. What is read again
is compared with what was written. No JBIG encoder is packaged for Python, so that row is what the
model inside JBIG1 costs at best: its ten-pixel template with adaptive (Krichevsky-Trofimov) counts
and an ideal coder, without headers. `--grow` prints seconds and peak memory from 100 images on;
`--layers` prints and draws (runs/layers.png) what is left of the error after so many bytes of a
layered stream, beside what an ideal coder would need. `--tables` writes one half of the rows of
small real tables by a model of the other half, beside the same rows as CSV and as Parquet; the
model is not in the file, and its own size is printed. All keep what they print in
benchmarks/results/compress.json.
"""

import argparse
import bz2
import gzip
import io
import json
import lzma
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import polars as pl
import sklearn.datasets
import torch
from palmerpenguins import load_penguins
from PIL import Image
from scipy.special import gammaln

import quasistatic as qs
from quasistatic.recipes.tabular import tabular
from quasistatic.reporting.figures import layered_stream
from quasistatic.spaces import Table

RESULTS = Path(__file__).parent / "results" / "compress.json"
PICTURE = Path("runs") / "layers.png"
ALONE = 200
STEPS = {"digits": 50, "binarized-mnist": 25}
Bytes = Callable[[np.ndarray], int]
"""Bytes that an array of images (N, H, W), uint8, takes in some format."""


def images_of(name: str) -> tuple[qs.Diffusion, np.ndarray]:
    """A model that comes with the library, and the test images that it never saw (N, H, W)."""
    model = qs.load_pretrained(name)
    if name == "digits":
        return model, qs.data.split(qs.data.digits()).test.reshape(-1, 8, 8).astype(np.uint8)
    return model, qs.data.binarized_mnist().test.reshape(-1, 28, 28).astype(np.uint8)


def mosaic(x: np.ndarray) -> np.ndarray:
    """Images (N, H, W) as one picture, about as wide as it is high; the last row is filled up."""
    n, h, w = x.shape
    across = int(np.ceil(n**0.5))
    full = np.zeros((-(-n // across) * across, h, w), np.uint8)
    full[:n] = x
    return full.reshape(-1, across, h, w).swapaxes(1, 2).reshape(-1, across * w)


def packed(x: np.ndarray) -> bytes:
    return np.packbits(x).tobytes() if x.max() <= 1 else x.tobytes()


def picture(x: np.ndarray) -> Image.Image:
    """Two levels as a bitmap, more as grey spread over the range."""
    image = mosaic(x)
    return Image.fromarray(image * 255).convert("1") if x.max() <= 1 else Image.fromarray(image)


def saved(x: np.ndarray, **how: object) -> int:
    file, image = io.BytesIO(), picture(x)
    if how["format"] != "PNG":  # WebP has no bitmaps
        image = image.convert("RGB")
    image.save(file, **how)  # type: ignore[arg-type]
    return file.tell()


def jbig_template(x: np.ndarray) -> int:
    """Bytes of JBIG1's ten-pixel template with adaptive counts and an ideal coder."""
    image = np.pad(mosaic(x), ((2, 0), (3, 3)))
    h, w = image.shape[0] - 2, image.shape[1] - 6
    places = [(2, -1), (2, 0), (2, 1)] + [(1, d) for d in range(-2, 3)] + [(0, -2), (0, -1)]
    context = sum(
        image[2 - up : 2 - up + h, 3 + d : 3 + d + w].astype(int) << i
        for i, (up, d) in enumerate(places)
    )
    pixel = image[2:, 3:-3]
    ones = np.bincount(np.ravel(context), pixel.ravel(), 1024)
    zeros = np.bincount(np.ravel(context), 1 - pixel.ravel(), 1024)
    nats = 2 * gammaln(0.5) + gammaln(ones + zeros + 1) - gammaln(ones + 0.5) - gammaln(zeros + 0.5)
    return int(np.ceil(nats.sum() / np.log(2) / 8))


PEERS: dict[str, Bytes] = {
    "gzip -9": lambda x: len(gzip.compress(packed(x), 9)),
    "bz2 -9": lambda x: len(bz2.compress(packed(x), 9)),
    "xz -9e": lambda x: len(lzma.compress(packed(x), preset=9 | lzma.PRESET_EXTREME)),
    "zstd -19": lambda x: len(imagecodecs.zstd_encode(packed(x), level=19)),
    "PNG": lambda x: saved(x, format="PNG", optimize=True),
    "WebP lossless": lambda x: saved(x, format="WEBP", lossless=True, quality=100, method=6),
    "JPEG XL": lambda x: len(
        imagecodecs.jpegxl_encode(mosaic(x) * (255 if x.max() <= 1 else 1), lossless=True, effort=9)
    ),
}
BITS_ONLY: dict[str, Bytes] = {
    "JBIG1's template, ideal": jbig_template,
    "CCITT group 4": lambda x: saved_fax(x),
}


def saved_fax(x: np.ndarray) -> int:
    file = io.BytesIO()
    picture(x).save(file, format="TIFF", compression="group4")
    return file.tell()


def row(x: np.ndarray, size: Bytes) -> dict[str, float]:
    started = time.perf_counter()
    whole = size(x)
    seconds = time.perf_counter() - started
    alone = sum(size(x[i : i + 1]) for i in range(min(ALONE, len(x))))
    each = x[: min(ALONE, len(x))]
    return {
        "archive": 8 * whole / x.size,
        "alone": 8 * alone / each.size,
        "write_mb_s": x.nbytes / 1e6 / seconds,
    }


def ours(name: str, model: qs.Diffusion, x: np.ndarray, workers: int) -> dict[str, float]:
    raw = x.reshape(len(x), *model.space.shape)
    codec = qs.Codec(model, STEPS[name], workers=workers, verify=False)
    file = io.BytesIO()
    started = time.perf_counter()
    report = codec.write(raw, file)
    written = time.perf_counter()
    again = codec.decompress(file.getvalue())
    read = time.perf_counter()
    assert np.array_equal(raw, again), "what was read is not what was written"
    print(report, flush=True)
    few = raw[: min(10, len(raw))]
    alone = sum(len(codec.compress(few[i : i + 1])) for i in range(len(few)))
    # MNIST's rows are in the order of their digits: a share of all of them.
    some = raw[:: max(1, len(raw) // 5000)]
    bound = model.score(some, 8, STEPS[name], torch.Generator().manual_seed(0))
    return {
        "archive": report.bits_per_dim,
        "net": report.net_bits_per_dim,
        "bound": bound.bits_per_dim.mean().item(),
        "bound_stderr": bound.stderr(bound.bits_per_dim),
        "overhead_bytes": report.overhead,
        "initial_bytes": report.initial,
        "pays_off": report.pays_off,
        "alone": 8 * alone / few.size,
        "write_mb_s": x.nbytes / 1e6 / (written - started),
        "read_mb_s": x.nbytes / 1e6 / (read - written),
        "steps": STEPS[name],
    }


def keep(name: str, found: object) -> None:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {name: found}, indent=2) + "\n")


def table(name: str, images: int, workers: int) -> None:
    model, x = images_of(name)
    x = x[:images]
    rows = {"quasistatic": ours(name, model, x, workers)}
    peers = PEERS | (BITS_ONLY if x.max() <= 1 else {})
    rows |= {peer: row(x, size) for peer, size in peers.items()}
    print(f"\n{name}: {len(x)} test images of {x[0].size} values, bits per dimension")
    print(f"{'':<26}{'archive':>9}{'alone':>9}{'write MB/s':>12}{'read MB/s':>11}")
    for peer, told in rows.items():
        read = f"{told['read_mb_s']:11.4f}" if "read_mb_s" in told else ""
        print(
            f"{peer:<26}{told['archive']:9.4f}{told['alone']:9.3f}{told['write_mb_s']:12.4f}{read}"
        )
    told = rows["quasistatic"]
    print(
        f"net {told['net']:.4f} against the bound along the same {told['steps']} steps "
        f"{told['bound']:.4f} +- {told['bound_stderr']:.4f}; overhead "
        f"{told['overhead_bytes']:,} bytes, which pays off after {told['pays_off']:.3g} images"
    )
    keep(name, rows)


def grow() -> None:
    """Each size in a process of its own, whose peak memory is its own."""
    found = []
    for images in (100, 300, 1000, 3000, 10000):
        words = [sys.executable, __file__, "--one", str(images)]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(said.splitlines()[-1]))
        told = found[-1]
        print(
            f"{images:6} images: {told['seconds']:8.1f} s, {1000 * told['seconds'] / images:6.2f} "
            f"ms an image, peak memory {told['mb']:.0f} MB",
            flush=True,
        )
    keep("grow", found)


def layers(images: int, steps: int = 12) -> None:
    """Real bytes of a layered stream, and the sum of KLs along the same chain."""
    model, x = images_of("binarized-mnist")
    raw = x[:images]
    file = io.BytesIO()
    codec = qs.LayeredCodec(model, steps)
    codec.write(raw, file)
    ideal = qs.diagnostics.progressive.code_progressively(model, raw, None, steps)
    steps_ = list(codec.read(io.BytesIO(file.getvalue())))
    kls = [0.0, *(ideal.bits_per_dim * raw.size / 8).tolist()[1:]]
    found = []
    for step, least in zip(steps_, kls, strict=True):
        error = float(((step.array.astype(float) - raw) ** 2).mean() ** 0.5)
        found.append({"t": step.t, "bytes": step.size, "rmse": error, "ideal_bytes": least})
        print(f"t = {step.t:4}: {step.size:6,} bytes (KLs {least:7.1f}), error {error:.4f}")
    assert np.array_equal(steps_[-1].array, raw), "what was read is not what was written"
    keep("layers", found)
    PICTURE.parent.mkdir(exist_ok=True)
    layered_stream(steps_, raw, (28, 28), kls).savefig(PICTURE, dpi=150)


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "penguins": load_penguins,
    "wine": lambda: sklearn.datasets.load_wine(as_frame=True).frame,
    "diabetes": lambda: sklearn.datasets.load_diabetes(as_frame=True, scaled=False).frame,
}


def parquet(frame: pd.DataFrame) -> int:
    file = io.BytesIO()
    columns = {name: frame[name].astype(object).where(frame[name].notna(), None) for name in frame}
    table = pl.DataFrame({name: column.tolist() for name, column in columns.items()})
    table.write_parquet(file, compression="zstd", compression_level=22)
    return file.tell()


def csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


FRAME_PEERS: dict[str, Callable[[pd.DataFrame], int]] = {
    "CSV": lambda frame: len(csv(frame)),
    "CSV, gzip -9": lambda frame: len(gzip.compress(csv(frame), 9)),
    "CSV, xz -9e": lambda frame: len(lzma.compress(csv(frame), preset=9 | lzma.PRESET_EXTREME)),
    "CSV, zstd -22": lambda frame: len(imagecodecs.zstd_encode(csv(frame), level=22)),
    "Parquet, zstd -22": parquet,
}


def frame_model(frame: pd.DataFrame, train: pd.DataFrame, steps: int) -> qs.Diffusion:
    """A model of the training rows, of the columns as all rows have them."""
    space = Table.infer(frame)
    torch.manual_seed(0)
    model = tabular(space, width=64, depth=2, dropout=0.1)
    rows = space.read(train).float()
    judges = len(rows) // 5
    qs.fit(model, rows[judges:].numpy(), rows[:judges].numpy(), steps=steps, weight_decay=0.05)
    return model


def tables(steps: int) -> None:
    """Bytes of half of the rows, and what of it is the header and what was borrowed."""
    found = {}
    for name, load in FRAMES.items():
        order = np.random.default_rng(0).permutation(len(load()))
        frame = load().iloc[order].reset_index(drop=True)
        train, test = frame[: len(frame) // 2], frame[len(frame) // 2 :]
        model = frame_model(frame, train, steps)
        x, file = model.space.read(test).numpy(), io.BytesIO()
        report = qs.Codec(model, 25, workers=1).write(x, file)
        again = torch.from_numpy(qs.Codec(model, workers=1).decompress(file.getvalue()))
        assert again.numpy().tobytes() == x.tobytes(), "what was read is not what was written"
        pd.testing.assert_frame_equal(
            model.space.write(again), test.reset_index(drop=True), check_dtype=False
        )
        weights = sum(4 * p.numel() for p in model.network.parameters())
        rows = {"quasistatic": report.total, "of it, values": report.payload - report.initial}
        rows |= {"without the model (columns, xz)": report.plain + report.total - report.payload}
        rows |= {peer: size(test) for peer, size in FRAME_PEERS.items()}
        found[name] = rows | {"rows": len(test), "weights": weights, "blocks": report.blocks}
        print(f"\n{name}: {len(test)} rows of {frame.shape[1]} columns, not seen by the model")
        for peer, size in rows.items():
            print(f"{peer:<34}{size:9,} bytes {8 * size / len(test):9.1f} bits a row")
        print(
            f"a model of {weights:,} bytes, on both sides; the stream pays off against the same "
            f"columns without it after {report.pays_off:.0f} rows; blocks: {report.blocks}",
            flush=True,
        )
    keep("tables", found)


def portable(images: int, part: int) -> None:
    """What a stream that any machine reads costs, against one for this arithmetic only. The images
    are written in parts, each both ways: the error is that of the difference, by part."""
    model, x = images_of("digits")
    raw = x[:images].reshape(min(images, len(x)), *model.space.shape)
    net: dict[str, list[float]] = {"native": [], "portable": []}
    found: dict[str, dict[str, float]] = {
        name: {"bytes": 0, "write_s": 0.0, "read_s": 0.0} for name in net
    }
    for first in range(0, len(raw), part):
        rows = raw[first : first + part]
        for name in net:
            codec = qs.Codec(
                model, STEPS["digits"], workers=1, verify=False, portable=name == "portable"
            )
            file, started = io.BytesIO(), time.process_time()
            report = codec.write(rows, file)
            written = time.process_time()
            if first == 0:
                again = codec.decompress(file.getvalue())
                assert np.array_equal(rows, again), "what was read is not what was written"
                found[name]["read_s"] = time.process_time() - written
            found[name]["bytes"] += report.total
            found[name]["write_s"] += written - started
            net[name].append(report.net_bits_per_dim * len(rows))
    native, other = (np.array(net[name]) for name in net)
    for name, bits in net.items():
        found[name]["net_bits_per_dim"] = sum(bits) / len(raw)
        row = found[name]
        print(
            f"{name:<9}{row['bytes']:7,} bytes, {row['net_bits_per_dim']:.4f} bits per dimension "
            f"net, {row['write_s']:.1f} s written; the first {min(part, len(raw))} images read in "
            f"{row['read_s']:.1f} s (CPU)"
        )
    more = other - native
    error = float(more.std(ddof=1) * len(more) ** 0.5) if len(more) > 1 else float("nan")
    found["cost"] = {
        "share": float(more.sum() / native.sum()),
        "stderr": error / float(native.sum()),
        "images": len(raw),
    }
    cost = found["cost"]
    print(f"portable streams take {cost['share']:+.2%} +- {cost['stderr']:.2%} more, net")
    keep(f"portable, {part} images a stream", found)


def one(images: int) -> None:
    """Ten steps, so that it is the codec and not the network that is looked at."""
    model, x = images_of("binarized-mnist")
    started = time.perf_counter()
    qs.Codec(model, 10, block=500, workers=1, verify=False).write(x[:images], io.BytesIO())
    seconds = time.perf_counter() - started
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"images": images, "seconds": seconds, "mb": mb}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--portable", action="store_true")
    parser.add_argument("--part", type=int, default=40, help="images in a portable stream")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--one", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return one(asked.one)
    if asked.grow:
        return grow()
    if asked.portable:
        return portable(asked.images, asked.part)
    if asked.layers:
        return layers(min(asked.images, 100))
    if asked.tables:
        return tables(asked.steps)
    for name in asked.sets:
        table(name, asked.images, asked.workers)


if __name__ == "__main__":
    main()
