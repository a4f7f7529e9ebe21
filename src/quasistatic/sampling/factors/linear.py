"""Noisy linear measurements of the data: blur, fewer pixels, some frequencies, any matrix."""

__all__ = ["Linear"]

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from ..._utils.validation import as_tensor
from ...distributions import Family, Gaussian, total
from ...kernels import Kernel, SignalNoise
from ...spaces import Space
from .factor import Factor, of_each

TOLERANCE, LOOSE = 1e-8, 1e-4
"""The residual at which conjugate gradients stop, and by how much an adjoint may be wrong."""

Map: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Linear(Factor):
    r"""r(x) = N(y; A x, variance): a measurement of each example is a linear map of it with noise.

    Args:
        y: the measurements, with shape (N, *measured).
        operator: A, from (B, *shape) to (B, *measured), linear: a callable, or a matrix (m, n) that
            maps flat examples (N, n) to flat measurements (N, m).
        variance: of the noise, positive, in the square of y's units; one number, or one for each
            value of y.
        adjoint: of A, from (B, *measured) to (B, *shape); by default automatic differentiation
            gives it.
        iterations: the most steps of conjugate gradients.

    Raises:
        ValueError: if a variance is not positive or y is not finite; in a verb, if A does not fit
            the data, is not linear, or does not have that adjoint.
    """

    y: Tensor
    operator: Map | Tensor
    variance: Tensor | float
    adjoint: Map | None = None
    iterations: int = 100
    shape: tuple[int, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        y = as_tensor(self.y, "y").double()
        variance = as_tensor(self.variance, "variance").double()
        if not y.isfinite().all():
            raise ValueError("a measurement must be finite: leave missing ones out of A")
        if not ((variance > 0) & variance.isfinite()).all():
            raise ValueError(
                f"the variance of a linear measurement must be positive and finite, got "
                f"{variance.min().item():g}: use Observed for values that are known exactly"
            )
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "variance", of_each(variance, y))

    @property
    def examples(self) -> int:
        return len(self.y)

    def on(self, space: Space, rng: torch.Generator | None = None) -> "Linear":
        one = torch.zeros(1, *space.shape, dtype=torch.float64, device=self.y.device)
        offset, scale = space.affine(one)
        forward = _checked(self.operator, self.adjoint, self.y, space.shape)
        constant = forward(offset)
        return Linear(
            self.y - constant,
            lambda x_0: forward(scale.to(x_0) * x_0),
            self.variance,
            None if self.adjoint is None else lambda v: scale.to(v) * self.adjoint(v),  # type: ignore[misc]
            self.iterations,
            shape=space.shape,
        )

    def take(self, rows: Tensor) -> "Linear":
        return self._with(self.y[rows], self._variance[rows])

    def log_prob(self, x_0: Tensor) -> Tensor:
        return total(Gaussian(self._forward(x_0), self._variance.to(x_0)).log_prob(self.y.to(x_0)))

    def log_mean(self, space: Space, law: Family) -> Tensor:
        # N(y; A mean, A V A^T + noise) without its determinant. Its slope is A^T z, where z solves
        # for the residual: conjugate gradients are not differentiated.
        mean = law.mean
        residual = self.y.to(mean) - self._forward(mean)
        z = self._solved(residual.detach(), law.variance.detach())
        value = -0.5 * total(residual.detach() * z)
        slope = total(-residual * z) if mean.requires_grad else value
        return slope - slope.detach() + value

    def update(self, law: Family) -> Family:
        mean = law.mean
        residual = self.y.to(mean) - self._forward(mean)
        linear = self._back(self._solved(residual, law.variance))
        return law.tilt(linear, torch.zeros_like(linear))

    def power(self, exponent: float) -> "Linear":
        return self._with(self.y, self._variance / exponent)

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        if not isinstance(kernel, SignalNoise):
            raise TypeError(f"Linear cannot be matched to the noise of {type(kernel).__name__}")
        # x_0 ~ N(signal x_t, noise^2): y measures x_t, with the noise of x_0 given x_t besides.
        signal, noise = kernel.signal(t, p.mean), kernel.noise(t, p.mean)
        residual = self.y.to(p.mean) - self._forward(signal * p.mean)
        unknown = signal**2 * p.variance + noise**2
        linear = signal * self._back(self._solved(residual, unknown))
        return p.tilt(linear, torch.zeros_like(linear))

    def _with(self, y: Tensor, variance: Tensor) -> "Linear":
        rest = self.operator, variance, self.adjoint, self.iterations
        return Linear(y, *rest, shape=self.shape)

    def _forward(self, x: Tensor) -> Tensor:
        assert not isinstance(self.operator, Tensor)  # since it met a space
        return self.operator(x)

    def _back(self, v: Tensor) -> Tensor:
        if self.adjoint is not None:
            return self.adjoint(v)
        with torch.enable_grad():
            x = v.new_zeros(len(v), *self.shape, requires_grad=True)
            return torch.autograd.grad(self._forward(x), x, v)[0]

    @torch.no_grad()
    def _solved(self, residual: Tensor, unknown: Tensor) -> Tensor:
        """(A diag(unknown) A^T + noise)^-1 residual, by conjugate gradients, row by row."""
        noise = self._variance.to(residual)

        def through(v: Tensor) -> Tensor:
            return self._forward(unknown * self._back(v)) + noise * v

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))

        z, r = torch.zeros_like(residual), residual
        p, square = r, dot(r, r)
        enough = square * TOLERANCE**2
        for _ in range(self.iterations):
            moving = square > enough
            if not moving.any():
                break
            ahead = through(p)
            step = torch.where(moving, square / dot(p, ahead).clamp(min=1e-300), 0.0)
            z, r = z + step * p, r - step * ahead
            before, square = square, dot(r, r)
            p = r + torch.where(moving, square / before.clamp(min=1e-300), 0.0) * p
        return z

    @property
    def _variance(self) -> Tensor:
        assert isinstance(self.variance, Tensor)  # since it was built
        return self.variance


def _checked(operator: Map | Tensor, adjoint: Map | None, y: Tensor, shape: tuple[int, ...]) -> Map:
    """A as a callable, after checks that it fits the data, is linear and has that adjoint."""
    forward = _dense(operator, shape) if isinstance(operator, Tensor) else operator
    rng = torch.Generator().manual_seed(0)
    a, b = (
        torch.randn(1, *shape, generator=rng, dtype=torch.float64).to(y.device) for _ in range(2)
    )
    try:
        seen = forward(a)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"A does not take data of shape {shape}: {error}") from None
    if seen.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"A gives {tuple(seen.shape[1:])} for an example, and the measurements have "
            f"shape {tuple(y.shape[1:])}: they must be the same"
        )
    both = forward(a - 2 * b)
    if not torch.allclose(both, seen - 2 * forward(b), rtol=LOOSE, atol=LOOSE * _size(seen)):
        raise ValueError("A is not linear: A(a - 2 b) is not A(a) - 2 A(b); use Smooth")
    if adjoint is not None:
        v = torch.randn(1, *y.shape[1:], generator=rng, dtype=torch.float64).to(y.device)
        left, back = (seen * v).sum().item(), adjoint(v)
        right = (a * back).sum().item() if back.shape == a.shape else math.nan
        if not abs(left - right) <= LOOSE * (_size(seen) * _size(v) * v.numel() + abs(left)):
            raise ValueError(
                f"the adjoint is not A's: <A x, v> = {left:g} and <x, A^T v> = {right:g}; leave it "
                "out, and it is found by differentiation"
            )
    return forward


def _size(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


def _dense(matrix: Tensor, shape: tuple[int, ...]) -> Map:
    dims = math.prod(shape)
    if matrix.ndim != 2 or matrix.shape[1] != dims:
        raise ValueError(
            f"a matrix for data of shape {shape} has {dims} columns, got {tuple(matrix.shape)}"
        )
    return lambda x: x.flatten(1) @ matrix.to(x).T
