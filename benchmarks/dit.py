"""A training step of a transformer, beside the same arithmetic in a bare PyTorch loop, in turns.

    python benchmarks/dit.py

The bare network is written with `torch.nn.functional` alone; it has the same weights and gives the
same outputs, which is checked first. A step is a forward and a backward pass of the mean squared
error of the noise, clipping, AdamW and the running mean of the weights: 28 x 28 images, patches of
4, width 144, 4 blocks, 4 heads, a batch of 32. The command prints the CPU seconds of a step of each
and the median of the ratios, for the whole step and for the network alone.
"""

import argparse
import copy
import math
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import quasistatic as qs
from quasistatic.networks import DiT
from quasistatic.training.config import Fit
from quasistatic.training.data_loader import as_source
from quasistatic.training.distributed import Engine
from quasistatic.training.loop import Trainer

SHAPE, PATCH, WIDTH, DEPTH, HEADS, BATCH, T = (28, 28), 4, 144, 4, 4, 32, 1000
ROUNDS, STEPS = 7, 5


def network() -> DiT:
    torch.manual_seed(0)
    made = DiT(SHAPE, WIDTH, DEPTH, HEADS, patch=PATCH)
    with torch.no_grad():  # zero at the start: some numbers, so that outputs can be compared
        for weight in made.parameters():
            weight += 0.02 * torch.randn_like(weight)
    return made


class Bare(nn.Module):
    """The arithmetic of the transformer, line by line."""

    def __init__(self, other: DiT) -> None:
        super().__init__()
        # The weights by their names, with underscores, as parameters of this module.
        for name, weight in other.named_parameters():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(weight.detach().clone()))
        self.register_buffer("place", other.place.clone())

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias"))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        half, side = WIDTH // 2, SHAPE[0] // PATCH
        angle = 1000 * time[:, None] * 1e-4 ** (torch.arange(half, dtype=x.dtype) / half)
        code = torch.cat([angle.sin(), angle.cos()], 1)
        code = F.silu(self.linear("time_2", F.silu(self.linear("time_0", code))))
        patches = x.view(-1, side, PATCH, side, PATCH).permute(0, 1, 3, 2, 4)
        h = self.linear("read_in", patches.reshape(len(x), side * side, PATCH * PATCH)) + self.place
        for k in range(DEPTH):
            own = f"blocks_{k}"
            numbers = self.linear(f"{own}_modulation_linear", code)[:, None].chunk(6, -1)
            shift, scale, gate, shift_2, scale_2, gate_2 = numbers
            inner = F.layer_norm(h, (WIDTH,), eps=1e-6) * (1 + scale) + shift
            read = self.linear(f"{own}_read", inner).view(len(x), side * side, 3, HEADS, -1)
            query, key, value = read.permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(query, key, value)
            h = h + gate * self.linear(f"{own}_write", seen.transpose(1, 2).flatten(2))
            inner = F.layer_norm(h, (WIDTH,), eps=1e-6) * (1 + scale_2) + shift_2
            hidden = F.gelu(self.linear(f"{own}_expand", inner), approximate="tanh")
            h = h + gate_2 * self.linear(f"{own}_contract", hidden)
        shift, scale = self.linear("modulation_linear", code)[:, None].chunk(2, -1)
        out = self.linear("read_out", F.layer_norm(h, (WIDTH,), eps=1e-6) * (1 + scale) + shift)
        out = out.view(len(x), side, side, PATCH, PATCH).permute(0, 1, 3, 2, 4)
        return out.reshape(x.shape)[..., None]


def images() -> Tensor:
    return torch.randn(4096, *SHAPE, generator=torch.Generator().manual_seed(0))


def our_step(x: Tensor) -> Callable[[], None]:
    kernel = qs.GaussianKernel(qs.schedules.linear(T))
    model = qs.Diffusion(qs.Continuous(SHAPE), kernel, qs.Noise(), network())
    how = Fit(steps=10**9, batch=BATCH, lr=1e-3, weight_decay=0.01, validations=0, warmup=0)
    source = as_source(model.space, x, torch.float32)
    trainer = Trainer(model, qs.Simple(), Engine("cpu"), how, source, None)
    return trainer.step


def bare_step(x: Tensor) -> Callable[[], None]:
    net = Bare(network())
    weights = list(net.parameters())
    mean = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.01, fused=True)
    beta = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    alpha_bar = (1 - beta).cumprod(0)
    signal, noise = alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()

    def step() -> None:
        x_0 = x[torch.randint(len(x), (BATCH,))]
        t = torch.randint(T, (BATCH,))
        eps = torch.randn_like(x_0)
        x_t = signal[t].view(-1, 1, 1) * x_0 + noise[t].view(-1, 1, 1) * eps
        loss = F.mse_loss(net(x_t, (t + 1) / T)[..., 0], eps)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0, foreach=True)
        optimizer.step()
        torch._foreach_lerp_(mean, weights, 0.001)

    return step


def passes(net: nn.Module, x: Tensor) -> Callable[[], None]:
    """A forward and a backward pass."""
    some, time_ = x[:BATCH], torch.linspace(0.01, 1, BATCH)

    def step() -> None:
        net.zero_grad()
        net(some, time_).square().mean().backward()

    return step


def compared(name: str, first: Callable[[], None], second: Callable[[], None]) -> None:
    """Both in turns, by CPU time."""
    seconds: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for which, step in enumerate((first, second)):
            step()
            began = time.process_time()
            for _ in range(STEPS):
                step()
            seconds[which].append((time.process_time() - began) / STEPS)
    ours, bare = (1000 * min(each) for each in seconds)
    ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
    print(f"{name}: {ours:.1f} ms, bare {bare:.1f} ms, ratio {ratio:.3f} (median of {ROUNDS})")


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    torch.set_num_threads(1)
    x, net = images(), network()
    bare, time_ = Bare(net), torch.linspace(0.01, 1, BATCH)
    with torch.no_grad():
        apart = (net(x[:BATCH], time_) - bare(x[:BATCH], time_)).abs().max().item()
    print(f"largest difference of the outputs: {apart:.1e}")
    if not apart < 1e-4 or math.isnan(apart):
        raise SystemExit("the two networks are not the same arithmetic")
    compared("network, forward and backward", passes(net, x), passes(copy.deepcopy(bare), x))
    compared("training step", our_step(x), bare_step(x))


if __name__ == "__main__":
    main()
