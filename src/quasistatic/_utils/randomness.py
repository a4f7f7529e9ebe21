"""Draws that a generator of any device makes for tensors of any other."""

__all__ = [
    "Player",
    "Recorder",
    "Rng",
    "Tape",
    "as_generator",
    "below",
    "choice",
    "normal",
    "permutation",
    "uniform",
]

import abc
from collections.abc import Callable, Sequence
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
            device. A generator is used as it is, and moves on. None means PyTorch's global
            generator.

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
    """Uniform draws from [0, 1), where `like` is, and in its type unless another is given."""
    if isinstance(rng, Tape):
        blank, dtype = like.new_empty(0), dtype or like.dtype
        return rng.take(lambda source: uniform(shape, source, blank, dtype))
    at, dtype = _device(rng, like), dtype or like.dtype
    return torch.rand(tuple(shape), generator=rng, dtype=dtype, device=at).to(like.device)


def normal(shape: Sequence[int], rng: "torch.Generator | Tape | None", like: Tensor) -> Tensor:
    """Standard normal draws, where `like` is and in its type."""
    if isinstance(rng, Tape):
        blank = like.new_empty(0)
        return rng.take(lambda source: normal(shape, source, blank))
    at = _device(rng, like)
    return torch.randn(tuple(shape), generator=rng, dtype=like.dtype, device=at).to(like.device)


def permutation(n: int, rng: "torch.Generator | Tape | None", like: Tensor) -> Tensor:
    """The numbers below n in random order, where `like` is."""
    if isinstance(rng, Tape):
        blank = like.new_empty(0)
        return rng.take(lambda source: permutation(n, source, blank))
    return torch.randperm(n, generator=rng, device=_device(rng, like)).to(like.device)


def below(n: int, count: int, rng: "torch.Generator | Tape | None", like: Tensor) -> Tensor:
    """`count` whole numbers below n, where `like` is."""
    if isinstance(rng, Tape):
        blank = like.new_empty(0)
        return rng.take(lambda source: below(n, count, source, blank))
    at = _device(rng, like)
    return torch.randint(n, (count,), generator=rng, device=at).to(like.device)


def choice(probs: Tensor, rng: torch.Generator | None) -> Tensor:
    """A place in each row of probabilities (n, K), drawn by them, with shape (n,)."""
    here = probs.to(_device(rng, probs))
    return torch.multinomial(here, 1, replacement=True, generator=rng)[:, 0].to(probs.device)


def _device(rng: torch.Generator | None, like: Tensor) -> torch.device:
    return like.device if rng is None else rng.device
