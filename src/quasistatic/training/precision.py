"""How a network computes while it trains, and which way of it is fastest on this machine."""

__all__ = ["Arithmetic", "fastest"]

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ROUNDS = 3
WORTH = 0.95
"""What leaves float32 behind must take at most this share of its time."""

AUTOCAST = {"float32": None, "bf16": torch.bfloat16}
COMPILED = {"no": False, "yes": True}


@dataclass(frozen=True)
class Arithmetic:
    """One way to compute.

    Args:
        precision: `float32` leaves the network as it is; `bf16` runs it under autocast, which
            multiplies in bfloat16 and leaves the weights alone. Either gives its output in the
            type of its input.
        compile: `yes` if torch.compile makes code of it, `no` if not.
    """

    precision: str = "float32"
    compile: str = "no"

    def __str__(self) -> str:
        return self.precision + (" compiled" if COMPILED[self.compile] else "")

    @classmethod
    def candidates(cls, precision: str, compile: str) -> list["Arithmetic"]:
        """The ways to choose among, float32 and uncompiled first; "auto" leaves a choice open."""
        precisions = list(AUTOCAST) if precision == "auto" else [precision]
        compiles = list(COMPILED) if compile == "auto" else [compile]
        return [cls(p, c) for c in compiles for p in precisions]

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network that computes so, with the same weights; itself where nothing changes."""
        dtype = AUTOCAST[self.precision]
        inner = network if dtype is None else _Autocast(network, dtype)
        return torch.compile(inner) if COMPILED[self.compile] else inner  # type: ignore[return-value]


class _Autocast(nn.Module):
    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.dtype):
            output = self.network(x, time)
        return output.to(x.dtype)


def fastest(
    candidates: Sequence[Arithmetic], begin: Callable[[Arithmetic], Callable[[], None]]
) -> tuple[Arithmetic, dict[str, float | None]]:
    """The candidate with the fastest step, and the seconds of a step of each by its name: None
    where torch.compile fails. Another than the first is taken only where it is clearly faster; one
    by itself is taken untried, unless it has to be compiled.

    Args:
        begin: makes the step of a candidate; a step has to end before its call does.

    Raises:
        RuntimeError: if no candidate is left because torch.compile fails.
    """
    if len(candidates) == 1 and not COMPILED[candidates[0].compile]:
        return candidates[0], {}
    seconds: dict[str, float] = {}
    error: RuntimeError | None = None
    for each in candidates:
        seconds[str(each)] = math.inf
        try:
            step = begin(each)
            step()  # the first one compiles, and fills caches
        except RuntimeError as raised:
            if not COMPILED[each.compile]:
                raise
            error = raised
            continue
        seconds[str(each)] = _seconds(step, enough=2 * min(seconds.values()))
    if error is not None and min(seconds.values()) == math.inf:
        raise RuntimeError(
            "torch.compile does not work here: it needs a C++ compiler (g++ or clang++) and a "
            f"network that it can read; train with compile='no' ({_first_line(error)})"
        ) from error
    first, best = candidates[0], min(candidates, key=lambda each: seconds[str(each)])
    chosen = best if seconds[str(best)] <= WORTH * seconds[str(first)] else first
    return chosen, {name: s if s < math.inf else None for name, s in seconds.items()}


def _seconds(step: Callable[[], None], enough: float) -> float:
    """The shortest of a few steps; the first suffices where it took longer than `enough`."""
    shortest = math.inf
    for _ in range(ROUNDS):
        started = time.perf_counter()
        step()
        shortest = min(shortest, time.perf_counter() - started)
        if shortest > enough:
            break
    return shortest


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
