r"""The batches of training: rows in a new order in each epoch, shared out among the parts of a
step, and a seed for each part.

All of it follows from the seed of the run and the number of the step. So a resumed run needs no
memory of what it has seen, and several processes need no communication about it.
"""

__all__ = ["DataLoader", "Given", "Part", "as_rows", "as_source", "mix"]

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.validation import as_tensor
from ..conditions import Condition
from ..data.sources import Rows, Source
from ..model import Model
from ..spaces import Space
from .distributed import Engine

VALIDATION, EPOCH, VIEW, DROPPED = -1, -2, -3, -(2**32)
"""Lanes of seeds; those from 0 are the parts' own."""

CHECKED = 1 << 22
"""Values that are checked at once."""

RESIDENT = 0.25
"""An array is kept on a GPU if it takes at most this share of the memory that is free there."""


@dataclass(frozen=True)
class Part:
    """A share of a step's batch.

    Args:
        rows: the numbers of its rows in the data, on the CPU, with shape (B,).
        raw: their raw values on the device, with shape (B, *).
        seed: the seed of what is drawn for them.
        code: of the condition on the device, with shape (B, width); None of a model without one.
    """

    rows: Tensor
    raw: Tensor
    seed: int
    code: Tensor | None = None


@dataclass(frozen=True)
class Given:
    """The condition of each row of the data.

    Args:
        condition: what y is.
        codes: of all rows, on the CPU, with shape (N, width).
        dropped: the share of the examples of a step that lose it.
    """

    condition: Condition
    codes: Tensor
    dropped: float = 0.0

    @classmethod
    def of(
        cls, model: Model, y: object, rows: int, dropped: float = 0.0, name: str = "given"
    ) -> "Given | None":
        """The conditions y of `rows` examples for a model; None for a model without a condition.

        Raises:
            TypeError: if the model has a condition and y is None, or the reverse.
            ValueError: if y is not one value for each row.
        """
        if y is None and model.condition is None:
            return None
        condition = model.require_condition()
        if y is None:
            raise TypeError(
                f"the model has a condition, {condition!r:.100}, and {name} is missing: pass "
                f"{name}=y, one value for each row; without it only p(x) would be trained, which "
                "needs no condition"
            )
        codes = condition.encode(y)
        if len(codes) != rows:
            raise ValueError(
                f"{name} has {len(codes)} values for {rows} rows: give one for each row"
            )
        return cls(condition, codes.to(model.blank(1).dtype), dropped)

    def fingerprint(self) -> str:
        """What tells these conditions from others."""
        return hashlib.sha256(self.codes.contiguous().numpy().data).hexdigest()

    def take(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        """The codes of rows (B,), with shape (B, width), removed for a share of them."""
        return self.condition.dropped(self.codes[rows], self.dropped, rng)


class DataLoader:
    """The batches of a run.

    An array that takes little of a GPU's memory is copied there once. All other data are gathered
    on the CPU and copied batch by batch, while the device is busy with the step before.

    Args:
        source: the data.
        batch: rows a step, over all parts; all of them where there are fewer.
        parts: how many parts a step has, over all processes.
        seed: the seed of the run.
        engine: the device and the processes.
        given: the condition of each row; None for a model without one.

    Raises:
        ValueError: if a batch has fewer rows than parts.
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        parts: int,
        seed: int,
        engine: Engine,
        given: Given | None = None,
    ) -> None:
        self.given = given
        self.source, self.seed, self.engine, self.parts = source, seed, engine, parts
        self.size = min(batch, len(source))
        if self.size < parts:
            raise ValueError(
                f"a batch of {self.size} rows cannot be shared among {parts} parts (processes x "
                "accumulate): give a larger batch, or fewer of them"
            )
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)
        self._ready: tuple[int, list[Part]] = (-1, [])
        self._rng = torch.Generator()
        self._resident: Tensor | None = None
        if isinstance(source, Rows):
            size = source.array.numel() * source.array.element_size()
            if size <= RESIDENT * engine.free_memory():
                self._resident = source.array.to(engine.device)

    def prepare(self, step: int) -> None:
        """Gets the parts of a step ahead of :meth:`take`: to be called while a GPU is busy with
        the step before."""
        self._ready = step, self._parts(step)

    def take(self, step: int) -> list[Part]:
        """This process's parts of a step, counted from 0."""
        ready, parts = self._ready
        return parts if ready == step else self._parts(step)

    def first(self, n: int) -> Tensor:
        """The first n rows or fewer, (B, *), on the device: the same each time."""
        rng = torch.Generator().manual_seed(mix(self.seed, 0, VIEW))
        return self.engine.move(self.source.batch(torch.arange(min(n, len(self.source))), rng))

    def _parts(self, step: int) -> list[Part]:
        rows, parts = self._rows(step), []
        for part in range(self.engine.rank, self.parts, self.engine.ranks):
            mine = rows[part :: self.parts]
            raw, code = self._raw(mine, step, part), self._code(mine, step, part)
            parts.append(Part(mine, raw, mix(self.seed, step, part), code))
        return parts

    def _code(self, rows: Tensor, step: int, part: int) -> Tensor | None:
        if self.given is None:
            return None
        rng = torch.Generator().manual_seed(mix(self.seed, step, DROPPED - part))
        return self.engine.move(self.given.take(rows, rng))

    def _raw(self, rows: Tensor, step: int, part: int) -> Tensor:
        if self._resident is not None:
            return self._resident.index_select(0, self.engine.move(rows))
        self._rng.manual_seed(mix(self.seed, step, VIEW - part))
        return self.engine.move(self.source.batch(rows, self._rng))

    def _rows(self, step: int) -> Tensor:
        n, start = len(self.source), step * self.size
        first, last = start // n, (start + self.size - 1) // n
        rows = torch.cat([self._permutation(epoch) for epoch in range(first, last + 1)])
        return rows[start - first * n :][: self.size]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed(mix(self.seed, epoch, EPOCH))
            self._epoch, self._order = epoch, self.source.order(rng)
        return self._order


def as_source(space: Space, x: object, dtype: torch.dtype) -> Source:
    """Training data of any kind, checked against the space: a source by its first 16 rows, an
    array by :func:`as_rows`.

    Raises:
        ValueError, TypeError: if they do not fit the space.
    """
    if not isinstance(x, Source):
        return as_rows(space, x, dtype)
    if x.shape != space.shape:
        raise ValueError(
            f"{type(x).__name__} gives examples of shape {x.shape}, and the space is of shape "
            f"{space.shape}: build the one with the shape of the other"
        )
    space.check(x.batch(torch.arange(min(len(x), 16)), torch.Generator().manual_seed(0)))
    return x


def as_rows(space: Space, x: object, dtype: torch.dtype, name: str = "x") -> Rows:
    """An array (N, *), checked against the space piece by piece, so that bytes are never all
    converted to four-byte numbers at once. Floating-point numbers take the model's dtype.

    Raises:
        ValueError, TypeError: if it does not fit the space.
    """
    array = as_tensor(x, name)
    if array.ndim == 0 or len(array) == 0:
        space.check(array, name)
    at_once = max(1, CHECKED // max(1, array[0].numel()))
    for piece in torch.split(array, at_once):
        try:
            space.check(piece, name)
        except (TypeError, ValueError):
            space.check(array, name)  # the same error, with the row's place in the whole
            raise
    return Rows(array.to(dtype) if array.is_floating_point() else array)


def mix(seed: int, step: int, lane: int) -> int:
    """A seed for each (seed, step, lane), far apart in every one of them (splitmix64)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + lane * 0x8CB92BA72F3D8DD7) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1
