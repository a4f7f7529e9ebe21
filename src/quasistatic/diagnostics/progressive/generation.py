r"""A sample before it is done: what the model takes it for on the way (DDPM Sec. 4.3)."""

__all__ = ["Generation", "generate_progressively"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import Rng
from ...model import Model
from ...sampling import walk


@dataclass(frozen=True)
class Generation:
    """Samples, and what the model took them for on the way.

    Args:
        t: the times, falling, with shape (k,).
        estimates: E[x_0 | x_t] of each walk at each time, in the raw data's units and not
            rounded, with shape (n, k, *).
        samples: where the walks ended, as raw data, with shape (n, *).
    """

    t: Tensor
    estimates: Tensor
    samples: Tensor


@torch.no_grad()
def generate_progressively(
    model: Model,
    n: int,
    shown: int | Sequence[int] = 8,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> Generation:
    """n draws and the estimates of x_0 that their walks pass through (DDPM Fig. 6).

    Args:
        shown: at how many times, from T down and evenly spread, or at which.
        times: the chain, see :meth:`Model.times`.

    Raises:
        ValueError: if n < 1, or a time that is to be shown is none of the chain's.
    """
    if n < 1:
        raise ValueError(f"a sample needs at least one draw, got n = {n}")
    grid = model.times(times)
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
