r"""The cost of each step of a chain, and the chain of a given length that costs least (W21)."""

__all__ = ["StepCosts", "analytic_variance", "measure_costs"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ..._utils.randomness import Rng, as_generator
from ...distributions import total
from ...heads import DenoisingHead
from ...heads.variances import Analytic
from ...likelihood.terms import each_ending_term, fixed_terms
from ...model import Model
from ..time_grids import TimeGrid

CANDIDATES = 128


@dataclass(frozen=True)
class StepCosts:
    r"""The terms of -K between any two of some candidate times, as means over data.

    Args:
        times: the candidates, rising, the last of them T, with shape (M,).
        between: KL of the step from times[j] to times[i], with shape (M, M), in nats an example;
            infinite unless i < j.
        ends: the cost of the last step, to the data, of a chain whose first time is times[i], with
            shape (M,), in nats an example.
        prior: KL(q(x_T | x_0) || pi), in nats an example.
    """

    times: Tensor
    between: Tensor
    ends: Tensor
    prior: float

    def path(self, count: int) -> Tensor:
        """The chain of `count` times with the least -K, by dynamic programming (W21).

        Args:
            count: the number of times to visit.

        Returns:
            Rising times that end at T, with shape (count,), for the `times` of sample, score and
            complete.

        Raises:
            ValueError: if `count` is less than 2 or more than there are candidates.
        """
        if not 2 <= count <= len(self.times):
            raise ValueError(
                f"a path visits 2 to {len(self.times)} of the measured times, got {count}: measure "
                "more candidates for a longer one"
            )
        at, visited = len(self.times) - 1, []
        for k in range(count - 1, -1, -1):
            visited.append(at)
            at = int(self._best[k][1][at])
        return self.times[visited[::-1]]

    def nats(self, times: Tensor) -> float:
        """-K of the chain that visits some of the candidates, in nats an example.

        Raises:
            ValueError: if one of the times is no candidate, or the last is not T.
        """
        index = torch.bucketize(times, self.times).clamp(max=len(self.times) - 1)
        if not torch.equal(self.times[index], times) or index[-1] != len(self.times) - 1:
            raise ValueError(
                f"costs were measured at {self.times.tolist()}, and the chain {times.tolist()} "
                "leaves them or does not end at T"
            )
        steps = self.between[index[:-1], index[1:]].sum()
        return (self.ends[index[0]] + steps).item() + self.prior

    @cached_property
    def _best(self) -> list[tuple[Tensor, Tensor]]:
        """For 1, 2, ... times: the least cost of a chain of so many up to each candidate, and the
        candidate before it."""
        best = [(self.ends, torch.full_like(self.ends, -1, dtype=torch.long))]
        for _ in range(len(self.times) - 1):
            least, before = (best[-1][0][:, None] + self.between).min(0)
            best.append((least, before))
        return best

    def __repr__(self) -> str:
        whole = self.nats(self.times)
        return (
            f"costs of steps between {len(self.times)} times, {int(self.times[0])} to "
            f"{int(self.times[-1])}\n"
            f"  -K = {whole:.4g} nats an example along all of them; path(n) is the best n"
        )


@torch.no_grad()
def measure_costs(
    model: Model, raw: object, candidates: int | TimeGrid = CANDIDATES, rng: Rng = None
) -> StepCosts:
    """The cost of the model's steps between any two of some evenly spread times, on data.

    It takes one network evaluation for each example and candidate. Use held-out data, and others
    than those that are then scored along the chosen path.

    Args:
        model: whose steps are measured.
        raw: raw data, with shape (N, *).
        candidates: the number of times, evenly spread, all T if there are fewer; or a grid such as
            `EvenLogSNR(128)`.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Raises:
        TypeError: if the head defines the step between neighbours only.
        ValueError: if there are fewer than 2 candidates, or the data do not fit the model.
    """
    rng = as_generator(rng)
    head, times = _belief_head(model), _candidates(model, candidates)
    checked = model.space.check(raw).to(model.blank(1))
    sums = torch.zeros(len(times) + 1, len(times), dtype=torch.float64)
    prior = 0.0
    with evaluating(model):
        for part, rows in model.chunks(checked):
            x_0 = model.space.encode(rows, rng)
            prior -= fixed_terms(model, x_0, times)["prior"].double().sum().item()
            for j in range(len(times)):
                sums[: j + 1, j] += _steps_from(part, head, x_0, times[: j + 1], rng)
    means = sums / len(checked)
    earlier = torch.ones(len(times), len(times), dtype=torch.bool).triu(1)
    between = torch.where(earlier, means[1:], torch.inf)
    return StepCosts(times, between, means[0], prior / len(checked))


def _steps_from(
    model: Model, head: DenoisingHead, x_0: Tensor, times: Tensor, rng: torch.Generator | None
) -> Tensor:
    """The costs of steps from the last of the times, summed over examples x_0 (B, *): of the last
    step of a chain, and of the step to each time before, in nats, with shape (len(times),)."""
    at = torch.full((len(x_0),), int(times[-1]), device=x_0.device)
    x_t = model.kernel.marginal(x_0, at).sample(rng)
    output = model.output(x_t, at)
    belief = head.denoise(model.kernel, output, x_t, at)
    learned = total(each_ending_term(model, output, x_0, x_t, at))
    costs = [learned - total(model.space.edge(model.kernel, x_0, at))]
    for s in times[:-1].tolist():
        to = torch.full_like(at, s)
        costs.append(total(head.divergence_of(model.kernel, belief, x_t, x_0, to, at)))
    return torch.stack(costs).double().sum(1).cpu()


@torch.no_grad()
def analytic_variance(
    model: Model, raw: object, candidates: int | TimeGrid = CANDIDATES, rng: Rng = None
) -> Analytic:
    """The best Var[x_0 | x_t] of each coordinate that is the same for all examples (BLZZ22), for
    `heads.Spread(model.head, analytic_variance(model, x))`.

    Args:
        model: whose estimates are compared with the data.
        raw: raw data, with shape (N, *).
        candidates: the number of evenly spread times at which it is measured, or a grid.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Raises:
        TypeError: if the head defines the step between neighbours only.
        ValueError: if there are fewer than 2 candidates, or the data do not fit the model.
    """
    rng = as_generator(rng)
    head, times = _belief_head(model), _candidates(model, candidates)
    checked = model.space.check(raw).to(model.blank(1))
    table = torch.zeros(len(times), *model.space.state, dtype=torch.float64)
    with evaluating(model):
        for part, rows in model.chunks(checked):
            x_0 = model.space.encode(rows, rng)
            for j, t in enumerate(times.tolist()):
                at = torch.full((len(x_0),), t, device=x_0.device)
                x_t = model.kernel.marginal(x_0, at).sample(rng)
                estimate = head.estimate(model.kernel, part.output(x_t, at), x_t, at)
                table[j] += ((x_0 - estimate) ** 2).double().sum(0).cpu() / len(checked)
    return Analytic(tuple(times.tolist()), _nested(table.tolist()))


def _nested(value: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(_nested(each) if isinstance(each, list) else each for each in value)


def _belief_head(model: Model) -> DenoisingHead:
    head = model.head
    if not isinstance(head, DenoisingHead) or not head.jumps:
        raise TypeError(
            f"{type(head).__name__} defines the step between neighbours only, so that no time can "
            "be left out: train a head that states a belief about x_0 (Clean, Noise, Velocity, "
            "Levels)"
        )
    return head


def _candidates(model: Model, candidates: int | TimeGrid) -> Tensor:
    if isinstance(candidates, TimeGrid):
        return candidates(model)
    if not candidates >= 2:
        raise ValueError(f"a path needs at least 2 candidates, got {candidates}")
    return model.times(min(candidates, model.steps))
