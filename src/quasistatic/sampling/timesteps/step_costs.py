r"""What each step of a chain costs, and the chain of so many steps that costs least (W21)."""

__all__ = ["Costs", "analytic", "measure"]

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...distributions import total
from ...heads import DenoisingHead
from ...heads.variances import Analytic
from ...likelihood.terms import fixed_part
from ...model import Model

CANDIDATES = 128


@dataclass(frozen=True)
class Costs:
    r"""The terms of -K between any two of some candidate times, means over data.

    Args:
        times: the candidates, rising, the last of them T, with shape (M,).
        between: KL of the step from times[j] to times[i], with shape (M, M), in nats an example;
            infinite unless i < j.
        ends: what a chain that starts at times[i] pays for its last step, with shape (M,), nats.
        prior: KL(q(x_T | x_0) || pi), in nats an example.
    """

    times: Tensor
    between: Tensor
    ends: Tensor
    prior: float

    def path(self, count: int) -> Tensor:
        """The `count` times along which -K is least, rising to T, by dynamic programming (W21):
        for the `times` of sample, score and complete.

        Raises:
            ValueError: if there are fewer than 2 to visit, or more than there are candidates.
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
        """-K along some of the candidates, in nats an example.

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


@torch.no_grad()
def measure(
    model: Model,
    raw: object,
    candidates: int = CANDIDATES,
    rng: torch.Generator | None = None,
) -> Costs:
    """What the model's steps between any two of `candidates` even times cost on data raw (N, *):
    one network evaluation an example and candidate. Choose paths on held-out data, which are not
    those that are scored with them.

    Raises:
        TypeError: if the head states a step between neighbours only.
        ValueError: if there are not 2 to T candidates.
    """
    head, times = _belief_head(model), _candidates(model, candidates)
    x_0 = _encoded(model, raw, rng)
    sums = torch.zeros(len(times) + 1, len(times), dtype=torch.float64)
    with evaluating(model):
        for x in x_0.split(model.chunk_size):
            for j in range(len(times)):
                sums[: j + 1, j] += _steps_from(model, head, x, times[: j + 1], rng)
        prior = -fixed_part(model, x_0, times)["prior"].double().mean().item()
    means = sums / len(x_0)
    earlier = torch.ones(len(times), len(times), dtype=torch.bool).triu(1)
    between = torch.where(earlier, means[1:], torch.inf)
    return Costs(times, between, means[0], prior)


def _steps_from(
    model: Model, head: DenoisingHead, x_0: Tensor, times: Tensor, rng: torch.Generator | None
) -> Tensor:
    """What steps from the last of the times cost, summed over examples x_0 (B, *): to the end of
    the chain, and to each time before it, in nats, with shape (len(times),)."""
    at = torch.full((len(x_0),), int(times[-1]), device=x_0.device)
    x_t = model.kernel.marginal(x_0, at).sample(rng)
    output = model.output(x_t, at)
    belief = head.denoise(model.kernel, output, x_t, at)
    end = -total(model.space.edge(model.kernel, x_0, at))
    if model.space.first_term == 0:
        p = head.last(model.kernel, output, x_t, at)
        end = end - total(model.space.log_prob(p, x_0))
    costs = [end]
    for s in times[:-1].tolist():
        to = torch.full_like(at, s)
        costs.append(total(head.divergence_of(model.kernel, belief, x_t, x_0, to, at)))
    return torch.stack(costs).double().sum(1).cpu()


@torch.no_grad()
def analytic(
    model: Model,
    raw: object,
    candidates: int = CANDIDATES,
    rng: torch.Generator | None = None,
) -> Analytic:
    """The best Var[x_0 | x_t] of each coordinate that is the same for all examples, from data
    raw (N, *): for `heads.Spread(model.head, analytic(model, x))`.

    Raises:
        TypeError: if the head states a step between neighbours only.
        ValueError: if there are not 2 to T candidates.
    """
    head, times = _belief_head(model), _candidates(model, candidates)
    x_0 = _encoded(model, raw, rng)
    table = torch.zeros(len(times), *model.space.state, dtype=torch.float64)
    with evaluating(model):
        for x in x_0.split(model.chunk_size):
            for j, t in enumerate(times.tolist()):
                at = torch.full((len(x),), t, device=x.device)
                x_t = model.kernel.marginal(x, at).sample(rng)
                estimate = head.estimate(model.kernel, model.output(x_t, at), x_t, at)
                table[j] += ((x - estimate) ** 2).double().sum(0).cpu() / len(x_0)
    return Analytic(tuple(times.tolist()), tuple(map(_nested, table.tolist())))


def _nested(value: list | float) -> tuple | float:
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def _belief_head(model: Model) -> DenoisingHead:
    head = model.head
    if not isinstance(head, DenoisingHead) or not head.jumps:
        raise TypeError(
            f"{type(head).__name__} defines the step between neighbours only, so that no time can "
            "be left out: train a head that states a belief about x_0 (Clean, Noise, Velocity, "
            "Levels)"
        )
    return head


def _candidates(model: Model, count: int) -> Tensor:
    if not count >= 2:
        raise ValueError(f"a path needs at least 2 candidates, got {count}")
    return model.times(min(count, model.steps))


def _encoded(model: Model, raw: object, rng: torch.Generator | None) -> Tensor:
    return model.space.encode(model.space.check(raw).to(model.blank(1)), rng)
