r"""The end of a chain on the stack: raw values that x_0 determines, or that are drawn from it."""

__all__ = ["DeterminedValues", "DrawnValues", "RawValues", "Reached"]

import abc
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..distributions import Family
from ..model import Model
from .alphabets import Alphabet
from .stack import Stack


class Reached(NamedTuple):
    """Where a code stands at x_0.

    Args:
        x_0: with shape (B, *state).
        alphabet: of what p(raw | x_1) or p(x_0 | x_1) codes.
        values: that it codes.
    """

    x_0: Tensor
    alphabet: Alphabet
    values: Tensor


class RawValues(abc.ABC):
    """How raw values and x_0 lie on a stack."""

    @abc.abstractmethod
    def push(self, stack: Stack, model: Model, raw: Tensor, blank: Tensor) -> Reached:
        """Goes from raw values (B, *shape), float64, to x_0; `blank` is an empty x_0. The values of
        the result are yet to be pushed by the last step of the chain."""

    @abc.abstractmethod
    def pop(
        self, stack: Stack, model: Model, law: Family, unknown: Tensor, blank: Tensor
    ) -> Reached:
        """Pops what the last step of the chain codes.

        Args:
            law: the last step.
            unknown: NaN where a raw value is missing, with shape (B, *shape).
            blank: an empty x_0.
        """

    @abc.abstractmethod
    def finish(self, stack: Stack, model: Model, reached: Reached, unknown: Tensor) -> Tensor:
        """The raw values (B, *shape), after x_1 was pushed back."""


@dataclass(frozen=True)
class DeterminedValues(RawValues):
    """Raw values that follow from x_0, and x_0 from them.

    Args:
        alphabet: of raw values.
    """

    alphabet: Alphabet

    def push(self, stack: Stack, model: Model, raw: Tensor, blank: Tensor) -> Reached:
        return Reached(model.space.encode(raw.to(blank)), self.alphabet, raw)

    def pop(
        self, stack: Stack, model: Model, law: Family, unknown: Tensor, blank: Tensor
    ) -> Reached:
        raw = self.alphabet.pop(stack, law, unknown)
        return Reached(model.space.encode(raw.to(blank)), self.alphabet, raw)

    def finish(self, stack: Stack, model: Model, reached: Reached, unknown: Tensor) -> Tensor:
        return reached.values


@dataclass(frozen=True)
class DrawnValues(RawValues):
    """Raw values of which x_0 is a draw: one more layer of bits-back coding. x_0 is popped by
    q(x_0 | raw), and the raw values are pushed by p(raw | x_0). The stack grows by minus the
    log-weight of x_0.

    Args:
        alphabet: of x_0.
        raw: of raw values.
        on_host: moves a law to the CPU.
    """

    alphabet: Alphabet
    raw: Alphabet
    on_host: Callable[[Any], Any]

    def push(self, stack: Stack, model: Model, raw: Tensor, blank: Tensor) -> Reached:
        q = self._encoder(model, raw, blank)
        x_0 = self.alphabet.pop(stack, q, blank)
        p = self._decoder(model, x_0)
        for row in range(len(raw)):  # one at a time, as each has as many masses as levels
            self.raw.push(stack, _row(p, row), raw[row : row + 1])
        return Reached(x_0, self.alphabet, x_0)

    def pop(
        self, stack: Stack, model: Model, law: Family, unknown: Tensor, blank: Tensor
    ) -> Reached:
        x_0 = self.alphabet.pop(stack, law, blank)
        return Reached(x_0, self.alphabet, x_0)

    def finish(self, stack: Stack, model: Model, reached: Reached, unknown: Tensor) -> Tensor:
        x_0, p = reached.x_0, self._decoder(model, reached.x_0)
        rows = reversed(range(len(x_0)))
        popped = [self.raw.pop(stack, _row(p, row), unknown[row : row + 1]) for row in rows]
        raw = torch.cat(popped[::-1])
        self.alphabet.push(stack, self._encoder(model, raw, x_0), x_0)
        return raw

    def _encoder(self, model: Model, raw: Tensor, blank: Tensor) -> Family:
        device = model.blank(1).device
        found: Family = self.on_host(model.space.encoder(raw.to(blank).to(device)))  # type: ignore[attr-defined]
        return found

    def _decoder(self, model: Model, x_0: Tensor) -> Family:
        device = model.blank(1).device
        found: Family = self.on_host(model.space.decoder(x_0.to(device)))  # type: ignore[attr-defined]
        return found


def _row(law: Family, row: int) -> Family:
    """The law of one example, as a batch of one."""
    parts = {
        field.name: getattr(law, field.name)[row : row + 1]
        for field in fields(law)  # type: ignore[arg-type]
        if field.name != "values"
    }
    return replace(law, **parts)  # type: ignore[type-var]
