r"""Two examples mixed under noise, and walked back (DDPM Sec. 4.4)."""

__all__ = ["interpolate"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ..._utils.randomness import normal
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
    rng: torch.Generator | None = None,
) -> Tensor:
    r"""Examples between two: both are diffused to time t, mixed, and walked back (DDPM Sec. 4.4,
    Fig. 8): x_t = (1 - lambda) x_t^first + lambda x_t^second, for each lambda of `shares`.

    The later the time, the coarser the features that are kept of the two. One noise serves both,
    and all shares, so that a mix is as noisy as its time says; noise of their own for each would
    leave the middle only half of that variance.

    Args:
        first, second: raw examples, both with shape (n, *).
        t: where they are mixed, a time of the chain.
        shares: of the second example in the mix, usually from 0 to 1.
        times: the chain, see :meth:`Model.times`.

    Returns:
        Raw data with shape (n, len(shares), *).

    Raises:
        TypeError: if the kernel has no signal and noise scales: a mix of bits is no bit.
        ValueError: if the two are not as many, t is no time of the chain, or no share is given.
    """
    if not isinstance(model.kernel, SignalNoise):
        raise TypeError(
            "interpolation mixes x_t linearly and needs a kernel with signal and noise scales "
            f"(GaussianKernel), got {type(model.kernel).__name__}: a mix of bits is no bit"
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
    return model.space.decode(x_0).unflatten(0, x_t.shape[:2])


def _mixed(
    kernel: SignalNoise, a: Tensor, b: Tensor, t: int, shares: Tensor, rng: torch.Generator | None
) -> Tensor:
    """Mixes of a and b (n, *) at time t, with shape (n, len(shares), *)."""
    at = torch.full((len(a),), t, device=a.device)
    eps = normal(a.shape, rng, a)
    x_a, x_b = (kernel.signal(at, x) * x + kernel.noise(at, x) * eps for x in (a, b))
    share = shares.reshape(1, -1, *[1] * (a.ndim - 1))
    return (1 - share) * x_a[:, None] + share * x_b[:, None]
