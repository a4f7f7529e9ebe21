r"""log p(x) of a conditional model, bounded through its classes: the class as a latent variable.

For any distribution r(y) over the classes,

    log p(x) >= sum_y r(y) (log p(x | y) + log p(y) - log r(y)),

with equality for r(y) = p(y | x). A bound on log p(x | y) in place of it keeps this a bound. r is
found by :func:`classify` with other noise than that of the bounds, so the estimate stays a lower
bound in expectation.
"""

__all__ = ["OverClasses"]

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .._utils.randomness import Rng, as_generator
from .._utils.validation import instance_of, whole_number
from ..conditions import ClassLabel
from ..model import Model
from .classification import Classification, classify, log_prior
from .methods import Elbo, Method
from .score import BoundScore, ClassesScore, ContinuousScore, ImportanceScore, Score

LEAST = 1e-3
"""Classes of a smaller r(y) get r(y) = 0: their share of the bound costs more than it adds."""


@dataclass(frozen=True)
class OverClasses(Method):
    """log p(x) of a model with a :class:`ClassLabel`, as the mixture of its p(x | y).

    The network's own p(x) is learned from the share of examples whose condition is removed in
    training. The mixture uses what is learned of p(x | y), and is often the tighter bound on
    log p(x). With it, the label's gain log p(x | y) - log p(x) is at most -log p(y) in
    expectation.

    Args:
        method: scores log p(x | y); one that bounds it from below.
        rounds: of :func:`classify`, which finds r(y).
        each: evaluations of a class in a round of it.
        prior: p(y) of each class; by default the same for all.

    Raises:
        TypeError: if `method` is no method.
        ValueError: if a number is below 2.
    """

    method: Method = field(default_factory=Elbo)
    rounds: int = 4
    each: int = 8
    prior: Sequence[float] | None = None

    def __post_init__(self) -> None:
        instance_of("method", self.method, Method, "Elbo(64)")
        for name in ("rounds", "each"):
            whole_number(name, getattr(self, name), 2)

    @torch.no_grad()
    def __call__(
        self,
        model: Model,
        raw: object,
        times: int | Sequence[int] | Tensor | None = None,
        rng: Rng = None,
    ) -> ClassesScore:
        if model.given_rows:
            raise ValueError(
                "OverClasses scores log p(x), and y is given: leave `given` out, or leave the "
                "method out to score log p(x | y)"
            )
        condition, source = model.require_condition(), as_generator(rng)
        checked = model.space.check(raw)
        found = classify(model, checked, self.rounds, self.each, self.prior, source)
        assert isinstance(condition, ClassLabel)  # the only one that can be classified
        share = torch.where(found.prob < LEAST, 0.0, found.prob)
        share = share / share.sum(1, keepdim=True)
        rows, classes = share.nonzero(as_tuple=True)
        of_pairs = self.method(
            model.given(classes), checked[rows.to(checked.device)], times, source
        )
        if not isinstance(of_pairs, BoundScore | ImportanceScore | ContinuousScore):
            raise TypeError(
                f"{self.method} does not bound log p(x | y) from below, so the mixture over the "
                "classes would be no bound: use Elbo(), Importance() or ContinuousTime()"
            )
        prior = log_prior(self.prior, condition.classes).to(share)
        return _mixed(of_pairs, found, share, prior)


def _mixed(pairs: Score, found: Classification, share: Tensor, log_prior: Tensor) -> ClassesScore:
    """The score of N examples from those of the pairs of an example and a class with r(y) > 0.

    Args:
        pairs: the scores of the pairs, example by example.
        found: how r(y) was found.
        share: r(y), with shape (N, classes).
        log_prior: log p(y), with shape (classes,).
    """
    rows, classes = share.nonzero(as_tuple=True)
    weight = share[rows, classes]

    def summed(values: Tensor) -> Tensor:
        return torch.zeros(len(share), dtype=values.dtype, device=rows.device).index_add(
            0, rows, values
        )

    terms = {name: summed((weight * value).to(value)) for name, value in pairs.terms.items()}
    terms["classes"] = summed(weight * (log_prior[classes] - weight.log())).to(pairs.null)
    noise = summed(((weight * pairs.noise) ** 2).to(pairs.noise)).sqrt()
    freedom = torch.full_like(noise, torch.inf).to(pairs.freedom)
    freedom = freedom.scatter_reduce(0, rows, pairs.freedom, "amin")
    extra = (len(rows) - len(share)) * pairs.evaluations  # examples with more than one class
    return ClassesScore(
        terms,
        summed((weight * pairs.null).to(pairs.null)),
        noise,
        pairs.dims,
        pairs.evaluations,
        int(found.evaluations.sum()) + extra + pairs.pilot,
        freedom=freedom,
        posterior=share,
    )
