r"""How a stream depends on the machine: by its floats to the last bit, or by rounded laws alone."""

__all__ = ["Native", "Portability", "Portable", "portability_of"]

import abc
import copy
from dataclasses import dataclass, field

import numpy as np
import torch

from ..model import Model
from .arithmetic import Arithmetic, NativeFloats, RoundedFloats
from .frequencies import EPSILON
from .varints import pack_numbers, unpack_numbers


class Portability(abc.ABC):
    """What the writer and the reader of a stream need to have alike."""

    epsilon: float | None
    """How far float64 results may differ; None if floats must be equal."""

    dtype: torch.dtype | None
    """The type that the model computes in; None for the type of its weights."""

    bins: int
    """Bins of a latent value to its least standard deviation, in streams that are written now."""

    @abc.abstractmethod
    def computing(self, model: Model) -> Model:
        """The model that computes the laws of a stream."""

    @abc.abstractmethod
    def writer(self) -> Arithmetic:
        """The arithmetic of something that is written."""

    @abc.abstractmethod
    def reader(self, listed: bytes) -> Arithmetic:
        """The arithmetic of something that is read.

        Args:
            listed: what :meth:`listed` gave when it was written.

        Raises:
            ValueError: if the list is malformed.
        """

    @abc.abstractmethod
    def listed(self, arithmetic: Arithmetic) -> bytes:
        """What a reader has to know of the rounding of a writer."""

    @abc.abstractmethod
    def payload(self, arithmetic: Arithmetic, words: np.ndarray) -> bytes:
        """The payload of a block, from its words."""

    @abc.abstractmethod
    def split(self, payload: bytes) -> tuple[Arithmetic, np.ndarray]:
        """The arithmetic and the words of a payload.

        Raises:
            ValueError: if it is malformed.
        """


@dataclass(frozen=True)
class Native(Portability):
    """Laws as this machine computes them, in the type of the weights. Fast, and not portable."""

    epsilon: None = field(default=None, init=False)
    dtype: None = field(default=None, init=False)
    bins: int = field(default=2, init=False)

    def computing(self, model: Model) -> Model:
        return model

    def writer(self) -> Arithmetic:
        return NativeFloats()

    def reader(self, listed: bytes) -> Arithmetic:
        if listed:
            raise ValueError("a stream that is not portable lists rounded values")
        return NativeFloats()

    def listed(self, arithmetic: Arithmetic) -> bytes:
        return b""

    def payload(self, arithmetic: Arithmetic, words: np.ndarray) -> bytes:
        return words.astype("<u4").tobytes()

    def split(self, payload: bytes) -> tuple[Arithmetic, np.ndarray]:
        return NativeFloats(), np.frombuffer(payload, "<u4")


@dataclass(frozen=True)
class Portable(Portability):
    """Laws in float64, rounded; see :class:`RoundedFloats`.

    Args:
        epsilon: how far the results of two machines may differ.
        even_tails: as in streams of version 3, see :class:`RoundedFloats`.
    """

    epsilon: float = EPSILON
    dtype: torch.dtype = field(default=torch.float64, init=False)
    even_tails: bool = False
    # Rounded widths may be wider by a fifth than asked for, and those of `Native` never are.
    bins: int = field(default=3, init=False)

    def computing(self, model: Model) -> Model:
        made = copy.deepcopy(model).cpu().double()
        try:
            return made.to(model.blank(1).device)
        except TypeError:  # a device without float64
            return made

    def writer(self) -> RoundedFloats:
        return RoundedFloats(self.epsilon, even_tails=self.even_tails)

    def reader(self, listed: bytes) -> RoundedFloats:
        numbers = unpack_numbers(listed)
        if len(numbers) % 2 != 1:
            raise ValueError("a list of rounded values is malformed")
        rounded: dict[int, dict[int, bool]] = {}
        law = position = 0
        for ahead, place in zip(numbers[1::2], numbers[2::2], strict=True):
            law, position = law + ahead, place // 2 + (0 if ahead else position)
            rounded.setdefault(law, {})[position] = bool(place % 2)
        return RoundedFloats(self.epsilon, rounded, numbers[0], self.even_tails)

    def listed(self, arithmetic: Arithmetic) -> bytes:
        assert isinstance(arithmetic, RoundedFloats)
        numbers, last = [arithmetic.laws], 0
        for law, values in sorted(arithmetic.made.items()):
            position = 0
            for place, up in sorted(values.items()):
                numbers += [law - last, 2 * (place - position) + up]
                last, position = law, place
        return pack_numbers(numbers)

    def payload(self, arithmetic: Arithmetic, words: np.ndarray) -> bytes:
        listed = self.listed(arithmetic)
        return pack_numbers([len(listed)]) + listed + words.astype("<u4").tobytes()

    def split(self, payload: bytes) -> tuple[RoundedFloats, np.ndarray]:
        [size], start = unpack_numbers(payload[:10], 1), 1
        while payload[start - 1] & 0x80:
            start += 1
        listed, words = payload[start : start + size], payload[start + size :]
        if len(listed) != size:
            raise ValueError("the list of rounded values is cut short")
        return self.reader(listed), np.frombuffer(words, "<u4")


def portability_of(epsilon: float | None, version: int) -> Portability:
    """What a header of this version of the format says by its `epsilon`."""
    return Native() if epsilon is None else Portable(epsilon, even_tails=version < 4)
