r"""Samples with the model's intermediate estimates of x_0 (DDPM Sec. 4.3)."""

__all__ = ["Generation", "generate_progressively"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import Rng, as_generator
from ...model import Model
from ...sampling import walk


@dataclass(frozen=True)
class Generation:
    """Samples, and the estimates of x_0 at some times of their chains.

    Args:
        t: the times, falling, with shape (k,).
        estimates: E[x_0 | x_t] of each sample's chain at each time, in the raw data's units and not
            rounded, with shape (n, k, *).
        samples: the ends of the chains, as raw data, with shape (n, *).
    """

    t: Tensor
    estimates: Tensor
    samples: Tensor

    def __repr__(self) -> str:
        times = ", ".join(str(t) for t in self.t.tolist())
        return f"{len(self.samples)} samples with estimates of x_0 at t = {times}"


@torch.no_grad()
def generate_progressively(
    model: Model,
    n: int,
    shown: int | Sequence[int] = 8,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> Generation:
    """Samples, and the estimates of x_0 along their chains (DDPM Fig. 6).

    Args:
        model: that is sampled.
        n: the number of samples.
        shown: the times of the estimates, or how many of them, evenly spread from T down.
        times: the chain, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Raises:
        ValueError: if n < 1, or a time of `shown` is not one of the chain.
    """
    if n < 1:
        raise ValueError(f"a sample needs at least one draw, got n = {n}")
    rng, grid = as_generator(rng), model.times(times)
    chosen = _shown(shown, grid)
    estimates = []
    for state in walk(model, n, times, rng):
        if state.t in chosen:
            at = torch.full((n,), state.t, device=state.x.device)
            estimates.append(model.space.in_raw_units(model.estimate(state.x, at)))
    t = torch.tensor(sorted(chosen, reverse=True))
    return Generation(t, torch.stack(estimates, 1), model.space.decode(state.x))


def _shown(shown: int | Sequence[int], grid: Tensor) -> set[int]:
    if isinstance(shown, int):
        if not 1 <= shown <= len(grid):
            raise ValueError(f"shown must be from 1 to {len(grid)} times, got {shown}")
        places = torch.linspace(len(grid) - 1, 0, shown, dtype=torch.float64).round().long()
        return set(grid[places].tolist())
    missing = sorted(set(shown) - set(grid.tolist()))
    if missing or not shown:
        raise ValueError(
            f"shown must name times of the chain, got {missing or 'none'}: it visits "
            f"{len(grid)} times from {int(grid[0])} to {int(grid[-1])}"
        )
    return set(shown)
