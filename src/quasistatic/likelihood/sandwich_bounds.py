r"""The sandwich: log p(x) from both sides, on examples that the model itself draws."""

__all__ = ["Sandwich", "sandwich"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..model import Model
from .path_weights import forward_weight, reverse_weight


@dataclass(frozen=True)
class Sandwich:
    r"""Lower and upper estimates of log p(x) for draws of the model.

    Jarzynski's equality, from each end: paths from q(x_1..T | x_0) give a lower bound in
    expectation; when one of them is the path on which x_0 came, an exact draw from
    p(x_1..T | x_0), the same log-mean is an upper one. Both close as paths and steps grow.

    Args:
        drawn: the examples as raw data, with shape (n, *).
        lower: with shape (n,), in nats; its mean is at most that of log p.
        upper: with shape (n,), in nats; its mean is at least that of log p.
        dims: values in an example.
        evaluations: network evaluations spent on each example.
    """

    drawn: Tensor
    lower: Tensor
    upper: Tensor
    dims: int
    evaluations: int

    @property
    def gap(self) -> Tensor:
        """upper - lower, with shape (n,), in nats: positive in the mean, not in each draw."""
        return self.upper - self.lower

    @property
    def bits_per_dim(self) -> tuple[float, float]:
        """The mean code length in bits a value, from below and from above."""
        ends = (-each.mean().item() / self.dims / math.log(2) for each in (self.upper, self.lower))
        low, high = ends
        return low, high

    def stderr(self, values: Tensor | None = None) -> float:
        """The standard error of the mean of `values` (n,), by default of the gap."""
        values = self.gap if values is None else values
        return (values.double().std() / len(values) ** 0.5).item()


@torch.no_grad()
def sandwich(
    model: Model,
    n: int = 256,
    paths: int = 1,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Sandwich:
    r"""log p of n draws of the model from both sides, by that many paths each. For dequantised
    data it is the density of raw + u that is bracketed.

    Raises:
        ValueError: if n or `paths` is not positive.
    """
    if n < 1 or paths < 1:
        raise ValueError(f"a sandwich needs draws and paths, got n = {n} and paths = {paths}")
    grid = model.times(times)
    at_once = max(1, model.chunk_size // paths)
    with evaluating(model):
        pieces = [
            _sandwich(model, min(at_once, n - start), paths, grid, rng)
            for start in range(0, n, at_once)
        ]
    drawn, lower, upper = (torch.cat(each) for each in zip(*pieces, strict=True))
    steps = len(grid) - model.space.first_term
    return Sandwich(drawn, lower, upper, model.space.dims, (paths + 1) * steps)


def _sandwich(
    model: Model, n: int, paths: int, times: Tensor, rng: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    x_0, own = reverse_weight(model, n, times, rng)
    rows = forward_weight(model, x_0.repeat_interleave(paths, 0), times, rng)
    log_weights = rows.log.reshape(n, paths)
    # The upper estimate has the path's own weight in the place of one of the others.
    with_own = torch.cat([own.log[:, None], log_weights[:, 1:]], 1)
    lower, upper = (each.logsumexp(1) - math.log(paths) for each in (log_weights, with_own))
    return model.space.decode(x_0), lower, upper
