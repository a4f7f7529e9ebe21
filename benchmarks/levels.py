"""What 256 levels cost in training, beside the network's own step.

    python benchmarks/levels.py

For each way to say a byte: the CPU seconds and the peak of extra memory of the head's part of a
step (the loss given the network's output, forward and backward) on one thread, and its share of
the step of a U-Net of about 390 MFLOP a forward image of 28x28. The first tenth of the rows end
the chain. Keeps all of it in benchmarks/results/levels.json.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import quasistatic as qs
from quasistatic.distributions import total

ROUNDS, TARGET, STEPS = 4, 0.5, 1000
CASES = {"64 of 28x28": (64, (28, 28)), "16 of 3x32x32": (16, (3, 32, 32))}
WAYS = {
    "Levels(mixtures=1)": (qs.Quantized, qs.Levels(1)),
    "Levels(mixtures=3)": (qs.Quantized, qs.Levels(3)),
    "Levels(mixtures=5)": (qs.Quantized, qs.Levels(5)),
    "Levels(mixtures=10)": (qs.Quantized, qs.Levels(10)),
    "Levels(), a free table": (qs.Quantized, qs.Levels()),
    "discretised decoder": (qs.Quantized, qs.Velocity(qs.FixedLarge())),
    "dequantised": (qs.Dequantized, qs.Velocity()),
}
KERNEL = qs.GaussianKernel(qs.schedules.linear_log_snr(STEPS, 12.0, -7.0))


def least_seconds(work: Callable[[], object]) -> float:
    """CPU time of a call: the least of several, as other work on the machine only adds to it."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def peak_mib(work: Callable[[], object]) -> float:
    """The most memory that a call holds at once beyond what there was, in MiB."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = (e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]")
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20


def head_step(way: str, n: int, shape: tuple[int, ...]) -> Callable[[], None]:
    """The part of a training step that is the head's, for an output that is there already."""
    make, head = WAYS[way]
    space = make(shape, 256)
    head, rng = head.bind(space, KERNEL), torch.Generator().manual_seed(0)
    x_0 = space.encode(torch.randint(256, (n, *shape), generator=rng).float(), rng)
    t = torch.randint(2, STEPS + 1, (n,), generator=rng)
    t[: n // 10] = 1
    x_t = KERNEL.marginal(x_0, t).sample(rng)
    output = torch.randn(n, *shape, head.outputs, generator=rng).requires_grad_()

    def loss() -> Tensor:
        last = t == 1
        parts = (output[~last], x_t[~last], x_0[~last], t[~last] - 1, t[~last])
        kl = total(head.divergence(KERNEL, *parts)).sum()
        if space.levels is None:
            return kl
        p = head.last(KERNEL, output[last], x_t[last], t[last])
        return kl - total(space.log_prob(p, x_0[last])).sum()

    def work() -> None:
        output.grad = None
        loss().backward()

    return work


def network_step(n: int, shape: tuple[int, ...]) -> Callable[[], None]:
    """Forward and backward of the network alone, one output a value."""
    network = qs.networks.UNet(shape, width=32, multiples=(1, 2, 2), blocks=1)
    x, share = torch.randn(n, *shape), torch.rand(n)
    return lambda: network(x, share).square().sum().backward()


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for case, (n, shape) in CASES.items():
        network = least_seconds(network_step(n, shape))
        print(f"{case}: the network's step takes {network:.2f} s")
        print(f"{'way':>24}{'seconds':>10}{'of a step':>11}{'MiB':>7}")
        for way in WAYS:
            work = head_step(way, n, shape)
            work()  # warm up
            took = least_seconds(work)
            row = {"case": case, "way": way, "seconds": took, "of_a_step": took / network}
            rows.append(row | {"network_seconds": network, "peak_mib": peak_mib(work)})
            print(f"{way:>24}{took:>10.3f}{took / network:>11.2f}{rows[-1]['peak_mib']:>7.0f}")
    print(f"target: less than {TARGET} of a step at 28x28")
    path = Path(__file__).parent / "results" / "levels.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
