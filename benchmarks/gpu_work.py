"""The parts of `benchmarks/gpu.py` that use the device; each runs in a process of its own.

Each prints JSON objects on lines that begin with RESULT. The last one counts, so a process that is
stopped has reported what it found before.
"""

import argparse
import contextlib
import fcntl
import json
import os
import statistics
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent / "tests")]


def answer(**facts: Any) -> None:
    print("\nRESULT " + json.dumps(facts), flush=True)


@contextlib.contextmanager
def alone(lock: str) -> Iterator[None]:
    """The GPU for this process alone, among the script's own."""
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def finish(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def timed(work: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds a call, the median of as many as fit."""
    work(), finish(device)
    times, until = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < until:
        started = time.perf_counter()
        work(), finish(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def correctness(asked: argparse.Namespace) -> None:
    """One share of the cases."""
    import numpy as np
    import torch

    from device_cases import CASES, ask, build, verbs

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    names = list(CASES)[asked.part :: asked.parts]
    if asked.tiny:
        names = names[:1]
    found: list[dict[str, Any]] = []
    with pretended(asked.device) as device:
        for name in names:
            case, there = build(name), build(name)
            there.model.to(device)
            questions = verbs(there)
            for verb, question in verbs(case).items():
                row: dict[str, Any] = {"case": name, "verb": verb}
                try:
                    mine, other = ask(question), ask(questions[verb])
                    if isinstance(mine, str) or isinstance(other, str):
                        row["refused"] = isinstance(mine, str)
                        row["same"] = type(mine) is type(other) and (str(mine) == str(other))
                    elif mine.shape != other.shape:
                        row["same"] = False
                    else:
                        gap = np.abs(mine - other) / (1 + np.abs(mine))
                        gap = gap[~((mine == other) | (np.isnan(mine) & np.isnan(other)))]
                        row["error"] = float(gap.max()) if gap.size else 0.0
                        row["same"] = bool(row["error"] < 1e-6)
                except Exception:
                    row["same"], row["failed"] = False, traceback.format_exc()[-900:]
                found.append(row)
            answer(rows=found)


@contextlib.contextmanager
def pretended(device: str) -> Iterator[str]:
    """The device; `pretend` is the tests' device, which needs no GPU."""
    if device != "pretend":
        yield device
        return
    from pretend_device import pretending

    with pretending() as pretend:
        yield pretend.type


def subject(name: str, tiny: bool) -> tuple[Any, Any, Any, int]:
    """A model, data of its shape, an objective and a batch."""
    import numpy as np
    import torch

    import quasistatic as qs

    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    if name == "binarized":
        width, rows = (8, 256) if tiny else (48, 8192)
        x = (draw.random((rows, 28, 28)) < 0.2).astype(np.float32)
        parts = {"attention": (1,), "outputs": 2, "patch": 2, "framed": True}
        network = qs.networks.UNet((28, 28), width, (1, 2), 1, **parts)
        kernel = qs.BinomialKernel(qs.schedules.erase_evenly(1000))
        model = qs.Diffusion(qs.Binary((28, 28)), kernel, qs.Levels(), network)
        return model, x, qs.Bound(), 8 if tiny else 256
    size, rows = (8, 64) if tiny else (32, 4096)
    x = draw.integers(0, 256, (rows, 3, size, size), dtype=np.uint8)
    shape = (3, size, size)
    if name == "cifar-levels":
        network = qs.networks.UNet(shape, 8 if tiny else 64, outputs=9)
        kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(1000, 12.0, -6.0))
        space = qs.Quantized(shape, 256, spread=2.0)
        return qs.Diffusion(space, kernel, qs.Levels(3), network), x, qs.Bound(), 4 if tiny else 128
    network = qs.networks.UNet(shape, 8 if tiny else 128, dropout=0.1)
    kernel = qs.GaussianKernel(qs.schedules.linear(1000))
    head = qs.Noise(qs.FixedLarge())
    model = qs.Diffusion(qs.Quantized(shape), kernel, head, network)
    return model, x, qs.Simple(), 4 if tiny else 128


def step(asked: argparse.Namespace) -> None:
    """One way to compute the training step of one model: `model:precision:compile:graphs`."""
    import torch

    import quasistatic as qs
    from quasistatic.training.data_loader import as_source
    from quasistatic.training.distributed import Engine
    from quasistatic.training.loop import Trainer

    name, precision, compiled, graphs = asked.mode.split(":")
    model, x, objective, batch = subject(name, asked.tiny)
    engine = Engine(asked.device)
    engine.place(model)
    how = qs.Fit(
        steps=10**6,
        batch=batch,
        precision=precision,
        compile=compiled,
        cuda_graphs=graphs == "graphs",
        validations=0,
    )
    loop = Trainer(model, objective, engine, how, as_source(model.space, x, torch.float32), None)
    started = time.perf_counter()
    # Compiling takes the CPUs, and can go on beside others.
    quiet = alone(asked.lock) if compiled == "no" else contextlib.nullcontext()
    with quiet, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.begin(None)
        loop.step(), engine.finish()
    first = time.perf_counter() - started
    with alone(asked.lock):
        for _ in range(3):
            loop.step()
        seconds = timed(lambda: many(loop), asked.device, asked.seconds) / 8
        profile = profiled(loop.step, asked.device)
        memory = torch.cuda.max_memory_allocated() / 2**30 if asked.device == "cuda" else None
    answer(
        mode=asked.mode,
        weights=sum(w.numel() for w in model.parameters()),
        batch=batch,
        computed=loop.train_step.function.name,
        warned=[str(each.message)[:300] for each in caught],
        first_seconds=round(first, 1),
        ms=1e3 * seconds,
        images_a_second=batch / seconds,
        loss=loop.state.loss_sum / max(loop.state.loss_count, 1),
        gib=memory,
        **profile,
    )


def many(loop: Any) -> None:
    for _ in range(8):
        loop.step()


def profiled(work: Callable[[], object], device: str, count: int = 8) -> dict[str, Any]:
    """Launches and waits of the host a call, and the share of the time in which the GPU is busy."""
    import torch

    if not device.startswith("cuda"):
        return {}
    from torch.profiler import ProfilerActivity, profile

    try:
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            started = time.perf_counter()
            for _ in range(count):
                work()
            finish(device)
            wall = time.perf_counter() - started
        events = seen.key_averages()
        launches = sum(e.count for e in events if "LaunchKernel" in e.key or "GraphLaunch" in e.key)
        waits = sum(
            e.count
            for e in events
            if e.key in ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
        )
        kernels = [e for e in seen.events() if e.device_type == torch.autograd.DeviceType.CUDA]
        busy = sum(e.device_time_total for e in kernels) / 1e6
        facts = {
            "launches": launches / count,
            "waits": (waits - 1) / count,
            "busy_ms": 1e3 * busy / count,
            "busy_share_profiled": busy / wall,
        }
    except Exception as error:
        facts = {"profile_failed": repr(error)[:200]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        for _ in range(count):
            work()
        torch.cuda.set_sync_debug_mode("default")
    facts["sync_warnings"] = sum("synchroniz" in str(w.message) for w in caught) / count
    return facts


def network(asked: argparse.Namespace) -> None:
    """A network alone, forward and backward: ours, or diffusers' U-Net."""
    import torch

    name, precision, compiled, graphs = asked.mode.split(":")
    if name == "diffusers":
        from diffusers import UNet2DModel

        size, batch = (8, 4) if asked.tiny else (32, 128)
        channels = (8, 16) if asked.tiny else (128, 256, 256, 256)
        downs = ["DownBlock2D"] * len(channels)
        ups = ["UpBlock2D"] * len(channels)
        if not asked.tiny:
            downs[1], ups[-2] = "AttnDownBlock2D", "AttnUpBlock2D"
        groups = {"norm_num_groups": 8} if asked.tiny else {}
        net = UNet2DModel(
            size,
            3,
            3,
            block_out_channels=channels,
            down_block_types=tuple(downs),
            up_block_types=tuple(ups),
            **groups,
        )
        net = net.to(asked.device, memory_format=torch.channels_last)
        x = torch.randn(batch, 3, size, size, device=asked.device)
        x = x.to(memory_format=torch.channels_last)
        t = torch.randint(1000, (batch,), device=asked.device)
        inner = torch.compile(net) if compiled == "yes" else net

        def output() -> torch.Tensor:
            return inner(x, t).sample

    else:
        model, _, _, batch = subject(name.removesuffix("-network"), asked.tiny)
        model.to(asked.device)
        net = model.network
        x = model.blank(batch)
        t = torch.rand(batch, device=asked.device)
        inner = torch.compile(net) if compiled == "yes" else net

        def output() -> torch.Tensor:
            return inner(x, t)

    optimizer = torch.optim.AdamW(net.parameters(), fused=asked.device != "pretend")
    is_peer = name == "diffusers"

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        enabled = precision == "bf16"
        with torch.autocast(asked.device, torch.bfloat16, enabled=enabled):
            out = output()
        (out.float() ** 2).mean().backward()
        if is_peer:  # a whole training step of theirs
            optimizer.step()

    def captured() -> Callable[[], object]:
        """The same as one CUDA graph."""
        from quasistatic.training.distributed import Engine

        def gradients() -> torch.Tensor:
            work()
            return x

        return Engine(asked.device).capture(gradients)[0]

    started = time.perf_counter()
    work(), finish(asked.device)
    first = time.perf_counter() - started
    with alone(asked.lock):
        work = captured() if graphs == "graphs" else work
        seconds = timed(work, asked.device, asked.seconds)
        profile = profiled(work, asked.device)
    answer(
        mode=asked.mode,
        weights=sum(w.numel() for w in net.parameters()),
        batch=batch,
        first_seconds=round(first, 1),
        ms=1e3 * seconds,
        images_a_second=batch / seconds,
        **profile,
    )


def verbs_(asked: argparse.Namespace) -> None:
    """Images a second of each verb, on binarized MNIST's U-Net, and of its network alone."""
    import torch

    import quasistatic as qs

    model, x, _, _ = subject("binarized", asked.tiny)
    model.to(asked.device).eval()
    few, times, evaluations = (16, 5, 2) if asked.tiny else (8192, 50, 16)
    rows = x[: 32 if asked.tiny else 8192]
    rng = torch.Generator(asked.device)
    facts: dict[str, Any] = {"chunk": model.chunk_size}

    def note(name: str, count: float, work: Callable[[], object], warm: object = None) -> None:
        """One call to warm up, and one that is timed."""
        try:
            with alone(asked.lock):
                (warm or work)()  # type: ignore[operator]
                finish(asked.device)
                started = time.perf_counter()
                work()
                finish(asked.device)
                facts[name] = count / (time.perf_counter() - started)
        except Exception:
            facts[name] = None
            facts[f"{name}_failed"] = traceback.format_exc()[-900:]
        answer(**facts)

    with torch.no_grad():
        for batch in (16,) if asked.tiny else (334, 1024, 4096, 8192):
            blank = model.blank(batch)
            t = torch.ones(batch, device=asked.device, dtype=torch.long)

            def evaluate(blank: Any = blank, t: Any = t) -> None:
                for _ in range(8):
                    model.output(blank, t)

            note(f"network_evaluations_a_second_{batch}", 8 * batch, evaluate)
    for name, count in (("images_drawn_a_second", few), ("few_images_drawn_a_second", few // 8)):
        note(
            name,
            count,
            lambda count=count: model.sample(count, times, rng),  # type: ignore[misc]
            lambda count=count: model.sample(count, 2, rng),  # type: ignore[misc]
        )
    note(
        "evaluations_scored_a_second",
        len(rows) * evaluations,
        lambda: model.score(rows, evaluations, rng=rng),
        lambda: model.score(rows, 1, rng=rng),
    )
    some = x[: 4 if asked.tiny else 64]
    mask = (torch.arange(784).reshape(28, 28) % 2 == 0).expand(len(some), 28, 28)

    def complete(steps: int) -> object:
        return model.complete(some, mask, 4, steps, rng, method=qs.SMC(16))

    note("images_completed_a_second", len(some), lambda: complete(times), lambda: complete(2))
    with alone(asked.lock):
        facts["sample_call"] = profiled(lambda: model.sample(few // 8, times, rng), asked.device, 1)
        facts["score_call"] = profiled(lambda: model.score(rows, 4, rng=rng), asked.device, 1)
    answer(**facts)
    packed = x[: 4 if asked.tiny else 32].astype("uint8")
    streams: list[bytes] = []
    note(
        "images_compressed_a_second",
        len(packed),
        lambda: streams.append(model.compress(packed, times)),
        lambda: model.compress(packed[:2], 2),
    )
    if streams:
        note(
            "images_decompressed_a_second",
            len(packed),
            lambda: model.decompress(streams[-1]),
            lambda: None,
        )


def levels(asked: argparse.Namespace) -> None:
    """Milliseconds that the head of 256 levels takes for a batch of 128 CIFAR images, forward and
    backward, by the fused kernels and by PyTorch."""
    import torch

    from quasistatic.distributions import Lattice, LogisticMixture, moments

    rows = 1000 if asked.tiny else 128 * 3072
    values = torch.linspace(-1, 1, 256, device=asked.device)
    draw = torch.Generator(asked.device).manual_seed(0)
    logistics = torch.randn(rows, 9, generator=draw, device=asked.device, requires_grad=True)
    logits = torch.randn(rows // 8, 256, generator=draw, device=asked.device, requires_grad=True)

    def mixture() -> None:
        parameters = logistics.unflatten(1, (3, 3)).unbind(1)
        law = LogisticMixture(*parameters, values).tilt(logistics[:, 0], logistics[:, 1].exp())
        (law.mean.sum() + law.variance.sum()).backward()

    def table() -> None:
        law = Lattice(logits, values).tilt(logits[:, 0], logits[:, 1].exp())
        (law.mean.sum() + law.variance.sum()).backward()

    found: dict[str, Any] = {"rows of mixtures": rows, "rows of tables": rows // 8}
    kernels = moments._working_kernels
    device = torch.device(asked.device)
    found["fused kernels"] = device.type == "cuda" and kernels(device) is not None
    for name, work in {"mixture of 3": mixture, "table": table}.items():
        with alone(asked.lock):
            if found["fused kernels"]:
                found[f"{name}, fused, ms"] = 1e3 * timed(work, asked.device, asked.seconds)
            moments._working_kernels = lambda device: None
            found[f"{name}, PyTorch, ms"] = 1e3 * timed(work, asked.device, asked.seconds)
            moments._working_kernels = kernels
    answer(**found)


def weights(asked: argparse.Namespace) -> None:
    """The bound on binarized MNIST's test images, by the weights of a folder."""
    import numpy as np
    import torch

    import quasistatic as qs
    from quasistatic.data import binarized_mnist

    rows = binarized_mnist().test
    found = {}
    folders = sorted((Path(asked.data) / "weights").glob("*binarized*"))
    for name, load in [("shipped", lambda: qs.load_pretrained("binarized-mnist"))] + [
        (folder.name, lambda folder=folder: qs.load(folder)) for folder in folders
    ]:
        started = time.perf_counter()
        model = load().to(asked.device)
        some = rows[:: len(rows) // 20] if asked.tiny else rows
        score = model.score(some, 2 if asked.tiny else 32, rng=torch.Generator(asked.device))
        nats = score.nats.cpu().numpy().astype(np.float64)
        found[name] = {
            "images": len(nats),
            "nats": float(nats.mean()),
            "stderr_over_images": float(nats.std(ddof=1) / len(nats) ** 0.5),
            "seconds": time.perf_counter() - started,
        }
    answer(**found)


def recipe_of(mode: str, how: dict[str, Any], tiny: bool) -> Any:
    """The recipe of a name, with the settings of a GPU."""
    from quasistatic.recipes import MNIST, RECIPES, BinarizedMNIST
    from quasistatic.training.config import Fit

    settings = Fit(steps=10, **how)
    if mode == "binarized-mnist":
        return BinarizedMNIST(width=8 if tiny else 52, fit=settings)
    if mode.startswith("mnist"):
        given = "label" if mode == "mnist-label" else None
        start = "law" if mode == "mnist-law" else "none"
        return MNIST(width=8 if tiny else 48, given=given, start=start, fit=settings)
    kind = RECIPES[mode]
    return kind(fit=settings) if mode != "latent-bark" else kind(fit=settings, coder=settings)


SETTINGS: dict[str, dict[str, Any]] = {
    "binarized-mnist": {"weight_decay": 0.05},
    "mnist-label": {"condition_dropout": 0.25},
    "mnist-law": {"batch": 256, "warmup": 100, "ema": 0.998},
    "dit-mnist": {"batch": 256, "warmup": 100, "ema": 0.998, "lr": 1e-3},
    "latent-bark": {"batch": 32, "lr": 1e-3, "ema": 0.998, "warmup": 100},
}
"""What differs from the settings of the recipe `mnist`."""


def train(asked: argparse.Namespace) -> None:
    """One recipe for some minutes, and what it reaches on the test images."""
    import numpy as np
    import torch

    from quasistatic._utils import serialization
    from quasistatic.recipes import runs as recipes_runs
    from quasistatic.training.config import Fit
    from quasistatic.training.fitting import fit

    began = time.monotonic()
    tiny = asked.tiny
    how: dict[str, Any] = {
        "batch": 1024,
        "lr": 2e-3,
        "warmup": 300,
        "weight_decay": 0.01,
        "ema": 0.9995,
        "validations": 10,
        "evaluations": 4,
        # Eager steps in a CUDA graph, in the precision that is faster: compiling takes a minute.
        "precision": "auto",
        "compile": "no",
        "save_every": 30.0,
    } | SETTINGS.get(asked.mode, {})
    if tiny:
        how |= {"batch": 16, "warmup": 5, "ema": 0.9, "validations": 2, "evaluations": 2}
        how["precision"] = "float32"
    recipe = recipe_of(asked.mode, how, tiny)
    experiment = recipes_runs.build(recipe)
    data, labels = experiment.data, experiment.given
    reserve = 12.0 if tiny else 25.0  # for the score and the figures
    minutes = max(asked.seconds - (time.monotonic() - began) - reserve, 5.0) / 60
    folder = Path(tempfile.mkdtemp()) / asked.mode
    parts = (data.train, data.valid, labels and labels.train, labels and labels.valid)
    if isinstance(data.train, np.ndarray):
        sizes = (500, 40) if tiny else (len(data.train), 5000)
        parts = tuple(x if x is None else x[: sizes[i % 2]] for i, x in enumerate(parts))
    model, objective = experiment.model, experiment.objective
    if experiment.first is not None:  # an autoencoder, for half of the time
        minutes /= 2
        first = experiment.first
        fit(
            first.model,
            *parts[:2],
            objective=first.objective,
            run=folder / "autoencoder",
            settings=Fit(**how),
            minutes=minutes,
            device=asked.device,
            progress=False,
        )
        model, law = first.second(first.model.cpu())
        print(law, flush=True)
    run = fit(
        model,
        *parts[:2],
        given=parts[2],
        valid_given=parts[3],
        objective=objective,
        run=folder,
        about={"recipe": serialization.describe(recipe)},
        settings=Fit(**how),
        minutes=minutes,
        device=asked.device,
        progress=False,
    )
    trained = time.monotonic() - began
    facts = {
        "steps": run.step,
        "best_step": run.best_step,
        "minutes": minutes,
        "seconds": trained,
        "weights": sum(w.numel() for w in model.parameters()),
        "speed": run.speed,
        "metrics": run.metrics,
    }
    keep(folder, Path(asked.out) / f"{asked.mode}.tar")
    answer(**facts)
    rng = torch.Generator(asked.device)
    rows = data.test[:: len(data.test) // 20] if tiny else data.test
    given = None if labels is None else labels.test[: len(rows)]
    score = model.score(rows, 2 if tiny else 32, rng=rng, given=given)
    nats = score.nats.cpu().numpy().astype(np.float64)
    facts |= {
        "images": len(nats),
        "nats": float(nats.mean()),
        "stderr_over_images": float(nats.std(ddof=1) / len(nats) ** 0.5),
        "bits_per_dim": float(-nats.mean() / rows[0].size / np.log(2)),
    }
    answer(**facts)
    try:
        from quasistatic.reporting import figures

        count, times = (9, 5) if tiny else (64, 250)
        classes = None if labels is None else np.arange(count) % 10
        drawn = model.sample(count, times, rng, given=classes).cpu().numpy()
        largest = 1 if asked.mode == "binarized-mnist" else 255
        figure = figures.image_grid(drawn, drawn.shape[1:], limits=(0, largest))
        figure.savefig(Path(asked.out) / f"{asked.mode}.png", dpi=120)
    except Exception:
        facts["figure_failed"] = traceback.format_exc()[-900:]
    answer(**facts)


def keep(folder: Path, path: Path) -> None:
    """The run as one file, without the checkpoint that training would go on from."""

    def wanted(each: tarfile.TarInfo) -> tarfile.TarInfo | None:
        again = each.name.endswith("autoencoder/model.safetensors")  # it is in the model's own file
        return None if again or "checkpoint" in each.name else each

    with tarfile.open(path, "w") as tar:
        tar.add(folder, folder.name, filter=wanted)


CHILDREN: dict[str, Callable[[argparse.Namespace], None]] = {
    "correctness": correctness,
    "step": step,
    "network": network,
    "levels": levels,
    "verbs": verbs_,
    "weights": weights,
    "train": train,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that the parent passes on."""
    parser.add_argument("--data", default=os.environ.get("QUASISTATIC_DATA", "data"))
    parser.add_argument("--out", default=str(HERE / "results" / "gpu"))
    parser.add_argument("--device", default="cuda", help="cuda, cpu or pretend (tests)")
    parser.add_argument("--tiny", action="store_true", help="small, to try the script itself")


def main() -> None:
    parser = argparse.ArgumentParser(description="One part of gpu.py, which starts it.")
    add_arguments(parser)
    parser.add_argument("child", choices=list(CHILDREN))
    parser.add_argument("--mode", default="")
    parser.add_argument("--lock", required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    asked = parser.parse_args()
    CHILDREN[asked.child](asked)


if __name__ == "__main__":
    main()
