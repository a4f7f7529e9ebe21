"""What the library adds to a training step: the same arithmetic in a bare PyTorch loop, in turns.

    python benchmarks/overhead.py

Prints the time of a step of each (3 x 256 MLP, 2-D data, batch 512, AdamW, clipping, running mean
of the weights) and their ratio, and keeps both in benchmarks/results/overhead.json.
"""

import json
import math
import statistics
import time
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

import quasistatic as qs

STEPS, ROUNDS, BATCH, T = 200, 9, 512, 1000


class Plain(nn.Module):
    """Three hidden layers of 256: the least arithmetic, so that what is added shows the most."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [3, 256, 256, 256, 2]
        layers = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.SiLU())]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.layers(torch.cat([x, time[:, None]], 1))[..., None]


def network() -> Plain:
    torch.manual_seed(0)
    return Plain()


def ours(x: Tensor) -> float:
    """Seconds a step of qs.fit."""
    kernel = qs.GaussianKernel(qs.schedules.linear(T))
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Noise(), network())
    started = time.perf_counter()
    qs.fit(model, x, steps=STEPS, batch=BATCH, validations=1)
    return (time.perf_counter() - started) / STEPS


def bare(x: Tensor) -> float:
    """Seconds a step of a loop that does the same by hand."""
    net = network()
    weights = list(net.parameters())
    mean = [w.detach().clone() for w in weights]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.01, fused=True)
    beta = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
    snr = alpha_bar / (1 - alpha_bar)
    signal, noise = alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()
    drop = (snr[:-1] - snr[1:]).float()
    started = time.perf_counter()
    for step in range(STEPS):
        net.train()
        x_0 = x[torch.randint(len(x), (BATCH,))]
        t = 2 + ((torch.randperm(BATCH) + torch.rand(1)) / BATCH * (T - 1)).long()
        eps = torch.randn_like(x_0)
        a, s = signal[t][:, None], noise[t][:, None]
        x_t = a * x_0 + s * eps
        x_hat = (x_t - s * net(x_t, t / T)[..., 0]) / a
        loss = 0.5 * (T - 1) * (drop[t - 1] * ((x_0 - x_hat) ** 2).sum(1)).mean()
        if not math.isfinite(loss.item()):
            raise RuntimeError(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        optimizer.step()
        torch._foreach_lerp_(mean, [w.detach() for w in weights], 0.01)
    return (time.perf_counter() - started) / STEPS


def main() -> None:
    x = torch.from_numpy(qs.data.swiss_roll(20_000)).float()
    ours(x), bare(x)  # warm up both
    pairs = [(ours(x), bare(x)) for _ in range(ROUNDS)]
    result = {
        "ours_ms": 1e3 * statistics.median(a for a, _ in pairs),
        "bare_ms": 1e3 * statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
        "ratio_range": [min(a / b for a, b in pairs), max(a / b for a, b in pairs)],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(f"quasistatic {result['ours_ms']:.2f} ms a step, bare loop {result['bare_ms']:.2f} ms")
    low, high = result["ratio_range"]
    print(f"ratio {result['ratio']:.3f} (pairs from {low:.3f} to {high:.3f}); target 1.15")
    path = Path(__file__).parent / "results" / "overhead.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
