"""The verbs that give log-probabilities: score, classify and sandwich."""

__all__ = ["Scoring"]

import dataclasses
from collections.abc import Sequence

from .._utils.randomness import Rng, as_generator
from .._utils.validation import instance_of
from ..likelihood import (
    Classification,
    Method,
    Sandwich,
    Score,
    bound,
    bound_to,
    classify,
    sandwich,
)
from ..likelihood.terms import count_terms
from ..sampling import Times
from .chain import Chain

EVALUATIONS = 64
"""The default of :meth:`Scoring.score`."""

EXAMPLES = {"flow": "Flow()", "continuous": "ContinuousTime()", "bound": "Elbo()"}
"""What to write in place of a method's name; for any other name an example."""


class Scoring(Chain):
    """Log-probabilities of examples, with their errors."""

    def score(
        self,
        x: object,
        evaluations: int | None = EVALUATIONS,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        stderr: float | None = None,
        each: bool = False,
        most: int | None = None,
        method: Method | None = None,
    ) -> Score:
        """log p(x) for each example, or log p(x | y) with `given`, with its terms, units, standard
        error and cost.

        By default it is the bound, from below: `evaluations` of the network are spent on each
        example, spread evenly over the steps; the standard error holds what they leave open.

        Args:
            x: raw data with shape (N, *).
            evaluations: of the network for each example. None, or as many as there are steps, sums
                every term.
            times: the chain to score, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            stderr: the standard error to reach of the mean over the examples, in bits a value, by
                as few evaluations as it takes; they are allotted to where the noise is
                (:func:`likelihood.bound_to`).
            each: whether `stderr` is meant for each example's own value.
            most: with `stderr`, the most evaluations for each example; None sets no limit.
            method: another way to score: `Importance(paths)`, `Flow()`, `ContinuousTime()`, or
                `OverClasses()` of a model with classes. It has its own cost, and `evaluations` and
                `stderr` are not for it.

        Returns:
            A :class:`Score` of N examples; `.bits_per_dim` is in bits a value.

        Raises:
            TypeError: if the model's kernel cannot serve the method, its weights have 16 bits, or
                `method` is no method.
            ValueError: if the times make no chain, a budget is out of range, or two kinds of budget
                are given.
        """
        source = as_generator(rng)
        self._require_precision("score")
        model = self._for(given, x)
        if method is not None:
            if stderr is not None or most is not None or evaluations != EVALUATIONS:
                raise ValueError(
                    f"evaluations and stderr are for the bound, and {method} has a cost of its "
                    "own: leave them out, or leave the method out"
                )
            instance_of("method", method, Method, EXAMPLES.get(str(method), "Importance(16)"))
            return model._labelled(method(model, x, self._listed(times), source))
        if (stderr is not None and evaluations != EVALUATIONS) or (most and stderr is None):
            raise ValueError(
                "evaluations is a fixed budget, and stderr one as large as it takes, at most "
                "`most`: give evaluations alone, or stderr and most"
            )
        if stderr is not None:
            return model._labelled(
                bound_to(model, x, stderr, each, most, self.times(times), source)
            )
        terms = count_terms(self, self.times(times))
        shares = None if evaluations is None or evaluations >= terms else evaluations
        return model._labelled(bound(model, x, shares, self.times(times), source))

    def _labelled(self, score: Score) -> Score:
        """The score, which knows whether it is one of p(x | y)."""
        return dataclasses.replace(score, given=self.given_rows > 0)

    def classify(
        self,
        x: object,
        rounds: int = 8,
        each: int = 8,
        rng: Rng = None,
        *,
        prior: Sequence[float] | None = None,
    ) -> Classification:
        """p(y | x) of each example by Bayes' rule from the bounds of p(x | y), with error bars.

        All classes share times and noise, and classes that are far behind get no more evaluations.

        Args:
            x: raw data with shape (N, *).
            rounds: of evaluations at most, 2 or more.
            each: evaluations of a class in a round; the first round takes 16.
            rng: a seed, a generator or None.
            prior: p(y) of each class; by default the same for all.

        Returns:
            A :class:`.Classification`: `.log_prob` and `.stderr` of shape (N, classes), `.label`.

        Raises:
            TypeError: if the model has no condition, or one that is no ClassLabel; or its weights
                have 16 bits.
            ValueError: if a number is out of range, or the prior does not fit.
        """
        self._require_precision("classify")
        return classify(self, x, rounds, each, prior, as_generator(rng))

    def sandwich(
        self,
        n: int = 256,
        paths: int = 1,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
    ) -> Sandwich:
        """log p from below and from above for draws of the model: how far its bound can be from the
        truth.

        Args:
            n: how many draws.
            paths: weighted paths for each.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each draw;
                None (the default) for p(x), or what :meth:`given` gave.
        """
        model = self.given_each(given, n)
        return sandwich(model, n, paths, self.times(times), as_generator(rng))
