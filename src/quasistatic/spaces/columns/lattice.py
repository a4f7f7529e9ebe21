"""Nested decimal lattices: all multiples of 0.01, of which some are multiples of 0.5."""

__all__ = ["Lattices"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TRIED = 12
"""Places on either side that are looked at for one that is free."""


@dataclass(frozen=True)
class Lattices:
    """Lattices of numbers, each within the one before. A number belongs to the coarsest lattice
    that it lies on. Atoms belong to none.

    Args:
        decimals: of the finest lattice, whose step is 10^-decimals.
        steps: of each lattice, in units of 10^-decimals; the first is 1, and each divides the next.
        atoms: numbers that are no places, ascending.
        left, right: ends beyond which :meth:`place` puts nothing; infinite where there is none.
            There are cells beyond them, so that the probabilities of all cells add up to one.
    """

    decimals: int
    steps: tuple[int, ...]
    atoms: tuple[float, ...] = ()
    left: float = -math.inf
    right: float = math.inf

    @property
    def unit(self) -> float:
        """10^decimals."""
        return 10.0**self.decimals

    def index(self, v: Tensor) -> Tensor:
        """The nearest multiple of the finest step, as a whole number in float64."""
        return (v.double() * self.unit).round()

    def lattice(self, w: Tensor) -> Tensor:
        """The coarsest lattice of each index w."""
        found = torch.zeros_like(w, dtype=torch.long)
        for k, step in enumerate(self.steps[1:], 1):
            found = torch.where(torch.remainder(w, float(step)) == 0, k, found)
        return found

    def _free(self, w: Tensor, k: Tensor) -> Tensor:
        """Whether each index is a place of lattice k, also beyond the ends."""
        own = self.lattice(w) == k
        if self.atoms:
            atoms = self.index(torch.tensor(self.atoms, dtype=torch.float64, device=w.device))
            at = torch.searchsorted(atoms, w).clamp(max=len(atoms) - 1)
            own &= atoms[at] != w
        return own

    def _step(self, k: Tensor) -> Tensor:
        return torch.tensor(self.steps, dtype=torch.float64, device=k.device)[k]

    def cells(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The ends of the cell of each number: half way to the next places of its lattice."""
        w = self.index(v)
        k = self.lattice(w)
        step, ends = self._step(k), []
        for sign in (-1.0, 1.0):
            beside = w + sign * step
            for _ in range(TRIED):
                beside = torch.where(self._free(beside, k), beside, beside + sign * step)
            beside = torch.where(self._free(beside, k), beside, w + sign * step)
            ends.append((w + beside) / 2)
        return ends[0] / self.unit, ends[1] / self.unit

    def interval(self, low: float, high: float, k: int) -> tuple[float, float] | None:
        """The ends of the cells of the places of lattice k from `low` to `high`, infinite where an
        end is open; None if there is none."""
        ends = []
        for end, sign in ((low, 1.0), (high, -1.0)):
            if not math.isfinite(end):
                ends.append(end)
                continue
            step = self.steps[k] / self.unit
            w = math.ceil(end / step - 1e-9) if sign > 0 else math.floor(end / step + 1e-9)
            for _ in range(TRIED):
                at = torch.tensor([w * self.steps[k]], dtype=torch.float64)
                if self._free(at, torch.tensor([k]))[0]:
                    break
                w += int(sign)
            cells = self.cells(torch.div(at, self.unit))
            ends.append(float(cells[0 if sign > 0 else 1][0]))
        return (ends[0], ends[1]) if ends[0] < ends[1] else None

    def place(self, v: Tensor, k: Tensor) -> Tensor:
        """The place of lattice k that is nearest to each number v, between the ends."""
        step = self._step(k)
        exact = v.double().clamp(self.left, self.right) * self.unit
        base = (exact / step).round()
        best, off = base * step, torch.full_like(base, math.inf)
        for j in sorted(range(-TRIED, TRIED + 1), key=abs):
            w = (base + j) * step
            inside = (w >= self.left * self.unit - 0.5) & (w <= self.right * self.unit + 0.5)
            far = torch.where(self._free(w, k) & inside, (w - exact).abs(), math.inf)
            best, off = torch.where(far < off, w, best), torch.minimum(off, far)
        return best / self.unit

    @property
    def labels(self) -> list[str]:
        """The step of each lattice, as text."""
        return [f"{step / self.unit:.10g}" for step in self.steps]
