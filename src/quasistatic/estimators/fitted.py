"""The settings of a fit, its summary, and the interface of a fitted model of a table."""

__all__ = ["FitPlan", "FitSummary", "Fitted", "Method"]

import abc
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from .._utils.devices import find_device
from .._utils.naming import counted
from .._utils.row_errors import RowError
from ..diffusion import Diffusion
from ..distributions.mixtures import Mixture
from ..reporting.console import Display
from ..sampling import SMC, Posterior
from ..sampling.factors import Factor
from ..spaces import Space, Table
from ..training.config import Fit
from ..training.fitting import fit
from .row_events import Given

Method = Literal["auto", "fast", "network"]
"""How missing values are drawn where a network corrects a closed-form law: by the network where
that changes the answer, by the closed form alone, or always by the network."""

WALKED, PARTICLES, WALKERS = 100, 64, 1024
"""Times of the chain that rows with a condition visit, particles of a set, and draws that are made
at once, where a network corrects the law."""


@dataclass(frozen=True)
class FitPlan:
    """How to fit.

    Args:
        steps: gradient steps at most; None means as many as the table is worth.
        minutes: that training may take; None means no limit.
        width: hidden units of the network; None means by the number of columns.
        validation: the share of rows that decide when to stop and what to keep.
        space: of the real columns; None chooses the one with the best held-out likelihood.
        seed: of all random draws.
        verbose: whether progress is shown.
        device: that trains a network, see :class:`~quasistatic.training.Engine`; the model stays
            there.

    Raises:
        ValueError: if a number is out of its range.
    """

    steps: int | None = None
    minutes: float | None = None
    width: int | None = None
    validation: float = 0.15
    space: Space | None = None
    seed: int = 0
    verbose: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 0:
            raise ValueError(f"steps must be 0 or more, got {self.steps}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes must be positive, got {self.minutes}")
        if self.width is not None and self.width < 1:
            raise ValueError(f"width must be 1 or more, got {self.width}")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation is a share of the rows, got {self.validation}: 0.15, say")
        find_device(self.device)

    def split(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """The indices of the training rows and of the validation rows."""
        order = np.random.default_rng(self.seed + 1).permutation(rows)
        count = min(max(1, round(self.validation * rows)), rows - 1)
        return order[count:], order[:count]

    def train(self, model: Diffusion, train: np.ndarray, valid: np.ndarray, how: Fit) -> int:
        """Trains a model in place, for the steps of `how` or of the plan, and at most its minutes.
        Returns the number of steps."""
        steps = how.steps if self.steps is None else self.steps
        if self.minutes is not None:
            steps = min(steps, self.steps_in(60 * self.minutes, model, train, how))
        how = replace(how, steps=steps, seed=self.seed, validations=min(how.validations, steps))
        with Display(quiet=not self.verbose).progress("fit") as show:
            shows = [show]
            return fit(model, train, valid, callbacks=shows, settings=how, device=self.device).step

    def steps_in(self, seconds: float, model: Diffusion, train: np.ndarray, how: Fit) -> int:
        """How many steps fit into so many seconds, by timing a few; the model is restored."""
        before = {name: value.clone() for name, value in model.state_dict().items()}
        few = replace(how, steps=8, validations=0)
        timed = fit(model, train, settings=few, progress=False, device=self.device)
        pace = timed.speed["examples_per_second"]
        model.load_state_dict(before)
        return max(1, int(seconds * pace / min(how.batch, len(train))))


@dataclass(frozen=True)
class FitSummary:
    """The result of a fit.

    Args:
        start: the weights of the candidates that make up the initial mixture; empty for levels.
        gain: how much training improved log p of validation rows over the start, in nats a row.
        kept: whether the trained network was kept.
        steps: gradient steps that were taken.
        atoms: of each column with numbers that have a probability of their own, which these are.
        whole_parts: whether the network was trained on draws in place of the parts that have no
            meaning. That of an earlier version saw which are missing.
    """

    start: Mapping[str, float] = field(default_factory=dict)
    gain: float = 0.0
    kept: bool = False
    steps: int = 0
    atoms: Mapping[str, str] = field(default_factory=dict)
    whole_parts: bool = False

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        atoms = "".join(f"\n{name}: {about}" for name, about in self.atoms.items())
        return f"{self._trained}{atoms}"

    @property
    def _trained(self) -> str:
        """Whether a network corrects the start, in a few words."""
        if not self.steps:
            return "a closed-form mixture, no network"
        gain = round(self.gain, 3) + 0.0  # never -0.000
        gained = f"{counted(self.steps, 'step')} of training gained {gain:.3f} nats a row"
        return gained if self.kept else f"{gained}, not significant: the network was dropped"

    def __repr__(self) -> str:
        first = next(iter(self.start), "nothing")
        more = f" and {len(self.start) - 1} more" if len(self.start) > 1 else ""
        trained, *atoms = str(self).split("\n")
        start = f"{type(self).__name__}: {trained}; start: {first}{more}"
        return "\n".join([start, *atoms])


@dataclass(frozen=True, eq=False)
class Fitted(abc.ABC):
    """A model of the rows of a table (N, C), as :meth:`Table.read` makes them, NaN a hole.

    Args:
        model: the model, in evaluation mode.
        table: the columns.
        summary: how the model came to be.
    """

    model: Diffusion
    table: Table
    summary: FitSummary

    about: ClassVar[str]
    """What the log-density is (exact or a bound), as text for a reader."""

    @classmethod
    @abc.abstractmethod
    def restored(cls, model: Diffusion, columns: Table | None, summary: FitSummary) -> "Fitted":
        """Rebuilds the model from its stored parts; `columns` is None if the model's space is the
        table."""

    @abc.abstractmethod
    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        """A lower bound on log p of the observed values of each row (N, C), with shape (N,), in
        nats of the columns' own units. It depends on the row and the seed alone."""

    @abc.abstractmethod
    def sample(self, n: int, seed: int) -> np.ndarray:
        """n draws, with shape (n, C)."""

    @abc.abstractmethod
    def complete(
        self,
        x: np.ndarray,
        draws: int,
        particles: int,
        seed: int,
        distinct: bool,
        by_network: bool = True,
        done: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Draws of what is NaN in each row given the rest, with shape (N, draws, C).

        Args:
            particles: of each row, where a network draws.
            distinct: whether equal rows get different draws.
            by_network: whether a network that corrects a closed form draws.
            done: is called with the number of rows that are done.
        """

    def log_evidence(self, given: Given, seed: int) -> tuple[float, float]:
        """log p of what is given, in nats of the table's own units, and its standard error.

        Args:
            given: of some columns.
            seed: of the particles.
        """
        found = self._walked(given, 1, seed)
        return float(found.log_evidence[0]), float(found.evidence_stderr[0])

    def sample_given(self, given: Given, n: int, seed: int) -> np.ndarray:
        """n draws with what is given, with shape (n, C)."""
        parts = [
            self._walked(given, min(WALKERS, n - first), seed + first).draws[0].double().cpu()
            for first in range(0, n, WALKERS)
        ]
        return self.rows_of_table(torch.cat(parts).numpy())

    def log_prob_given(
        self, x: np.ndarray, given: Given, evaluations: int, seed: int
    ) -> tuple[np.ndarray, float]:
        """log p of what is observed of each row together with what is given, (N,), and log p of
        what is given, in nats.

        Raises:
            ValueError: if a row has no value where a set or an interval is given.
        """
        filled = x.copy()
        for event in given.events:
            hidden = np.isnan(x[:, event.index])
            if not hidden.any():
                continue
            if event.values is None or len(event.values) != 1:
                raise RowError(
                    f"column {event.name!r} has no value",
                    int(hidden.argmax()),
                    ", and several are given: the network's density of them together is not known; "
                    "give rows with a value there",
                )
            filled[hidden, event.index] = event.values[0]
        found = self.log_prob(filled, evaluations, seed)
        possible = given.holds(filled)
        return np.where(possible, found, -np.inf), self.log_evidence(given, seed)[0]

    def _walked(self, given: Given, draws: int, seed: int) -> Posterior:
        """Weighted particles of the model given an event."""
        rng = torch.Generator().manual_seed(seed)
        repeats = max(8, math.ceil(2 * draws / PARTICLES))
        method = SMC(PARTICLES, repeats)
        return self.model.posterior(self._factor(given), draws, WALKED, rng, method=method)

    def _factor(self, given: Given) -> Factor:
        """The factor about rows of the model that is 1 where what is given holds."""
        raise TypeError(
            "a table of small whole numbers alone is a model of levels, which takes no `given` for "
            "rows: fit with types={column: 'integer'} for one of its columns"
        )

    def fills_by_network(self, method: Method, mean: bool) -> bool:
        """Whether a network draws missing values by a method, which takes far longer.

        Args:
            method: the user's choice.
            mean: whether only a summary of the draws of each value is used.
        """
        return True

    @property
    def closed_form(self) -> Mixture | None:
        """The law of x_0 in closed form, without the network's correction; None if it has none."""
        return None

    def law_of_columns(self) -> Mixture:
        """The closed form, in which each column has a law given the others.

        Raises:
            ValueError: if the model has none: how to fit one that has.
        """
        if self.closed_form is None:
            raise ValueError(
                "a model of small whole numbers has no closed form, so that its columns have no "
                f"cost given the others: fit with types={{{self.table.columns[0].name!r}: "
                "'integer'}, which makes a model that has one"
            )
        return self.closed_form

    def rows_of_model(self, x: np.ndarray) -> np.ndarray:
        """Rows (N, C) as :attr:`model` has them."""
        return x

    def rows_of_table(self, rows: np.ndarray) -> np.ndarray:
        """Rows that :attr:`model` has, as (N, C)."""
        return rows
