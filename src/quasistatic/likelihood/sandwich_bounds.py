r"""The sandwich: a lower and an upper estimate of log p(x), for examples that the model draws."""

__all__ = ["Sandwich", "sandwich"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..model import Model
from .path_weights import forward_weight, reverse_weight
from .terms import count_terms


@dataclass(frozen=True, repr=False)
class Sandwich:
    r"""Lower and upper estimates of log p(x) for draws of the model (Jarzynski's equality).

    The log of the mean weight of paths from q(x_1..T | x_0) is a lower bound in expectation. If
    one of the paths is the one by which the model drew x_0, which is an exact draw from
    p(x_1..T | x_0), it is an upper bound in expectation. Both approach log p(x) as the number of
    paths or of steps grows.

    Args:
        drawn: the examples as raw data, with shape (n, *).
        lower: with shape (n,), in nats; its mean is at most that of log p.
        upper: with shape (n,), in nats; its mean is at least that of log p.
        dims: the number of values in an example.
        evaluations: network evaluations spent on each example.
        log_weights: of the paths from the data to noise, with shape (n, paths), in nats.
        own: the log-weight of the path by which each example was drawn, with shape (n,), in nats.
    """

    drawn: Tensor
    lower: Tensor
    upper: Tensor
    dims: int
    evaluations: int
    log_weights: Tensor
    own: Tensor

    @property
    def gap(self) -> Tensor:
        """upper - lower, with shape (n,), in nats: positive in the mean, not in each draw."""
        return self.upper - self.lower

    @property
    def bits_per_dim(self) -> tuple[float, float]:
        """A lower and an upper estimate of the mean code length, in bits a value."""
        ends = (-each.mean().item() / self.dims / math.log(2) for each in (self.upper, self.lower))
        low, high = ends
        return low, high

    def stderr(self, values: Tensor | None = None) -> float:
        """The standard error of the mean of `values` (n,), by default of the gap."""
        values = self.gap if values is None else values
        return float(values.double().std() / len(values) ** 0.5)

    def __repr__(self) -> str:
        low, high = self.bits_per_dim
        return (
            f"{low:.4g} to {high:.4g} bits a value on {len(self.gap)} draws of the model, "
            f"{self.evaluations} evaluations each\n"
            f"  gap {self.gap.double().mean():.3g} ± {self.stderr():.2g} nats an example"
        )


@torch.no_grad()
def sandwich(
    model: Model,
    n: int = 256,
    paths: int = 1,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> Sandwich:
    r"""A lower and an upper estimate of log p for draws of the model. For dequantised data it is
    the density of raw + u that is bracketed.

    Args:
        model: that draws the examples and is scored.
        n: the number of examples.
        paths: the number of weighted paths for each.
        times: the chain, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Raises:
        ValueError: if n or `paths` is not positive.
    """
    if n < 1 or paths < 1:
        raise ValueError(f"a sandwich needs draws and paths, got n = {n} and paths = {paths}")
    rng, grid = as_generator(rng), model.times(times)
    with evaluating(model):
        pieces = [
            _sandwich(part, len(rows), paths, grid, rng)
            for part, rows in model.chunks(torch.empty(n), paths)
        ]
    drawn, lower, upper, forward, own = (torch.cat(each) for each in zip(*pieces, strict=True))
    evaluations = (paths + 1) * count_terms(model, grid)
    return Sandwich(drawn, lower, upper, model.space.dims, evaluations, forward, own)


def _sandwich(
    model: Model, n: int, paths: int, times: Tensor, rng: torch.Generator | None
) -> tuple[Tensor, ...]:
    raw, x_0, own = reverse_weight(model, n, times, rng)
    encoded = model.space.encode_again(
        raw.repeat_interleave(paths, 0), x_0.repeat_interleave(paths, 0), rng
    )
    rows = forward_weight(model.repeated(paths), encoded, times, rng)
    log_weights = rows.log.reshape(n, paths)
    # In the upper estimate, the path by which x_0 was drawn takes the place of one of the others.
    with_own = torch.cat([own.log[:, None], log_weights[:, 1:]], 1)
    lower, upper = (each.logsumexp(1) - math.log(paths) for each in (log_weights, with_own))
    return raw, lower, upper, log_weights, own.log
