"""Random draws for tensors on any device, from a generator on any other device."""

__all__ = [
    "ExampleStreams",
    "Player",
    "Recorder",
    "Rng",
    "RowStreams",
    "Streams",
    "Tape",
    "as_generator",
    "below",
    "mixed_seed",
    "normal",
    "permutation",
    "seed_from",
    "uniform",
]

import abc
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import TypeAlias

import torch
from torch import Tensor

Rng: TypeAlias = int | torch.Generator | None
"""The seed of a generator, a generator, or None for PyTorch's global generator."""


def as_generator(rng: Rng) -> torch.Generator | None:
    """The generator that a verb draws from.

    Args:
        rng: a seed makes a new CPU generator, so that the same seed repeats the same draws on every
            device. A generator is used as it is, and its state advances. None means PyTorch's
            global generator.

    Raises:
        TypeError: if `rng` is something else, a NumPy generator for example.
    """
    if rng is None or isinstance(rng, torch.Generator):
        return rng
    if isinstance(rng, Integral) and not isinstance(rng, bool):
        return torch.Generator().manual_seed(int(rng))
    raise TypeError(
        f"rng must be an int, a torch.Generator or None, got {type(rng).__name__}: pass a seed"
    )


Draw: TypeAlias = Callable[[torch.Generator], Tensor]
"""A function that makes one draw with a generator."""

BLOCK = 16
"""Examples that share one generator of :class:`ExampleStreams`. Draws are made for whole blocks: a
larger block wastes more draws where there are few examples, and a smaller one needs more calls
where there are many."""


class Streams(torch.Generator):
    """A generator whose draws for an example do not depend on the examples beside it.

    :func:`uniform` and :func:`normal` take it for tensors whose first axis is the examples."""

    def draw(self, shape: Sequence[int], draw: Callable[..., Tensor]) -> Tensor:
        """Draws of `shape`, where draw(shape, generator=...) makes those of one generator."""
        raise NotImplementedError


class RowStreams(Streams):
    """A generator for each of some rows. The first axis of a draw holds equally many numbers for
    each row, one row after the other: its particles, say.

    Args:
        generators: one for each row, on the CPU.
    """

    def __new__(cls, generators: Sequence[torch.Generator]) -> "RowStreams":
        return super().__new__(cls, "cpu")  # type: ignore[call-arg]

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = tuple(generators)

    def draw(self, shape: Sequence[int], draw: Callable[..., Tensor]) -> Tensor:
        each, rest = divmod(shape[0], len(self._generators))
        if rest:
            raise ValueError(
                f"these streams are for {len(self._generators)} rows, got shape {tuple(shape)}"
            )
        own = [draw((each, *shape[1:]), generator=generator) for generator in self._generators]
        return torch.cat(own)


class ExampleStreams(Streams):
    """A generator whose draws for an example depend on the seed and the example's number only.

    :func:`uniform` and :func:`normal` take it for tensors whose first axis is the examples. Ten
    examples then get the same draws alone, in a batch of thousands, and in any split of it. Used as
    a plain generator, it is one with a seed made of `seed` and `first`.

    Args:
        seed: from 0 to 2^63 - 1.
        first: the number of the first example.
        count: how many examples there are.
        device: where the draws are made.
    """

    def __new__(
        cls, seed: int, first: int, count: int, device: torch.device | str = "cpu"
    ) -> "ExampleStreams":
        return super().__new__(cls, device)  # type: ignore[call-arg]

    def __init__(
        self, seed: int, first: int, count: int, device: torch.device | str = "cpu"
    ) -> None:
        self.count, self._skipped = count, first % BLOCK
        self.manual_seed(mixed_seed(seed, -1 - first))
        blocks = range(first // BLOCK, -(-(first + count) // BLOCK))
        self._blocks = [
            torch.Generator(device).manual_seed(mixed_seed(seed, number)) for number in blocks
        ]

    def draw(self, shape: Sequence[int], draw: Callable[..., Tensor]) -> Tensor:
        """Draws with shape (count, *); draw(shape, generator=...) makes those of a block.

        Raises:
            ValueError: if the first axis is not the examples.
        """
        if shape[0] != self.count:
            raise ValueError(f"these streams are for {self.count} examples, got shape {shape}")
        parts = [draw((BLOCK, *shape[1:]), generator=generator) for generator in self._blocks]
        return torch.cat(parts)[self._skipped : self._skipped + self.count]


def seed_from(rng: torch.Generator | None) -> int:
    """A seed for other generators, drawn from one, or from PyTorch's global generator."""
    at = torch.device("cpu") if rng is None else rng.device
    return int(torch.randint(2**63 - 1, (), generator=rng, device=at))


def mixed_seed(seed: int, number: int) -> int:
    """A seed from 0 to 2^63 - 1 for each pair of numbers, by a hash (SplitMix64). Different pairs
    give unrelated seeds."""
    mask = 2**64 - 1
    for part in (seed, number):
        z = (seed * 0xD1342543DE82EF95 + part + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        seed = z ^ (z >> 31)
    return seed >> 1


class Tape(abc.ABC):
    """A stand-in for a generator, so that a function draws nothing itself: its random draws become
    arguments. Compiled code and CUDA graphs need this, as they cannot call a generator.

    The drawing functions of this module accept a tape wherever they accept a generator. Record the
    draws of a function once, make them anew as often as needed, and play them back::

        recorder = Recorder(rng)
        f(x, recorder)                          # draws from rng, and remembers how
        draws = recorder.redraw(rng)            # the same draws in the same order, made anew
        f(x, Player(draws, rng.device))         # a function of tensors only
    """

    device: torch.device

    @abc.abstractmethod
    def take(self, draw: Draw) -> Tensor:
        """The next draw of the function; `draw` makes it with a generator."""


class Recorder(Tape):
    """Makes each draw with a generator, and remembers how it was made."""

    def __init__(self, rng: torch.Generator) -> None:
        self.rng, self.device = rng, rng.device
        self.calls: list[Draw] = []

    def take(self, draw: Draw) -> Tensor:
        self.calls.append(draw)
        return draw(self.rng)

    def redraw(self, rng: torch.Generator) -> list[Tensor]:
        """All recorded draws in their order, made anew by a generator."""
        return [call(rng) for call in self.calls]


class Player(Tape):
    """Returns draws that were made before, one after the other."""

    def __init__(self, draws: Sequence[Tensor], device: torch.device) -> None:
        self.draws, self.device, self.place = draws, device, 0

    def take(self, draw: Draw) -> Tensor:
        self.place += 1
        return self.draws[self.place - 1]


def uniform(
    shape: Sequence[int],
    rng: "torch.Generator | Tape | None",
    like: Tensor,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform draws from [0, 1) on the device of `like`, in its dtype unless another is given."""
    if isinstance(rng, Tape):
        blank, dtype = like.new_empty(0), dtype or like.dtype
        return rng.take(lambda source: uniform(shape, source, blank, dtype))
    at, dtype = _device(rng, like), dtype or like.dtype
    if isinstance(rng, Streams):
        return rng.draw(shape, partial(torch.rand, dtype=dtype, device=at)).to(like.device)
    return torch.rand(tuple(shape), generator=rng, dtype=dtype, device=at).to(like.device)


def normal(shape: Sequence[int], rng: "torch.Generator | Tape | None", like: Tensor) -> Tensor:
    """Standard normal draws on the device of `like`, in its dtype."""
    if isinstance(rng, Tape):
        blank = like.new_empty(0)
        return rng.take(lambda source: normal(shape, source, blank))
    at = _device(rng, like)
    if isinstance(rng, Streams):
        return rng.draw(shape, partial(torch.randn, dtype=like.dtype, device=at)).to(like.device)
    return torch.randn(tuple(shape), generator=rng, dtype=like.dtype, device=at).to(like.device)


def permutation(n: int, rng: "torch.Generator | Tape | None", like: Tensor) -> Tensor:
    """The numbers 0, ..., n - 1 in random order, on the device of `like`."""
    if isinstance(rng, Tape):
        blank = like.new_empty(0)
        return rng.take(lambda source: permutation(n, source, blank))
    return torch.randperm(n, generator=rng, device=_device(rng, like)).to(like.device)


def below(n: int, count: int, rng: "torch.Generator | Tape | None", like: Tensor) -> Tensor:
    """`count` random whole numbers from 0 to n - 1, on the device of `like`."""
    if isinstance(rng, Tape):
        blank = like.new_empty(0)
        return rng.take(lambda source: below(n, count, source, blank))
    at = _device(rng, like)
    return torch.randint(n, (count,), generator=rng, device=at).to(like.device)


def _device(rng: torch.Generator | None, like: Tensor) -> torch.device:
    return like.device if rng is None else rng.device
