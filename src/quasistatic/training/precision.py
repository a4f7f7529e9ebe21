"""How a training step is computed (float32 or bf16, compiled or not), and which is fastest here."""

__all__ = ["ComputeMode", "fastest"]

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ROUNDS = 3
"""Steps by which a mode is timed."""

WORTH = 0.95
"""A mode other than the first is taken only if the run then takes at most this share of the time
that it takes in the first."""

COMPILE_SECONDS = 20.0
"""The least time that torch.compile takes for a network of some size. Nothing is compiled where
half of what is left of the run is less than that."""

AUTOCAST = {"float32": None, "bf16": torch.bfloat16}
COMPILED = {"no": False, "yes": True}


@dataclass(frozen=True)
class ComputeMode:
    """One way to compute a training step.

    Args:
        precision: "float32" leaves the network as it is; "bf16" runs it under autocast, which
            multiplies in bfloat16 and keeps the weights in float32. The network's output has the
            dtype of its input in both.
        compile: "yes" if the step is compiled by torch.compile, "no" if not.
    """

    precision: str = "float32"
    compile: str = "no"

    def __str__(self) -> str:
        return self.precision + (" compiled" if self.compiled else "")

    @property
    def compiled(self) -> bool:
        """Whether torch.compile is used."""
        return COMPILED[self.compile]

    @classmethod
    def candidates(cls, precision: str, compile: str) -> list["ComputeMode"]:
        """The modes that two settings leave open ("auto" allows both values), with float32 and
        without compilation first."""
        precisions = list(AUTOCAST) if precision == "auto" else [precision]
        compiles = list(COMPILED) if compile == "auto" else [compile]
        return [cls(p, c) for c in compiles for p in precisions]

    def autocast(self, network: nn.Module) -> nn.Module:
        """The network in this precision, with the same weights; itself for float32."""
        dtype = AUTOCAST[self.precision]
        return network if dtype is None else _Autocast(network, dtype)


class _Autocast(nn.Module):
    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, x: Tensor, time: Tensor, *code: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.dtype):
            output: Tensor = self.network(x, time, *code)
        return output.to(x.dtype)


def fastest(
    candidates: Sequence[ComputeMode],
    begin: Callable[[ComputeMode], Callable[[], None]],
    steps: int | None = None,
    seconds: float | None = None,
) -> tuple[ComputeMode, dict[str, float | None]]:
    """The candidate with which a run of `steps` more steps ends first, by trials; of a run with a
    limit of time, the one that gets farthest.

    The time that a candidate needs for its first step (compilation, mostly) counts as part of the
    run. A single candidate is returned without a trial, unless it has to be compiled.

    Args:
        candidates: the modes to choose among; another than the first is chosen only if it is
            clearly faster.
        begin: returns a function that does one step in a mode, and returns when it is done.
        steps: how many steps the run has left; or
        seconds: the time that it has left.

    Returns:
        The mode, and the seconds a step of each mode that was tried, by its name; None where
        torch.compile failed.

    Raises:
        RuntimeError: if no candidate is left because torch.compile fails.
    """
    if len(candidates) == 1 and not candidates[0].compiled:
        return candidates[0], {}
    found: dict[str, float | None] = {}
    totals: dict[ComputeMode, float] = {}
    least = math.inf
    error: RuntimeError | None = None
    for mode in candidates:
        if mode.compiled and steps is not None and steps * least / 2 < COMPILE_SECONDS:
            continue
        started = time.perf_counter()
        try:
            step = begin(mode)
            step()
        except RuntimeError as raised:
            if not mode.compiled:
                raise
            found[str(mode)], error = None, raised
            continue
        first = time.perf_counter() - started
        each = _seconds(step, enough=2 * least)
        found[str(mode)], least = each, min(least, each)
        if steps is None:
            steps = math.ceil((seconds or 0.0) / each)
        totals[mode] = max(first - each, 0.0) * mode.compiled + each * steps
    if not totals:
        raise RuntimeError(
            "torch.compile does not work here: it needs a C++ compiler (g++ or clang++) and a "
            f"network that it can read; train with compile='no' ({_first_line(error)})"
        ) from error
    first_mode = candidates[0]
    best = min(totals, key=lambda mode: totals[mode])
    if first_mode in totals and totals[best] > WORTH * totals[first_mode]:
        best = first_mode
    return best, found


def _seconds(step: Callable[[], None], enough: float) -> float:
    """The time of the fastest of a few steps; one step suffices if it takes over `enough`."""
    shortest = math.inf
    for _ in range(ROUNDS):
        started = time.perf_counter()
        step()
        shortest = min(shortest, time.perf_counter() - started)
        if shortest > enough:
            break
    return shortest


def _first_line(error: BaseException | None) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
