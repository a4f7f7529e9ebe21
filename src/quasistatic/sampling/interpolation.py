"""Interpolation between examples along the probability flow: on the sphere of their noises."""

__all__ = ["interpolate", "slerp"]

import torch
from torch import Tensor

from .._utils.randomness import Rng, as_generator
from .._utils.validation import whole_number
from ..model import Model
from .encoding import decode, encode
from .sampler import Times
from .steppers import FlowMap, Stepper


def slerp(a: Tensor, b: Tensor, shares: Tensor) -> Tensor:
    """Spherical interpolation of noises (DDIM App. D.5).

    Args:
        a: with shape (N, *).
        b: with shape (N, *).
        shares: of b, from 0 to 1, with shape (n,).

    Returns:
        Shape (N, n, *). Directions turn evenly from a to b, and lengths change evenly, so that a
        mix is about as likely a noise as they are; a straight line passes too close to zero.
    """
    from_a, from_b = a.flatten(1).double(), b.flatten(1).double()
    lengths = [each.norm(dim=1)[:, None, None].clamp(min=1e-300) for each in (from_a, from_b)]
    turned_a, turned_b = (
        each[:, None] / length for each, length in zip((from_a, from_b), lengths, strict=True)
    )
    angle = (turned_a * turned_b).sum(2, keepdim=True).clamp(-1, 1).acos()
    share = shares.double().to(a.device)[:, None]
    sine = angle.sin()
    straight = sine < 1e-6  # the same direction, or the opposite one, which no arc is closest to
    sine = torch.where(straight, 1.0, sine)
    first = torch.where(straight, 1 - share, ((1 - share) * angle).sin() / sine)
    second = torch.where(straight, share, (share * angle).sin() / sine)
    length = (1 - share) * lengths[0] + share * lengths[1]
    mixed: Tensor = length * (first * turned_a + second * turned_b)
    return mixed.to(a.dtype).reshape(len(a), len(shares), *a.shape[1:])


@torch.no_grad()
def interpolate(
    model: Model,
    first: object,
    second: object,
    n: int,
    times: Times = None,
    rng: Rng = None,
    stepper: Stepper | None = None,
    tolerance: float = 1e-4,
) -> Tensor:
    """n examples from each of N to each of N others; see `Diffusion.interpolate`."""
    n = whole_number("n", n, 2)
    raw = [model.space.check(x, name) for x, name in ((first, "first"), (second, "second"))]
    if len(raw[0]) != len(raw[1]):
        raise ValueError(f"first holds {len(raw[0])} examples and second {len(raw[1])}: give pairs")
    few = isinstance(stepper, FlowMap)  # it has no inverse: the model's own flow finds the noise
    there, visited, source = None if few else stepper, None if few else times, as_generator(rng)
    noises = [encode(model, x, visited, source, there, tolerance) for x in raw]
    mixed = slerp(noises[0], noises[1], torch.linspace(0, 1, n, dtype=torch.float64))
    drawn = decode(model.repeated(n), mixed.flatten(0, 1), times, stepper)
    return drawn.reshape(len(raw[0]), n, *drawn.shape[1:])
