"""Group norm, a scale and a shift for each channel, and SiLU, in few passes over memory."""

__all__ = ["Norm", "NormSiLU"]

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Norm(nn.GroupNorm):
    """Group norm with DDPM's 32 groups, or fewer so that a group has at least four channels."""

    def __init__(self, width: int) -> None:
        super().__init__(math.gcd(min(32, max(1, width // 4)), width), width)


class NormSiLU(Norm):
    """Group norm followed by SiLU.

    On a CPU a small network is limited by memory bandwidth. There this reads and writes x about
    half as often as separate operations do, and keeps only x for the gradient.
    """

    def forward(self, input: Tensor, modulation: Tensor | None = None) -> Tensor:
        """SiLU((1 + scale) norm(x) + shift).

        Args:
            input: x, shape (B, C, *).
            modulation: the scales and then the shifts, shape (B, 2 C); None for zeros.

        Returns:
            The shape of x.
        """
        scale, shift = self.weight[None], self.bias[None]
        if modulation is not None:
            more, offset = modulation.chunk(2, 1)
            scale, shift = scale * (1 + more), shift * (1 + more) + offset
        x = input.to(scale.dtype)  # under autocast x has lower precision
        # A GPU has a fused kernel for group norm, and a compiler fuses all of it.
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return _one_by_one(x, scale, shift, self.num_groups, self.eps)
        found: Tensor = _InFewPasses.apply(  # type: ignore[no-untyped-call]
            x, scale, shift, self.num_groups, self.eps
        )
        return found


def _one_by_one(x: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float) -> Tensor:
    """SiLU(scale norm(x) + shift) by separate operations; scale and shift have shape (B, C) or (1,
    C)."""
    norm = F.group_norm(x, groups, eps=eps)
    return F.silu(torch.addcmul(_each(shift, x), norm, _each(scale, x)))


class _InFewPasses(torch.autograd.Function):
    """The same. z = scale (x - mean) / deviation + shift is slope x + start for each channel; it is
    computed once in the forward pass and again in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float
    ) -> Tensor:
        places = tuple(range(2, x.ndim))
        mean = _over_groups(x.mean(places), groups)
        z = x - _each(mean, x)
        precision = (_over_groups(z.square_().mean(places), groups) + eps).rsqrt()
        ctx.save_for_backward(x, scale, shift, mean, precision)
        ctx.groups, ctx.eps = groups, eps
        slope = precision * scale
        torch.addcmul(_each(shift - mean * slope, x), x, _each(slope, x), out=z)
        return F.silu(z, inplace=True)

    @staticmethod
    def backward(ctx: Any, *upstreams: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, shift, mean, precision = ctx.saved_tensors
        (upstream,) = upstreams
        if torch.is_grad_enabled():  # a second derivative is needed
            again = _one_by_one(x, scale, shift, ctx.groups, ctx.eps)
            inputs = [each for each in (x, scale, shift) if each.requires_grad]
            found = iter(torch.autograd.grad(again, inputs, upstream, create_graph=True))
            return tuple(next(found) if each else None for each in ctx.needs_input_grad)
        places, count, slope = tuple(range(2, x.ndim)), x[0, 0].numel(), precision * scale
        z = torch.addcmul(_each(shift - mean * slope, x), x, _each(slope, x))
        by_z = torch.ops.aten.silu_backward(upstream, z, grad_input=z)
        by_shift = by_z.sum(places)
        by_x = by_z * x
        by_scale = precision * (by_x.sum(places) - mean * by_shift)
        # z depends on x directly, and through the mean and the deviation of its group.
        by_mean = precision * _over_groups(scale * by_shift, ctx.groups) / count
        curve = precision**2 * _over_groups(scale * by_scale, ctx.groups) / count
        torch.addcmul(_each(mean * curve - by_mean, x), x, -_each(curve, x), out=by_x)
        by_x.addcmul_(by_z, _each(slope, x))
        given = by_scale.sum_to_size(scale.shape), by_shift.sum_to_size(shift.shape)
        return by_x, *given, None, None


def _over_groups(each: Tensor, groups: int) -> Tensor:
    """The mean over the channels of a group, repeated for each channel: (B, C) to (B, C)."""
    grouped = torch.unflatten(each, 1, (groups, -1))
    found: Tensor = grouped.mean(-1, keepdim=True).expand_as(grouped).flatten(1)
    return found


def _each(channels: Tensor, x: Tensor) -> Tensor:
    """A number for each channel, (B, C), shaped to broadcast against x (B, C, *)."""
    return channels.reshape(*channels.shape, *[1] * (x.ndim - 2))
