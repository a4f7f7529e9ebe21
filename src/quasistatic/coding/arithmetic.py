r"""How the floats of a law become integers: as they are, or by rounding that every machine repeats.

The writer and the reader of a stream must use the same integer frequencies. `NativeFloats` uses the
floats themselves, so both must compute them to the same last bit. `RoundedFloats` rounds floats to
a coarse grid. Results that differ by less than a margin round alike, except near the boundary
between two grid points. The writer lists the few values that lie within the margin of a boundary,
and what they were rounded to. The reader takes those from the list.
"""

__all__ = ["Arithmetic", "NativeFloats", "RoundedFloats"]

import abc
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family, FiniteSupport, Support
from .frequencies import EPSILON, exact_weights
from .windows import FEW, FloatWindow, RoundedWindow, Window, even_halves

if TYPE_CHECKING:
    from .bins import Bins

ROOTS, MANY_ROOTS, MANY = 256, 2048, 64
"""Steps of the square root of a probability from 0 to 1, for up to 64 symbols and for more."""

LEAST_WEIGHT = 2
"""Weight of a symbol whose probability rounds to zero; a probability of one has 16 ROOTS^2."""

MAP_ERROR = 1e-14
"""Relative error of the map from x_0 to raw values, a short formula in float64."""

GRID = 2.0**16
"""Steps of a unit of x_t to which the draws of a layer are rounded."""

QUANTILES = 2.0**20
"""By how much the distance of a uniform number from a boundary is scaled."""

ANYTHING = 0.25
"""A margin from which on a value could round to more than two integers."""


class Arithmetic(abc.ABC):
    """How a stack turns the floats of laws into integers."""

    @property
    def unfinished(self) -> bool:
        """Whether a reader has not yet read all that was written."""
        return False

    @abc.abstractmethod
    def next_law(self) -> None:
        """Marks that the next law begins. Writer and reader mark the same laws, the reader in
        reverse."""

    @abc.abstractmethod
    def weights(self, probs: np.ndarray) -> np.ndarray:
        """The coder's weights (n, L), float64, for probabilities (n, L) of a law."""

    @abc.abstractmethod
    def window(self, law: Family, bins: "Bins", present: Tensor) -> Window:
        """The bins around the mean of a law, where `present` (B, *) marks values that exist."""

    @abc.abstractmethod
    def raw_edge(self, raw: Tensor, unit: Tensor, slope: Tensor, record: bool = True) -> Tensor:
        """The end of a bin in raw values, (B, *), float64.

        Args:
            raw: the end as the space maps it.
            unit: multiples of which are portable, broadcasting to (B, *).
            slope: by how much `raw` moves with x_0, broadcasting to (B, *).
            record: whether the stream depends on the result.
        """

    @abc.abstractmethod
    def quantile(self, law: Family, u: Tensor, support: Support) -> Tensor:
        """The values of a law at u (B, *) in (0, 1), (B, *), float64.

        Args:
            law: a batch (B, *), float64.
            u: where its distribution function is inverted.
            support: the values that the law can have.
        """

    @abc.abstractmethod
    def power_of_two(self, x: Tensor) -> Tensor:
        """A power of two between x / 2 and 1.2 x for each x > 0, float64."""


class NativeFloats(Arithmetic):
    """Floats as this machine computes them. The reader must compute them to the same last bit."""

    def next_law(self) -> None:
        pass

    def weights(self, probs: np.ndarray) -> np.ndarray:
        return probs

    def window(self, law: Family, bins: "Bins", present: Tensor) -> Window:
        return FloatWindow.about(law, bins)

    def raw_edge(self, raw: Tensor, unit: Tensor, slope: Tensor, record: bool = True) -> Tensor:
        return raw

    def quantile(self, law: Family, u: Tensor, support: Support) -> Tensor:
        return law.icdf(u)

    def power_of_two(self, x: Tensor) -> Tensor:
        return torch.exp2(x.log2().floor())


class RoundedFloats(Arithmetic):
    """Float64 results rounded to integers, with a list of those near a boundary.

    Without `listed` it is a writer's, which makes the list. With it, it is a reader's.

    Args:
        epsilon: how far the float64 results of two machines may differ. Absolute for probabilities;
            relative to 1 + |x| for a value x of x_t.
        listed: for each law, by its number, positions and whether each was rounded up.
        laws: how many laws were written; the reader counts down from it.
        even_tails: whether few steps of a distribution function are halved evenly in its tails too,
            as in version 3.
    """

    def __init__(
        self,
        epsilon: float = EPSILON,
        listed: Mapping[int, Mapping[int, bool]] | None = None,
        laws: int = 0,
        even_tails: bool = False,
    ) -> None:
        self.epsilon, self.laws, self._even_tails = epsilon, laws, even_tails
        self.made: dict[int, dict[int, bool]] = {}
        self._listed = None if listed is None else {k: dict(v) for k, v in listed.items()}
        self._position = 0

    @property
    def unfinished(self) -> bool:
        listed = self._listed or {}
        return self._listed is not None and (self.laws != 0 or any(map(len, listed.values())))

    def next_law(self) -> None:
        self._position = 0
        self.laws += 1 if self._listed is None else -1

    def evenly(self, first: Tensor, last: Tensor) -> Tensor:
        """Whether intervals between steps of a distribution function are halved evenly, (n,)."""
        return last - first < FEW if self._even_tails else even_halves(first, last)

    def nearest(self, x: Tensor, margin: Tensor, record: bool = True) -> Tensor:
        """The integers next to x, which every machine finds alike.

        Args:
            x: any shape, float64.
            margin: how far x may differ on another machine, broadcasting to x.
            record: whether the stream depends on the result. If not, nothing is listed.

        Raises:
            ArithmeticError: if x is not finite, or is so uncertain that a list does not help.
        """
        if not x.isfinite().all():
            raise ArithmeticError("a step of the chain has no finite law, and cannot be coded")
        found = x.round()
        if not record:
            return found
        first, self._position = self._position, self._position + x.numel()
        if self._listed is not None:
            return self._as_listed(x, found, first)
        lower = (x - 0.5).round()
        near = (x - lower - 0.5).abs() <= margin
        if near.any():
            if (near & (margin >= ANYTHING)).any():
                raise ArithmeticError("a law is too uncertain for portable rounding")
            places = near.flatten().nonzero()[:, 0].tolist()
            up = (found > lower).flatten()[places].tolist()
            law = self.made.setdefault(self.laws - 1, {})
            law.update((first + place, higher) for place, higher in zip(places, up, strict=True))
        return found

    def _as_listed(self, x: Tensor, found: Tensor, first: int) -> Tensor:
        law = self._listed.get(self.laws) if self._listed else None
        here = [place for place in law or () if first <= place < first + x.numel()]
        if law is None or not here:
            return found
        flat, lower = found.flatten(), (x - 0.5).round().flatten()
        for place in here:
            flat[place - first] = lower[place - first] + law.pop(place)
        return flat.view_as(x)

    def weights(self, probs: np.ndarray) -> np.ndarray:
        """Square roots of probabilities are rounded: the loss is then the same for all of them,
        about a millionth of a nat a symbol."""
        _n, symbols = probs.shape
        roots = ROOTS if symbols <= MANY else MANY_ROOTS
        root = torch.from_numpy(np.sqrt(probs))
        margin = roots * self.epsilon / (2 * root).clamp(min=self.epsilon**0.5)
        steps = self.nearest(root * roots, margin).numpy()
        above = np.cumsum(16 * steps * steps + LEAST_WEIGHT, 1)  # whole numbers below 2^53
        return exact_weights(above[:, :-1] / above[:, -1:], symbols)

    def window(self, law: Family, bins: "Bins", present: Tensor) -> Window:
        return RoundedWindow.about(law, bins, present, self)

    def raw_edge(self, raw: Tensor, unit: Tensor, slope: Tensor, record: bool = True) -> Tensor:
        margin = MAP_ERROR * (raw.abs() + slope.abs()) / unit
        return self.nearest(raw / unit, margin, record) * unit

    def quantile(self, law: Family, u: Tensor, support: Support) -> Tensor:
        if isinstance(support, FiniteSupport):
            place = torch.zeros_like(u)
            for value in support.values[:-1]:
                # Above 1/2 where u is above the mass up to this value.
                end = torch.full_like(u, float(value))
                below = law.log_mass(torch.full_like(u, -math.inf), end).exp()
                above = ((u - below) * QUANTILES).clamp(-0.4, 0.4) + 0.5
                place += self.nearest(above, torch.tensor(QUANTILES * self.epsilon).double())
            return support.values.double()[place.long()]
        x = law.icdf(u)
        return self.nearest(x * GRID, GRID * self.epsilon * (1 + x.abs())) / GRID

    def power_of_two(self, x: Tensor) -> Tensor:
        # The boundary is not at the powers of two themselves, where widths often are.
        exponent = self.nearest(x.double().log2() - 0.25, torch.tensor(1e-6).double())
        return torch.ldexp(torch.ones_like(exponent), exponent.int())
