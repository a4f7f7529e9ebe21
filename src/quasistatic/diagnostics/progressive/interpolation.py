r"""Interpolation: mixes two noisy examples and denoises the mix (DDPM Sec. 4.4)."""

__all__ = ["interpolate"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ..._utils.randomness import Rng, as_generator, normal
from ...kernels import SignalNoise
from ...model import Model
from ...sampling.steppers import Ancestral, State


@torch.no_grad()
def interpolate(
    model: Model,
    first: object,
    second: object,
    t: int,
    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> Tensor:
    r"""Examples between two: both are diffused to time t and mixed, and the chain runs from the mix
    to x_0 (DDPM Sec. 4.4, Fig. 8): x_t = (1 - lambda) x_t^first + lambda x_t^second, for each
    lambda of `shares`.

    The later the time, the coarser the features that the result takes from the two. Both examples,
    and all shares, have the same noise, so that a mix has the noise of its time. With independent
    noise, the middle would have only half of that variance.

    Args:
        model: that denoises.
        first: raw examples, with shape (n, *).
        second: as many raw examples, with shape (n, *).
        t: the time of the mix, one of the chain.
        shares: of the second example in the mix, usually from 0 to 1.
        times: the chain, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Returns:
        Raw data with shape (n, len(shares), *).

    Raises:
        TypeError: if the kernel has no signal and noise scales, because a mix of bits is not a bit.
        ValueError: if the numbers of examples differ, t is not a time of the chain, or `shares` is
            empty.
    """
    rng = as_generator(rng)
    if not isinstance(model.kernel, SignalNoise):
        raise TypeError(
            "interpolation mixes x_t linearly and needs a kernel with signal and noise scales "
            f"(GaussianKernel), got {type(model.kernel).__name__}: a mix of bits is not a bit"
        )
    raw = [model.space.check(x, name) for x, name in ((first, "first"), (second, "second"))]
    if len(raw[0]) != len(raw[1]):
        raise ValueError(f"first holds {len(raw[0])} examples and second {len(raw[1])}: give pairs")
    grid = model.times(times).tolist()
    if t not in grid:
        raise ValueError(
            f"t must be one of the chain's {len(grid)} times from {grid[0]} to {grid[-1]}, got {t}"
        )
    if not shares:
        raise ValueError("shares is empty: give at least one number, such as 0.5")
    a, b = (model.space.encode(x.to(model.blank(1)), rng) for x in raw)
    x_t = _mixed(model.kernel, a, b, t, torch.tensor(shares).to(a), rng)
    for state in Ancestral().walk(model, State(x_t.flatten(0, 1), t), grid, rng):
        x_0 = state.x
    drawn = model.space.decode(x_0)
    return drawn.reshape(*x_t.shape[:2], *drawn.shape[1:])


def _mixed(
    kernel: SignalNoise, a: Tensor, b: Tensor, t: int, shares: Tensor, rng: torch.Generator | None
) -> Tensor:
    """Mixes of a and b (n, *) at time t, with shape (n, len(shares), *)."""
    at = torch.full((len(a),), t, device=a.device)
    eps = normal(a.shape, rng, a)
    x_a, x_b = (kernel.signal(at, x) * x + kernel.noise(at, x) * eps for x in (a, b))
    share = shares.reshape(1, -1, *[1] * (a.ndim - 1))
    return (1 - share) * x_a[:, None] + share * x_b[:, None]
