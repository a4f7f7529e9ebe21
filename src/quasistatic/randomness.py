"""Draws that a generator of any device makes for tensors of any other."""

__all__ = ["Tape", "below", "choice", "normal", "permutation", "uniform"]

from collections.abc import Sequence

import torch
from torch import Tensor


class Tape:
    """Draws of a step, in their order: made by a generator while `drawn` is None, and then again
    and again in one go by :meth:`again`, so that what uses them is a function of tensors."""

    def __init__(self, rng: torch.Generator, drawn: list[Tensor] | None = None) -> None:
        self.rng, self.drawn, self.calls, self.place = rng, drawn, [], 0

    @property
    def device(self) -> torch.device:
        return self.rng.device

    def take(self, how, *what) -> Tensor:
        if self.drawn is None:
            *sizes, like = [w for w in what if not isinstance(w, torch.dtype) and w is not None]
            dtype = next((w for w in what if isinstance(w, torch.dtype)), None)
            blank = like.new_empty(0)
            if how is uniform:
                call = lambda: uniform(sizes[0], self.rng, blank, dtype)
            else:
                call = lambda: how(*sizes, self.rng, blank)
            self.calls.append(call)
            return call()
        self.place += 1
        return self.drawn[self.place - 1]

    def again(self) -> list[Tensor]:
        return [call() for call in self.calls]


def uniform(
    shape: Sequence[int],
    rng: torch.Generator | None,
    like: Tensor,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform draws from [0, 1), where `like` is, and in its type unless another is given."""
    if isinstance(rng, Tape):
        return rng.take(uniform, shape, like, dtype)
    at, dtype = _device(rng, like), dtype or like.dtype
    return torch.rand(tuple(shape), generator=rng, dtype=dtype, device=at).to(like.device)


def normal(shape: Sequence[int], rng: torch.Generator | None, like: Tensor) -> Tensor:
    """Standard normal draws, where `like` is and in its type."""
    if isinstance(rng, Tape):
        return rng.take(normal, shape, like)
    at = _device(rng, like)
    return torch.randn(tuple(shape), generator=rng, dtype=like.dtype, device=at).to(like.device)


def permutation(n: int, rng: torch.Generator | None, like: Tensor) -> Tensor:
    """The numbers below n in random order, where `like` is."""
    if isinstance(rng, Tape):
        return rng.take(permutation, n, like)
    return torch.randperm(n, generator=rng, device=_device(rng, like)).to(like.device)


def below(n: int, count: int, rng: torch.Generator | None, like: Tensor) -> Tensor:
    """`count` whole numbers below n, where `like` is."""
    if isinstance(rng, Tape):
        return rng.take(below, n, count, like)
    at = _device(rng, like)
    return torch.randint(n, (count,), generator=rng, device=at).to(like.device)


def choice(probs: Tensor, rng: torch.Generator | None) -> Tensor:
    """A place in each row of probabilities (n, K), drawn by them, with shape (n,)."""
    here = probs.to(_device(rng, probs))
    return torch.multinomial(here, 1, replacement=True, generator=rng)[:, 0].to(probs.device)


def _device(rng: torch.Generator | None, like: Tensor) -> torch.device:
    return like.device if rng is None else rng.device
