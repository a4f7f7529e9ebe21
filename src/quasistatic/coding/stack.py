r"""A stack of bits, by the range asymmetric numeral systems (ANS) coder of constriction: the last
symbol pushed is popped first, and a pop of bits that no symbol was pushed to draws from its law."""

__all__ = ["LONGEST_DIGIT", "PRECISION", "Stack", "initial_words"]

import hashlib
from typing import Self

import constriction
import numpy as np

from .arithmetic import Arithmetic, NativeFloats
from .frequencies import PRECISION

_WORD = np.dtype("<u4")
_Coder = constriction.stream.stack.AnsCoder  # pyright: ignore[reportAttributeAccessIssue]
_models = constriction.stream.model  # pyright: ignore[reportAttributeAccessIssue]
_choices = _models.Categorical(perfect=False)
_uniform = _models.Uniform()

LONGEST_DIGIT = PRECISION
"""Bits of the largest number that the coder takes as one uniform symbol."""

UPPER = 12
"""Bits of a large number that are coded first where its range is no power of two."""


def initial_words(count: int) -> np.ndarray:
    """The first `count` initial words of a stack, the first of them on top.

    They are the output of SHAKE-256 for "quasistatic", read as little-endian 32-bit words.
    """
    words = np.frombuffer(hashlib.shake_256(b"quasistatic").digest(4 * count), _WORD)
    return words[::-1].astype(np.uint32)


def _lower_bits(size: np.ndarray) -> np.ndarray:
    """How many low bits of the numbers below `size` (n,) are coded as digits of their own, (n,).

    The coder's probabilities are multiples of 2^-24. A size that divides 2^24 is coded exactly. Any
    other size is coded by its few upper bits, whose probabilities are then nearly equal.
    """
    bits = np.frexp(((size - 1) >> UPPER).astype(np.float64))[1].astype(np.int64)
    power_of_two = (size & (size - 1)) == 0
    return np.where(power_of_two, np.maximum(bits + UPPER - LONGEST_DIGIT, 0), bits)


class Stack:
    """A stack of 32-bit words, of which the lowest are initial bits that the reader knows too.

    Symbols are arrays of whole numbers (n,). A push and the pop with the same law undo each other.
    Probabilities are kept to 24 bits, and each symbol has at least 2^-24.

    Args:
        words: the words on the stack, the last on top.
        sealed: whether `words` are initial bits, above which the coder marks where they end.
        arithmetic: how the floats of a law become the coder's integers.
    """

    def __init__(
        self, words: np.ndarray, sealed: bool, arithmetic: Arithmetic | None = None
    ) -> None:
        self._coder = _Coder(words, seal=sealed)
        self._lowest = self._coder.num_words()
        self.arithmetic = arithmetic or NativeFloats()

    @classmethod
    def start(cls, room: int, arithmetic: Arithmetic | None = None) -> Self:
        """A stack that holds `room` initial words."""
        return cls(initial_words(room), True, arithmetic)

    @classmethod
    def resume(cls, payload: np.ndarray, arithmetic: Arithmetic | None = None) -> Self:
        """The stack that :meth:`payload` was taken from.

        Raises:
            ValueError: if the payload is empty or its last word is zero.
        """
        if not len(payload) or payload[-1] == 0:
            raise ValueError("the payload of a stack must end in a word that is not zero")
        return cls(payload.astype(np.uint32), False, arithmetic)

    @property
    def words(self) -> int:
        """Words in use, initial words included."""
        return int(self._coder.num_words())

    @property
    def bits(self) -> int:
        """Bits in use, initial bits included."""
        return int(self._coder.num_valid_bits())

    @property
    def lowest(self) -> int:
        """How many words no pop has reached yet."""
        return int(max(0, self._lowest - 2))  # the coder holds the two uppermost in its state

    def payload(self) -> np.ndarray:
        """The words above those that no pop reached, (n,), uint32."""
        words: np.ndarray = self._coder.get_compressed()
        return words[self.lowest :]

    def holds_only(self, initial: int) -> bool:
        """Whether the stack holds exactly `initial` initial words and nothing else."""
        if self._coder.num_words() != initial + 1:
            return False
        words = np.append(initial_words(initial), np.uint32(1))
        return np.array_equal(self._coder.get_compressed(), words)

    def push_law(self, probs: np.ndarray, chosen: np.ndarray) -> None:
        """Pushes symbols below L by the probabilities (n, L) of a model's law, float64."""
        self.push_choices(self.arithmetic.weights(probs), chosen)

    def pop_law(self, probs: np.ndarray) -> np.ndarray:
        """Pops what :meth:`push_law` pushed, (n,), int64."""
        return self.pop_choices(self.arithmetic.weights(probs))

    def push_choices(self, weights: np.ndarray, chosen: np.ndarray) -> None:
        """Pushes symbols below L by weights (n, L), float64, that every machine has alike."""
        self._coder.encode_reverse(chosen.astype(np.int32), _choices, weights)

    def pop_choices(self, weights: np.ndarray) -> np.ndarray:
        """Pops what :meth:`push_choices` pushed, (n,), int64."""
        popped: np.ndarray = self._coder.decode(_choices, weights)
        return self._popped(popped).astype(np.int64)

    def push_uniform(self, x: np.ndarray, size: np.ndarray) -> None:
        """Pushes whole numbers 0 <= x < size < 2^63, equally probable, both (n,)."""
        size = size.astype(np.int64)
        lower = _lower_bits(size)
        for first in range(0, int(lower.max(initial=0)), LONGEST_DIGIT):
            digit = 1 << np.clip(lower - first, 0, LONGEST_DIGIT)
            self._push_digit((x >> first) & (digit - 1), digit)
        self._push_digit(x >> lower, ((size - 1) >> lower) + 1)

    def pop_uniform(self, size: np.ndarray) -> np.ndarray:
        """Pops what :meth:`push_uniform` pushed, (n,), int64."""
        size = size.astype(np.int64)
        lower = _lower_bits(size)
        x: np.ndarray = self._pop_digit(((size - 1) >> lower) + 1) << lower
        for first in reversed(range(0, int(lower.max(initial=0)), LONGEST_DIGIT)):
            x += self._pop_digit(1 << np.clip(lower - first, 0, LONGEST_DIGIT)) << first
        return x

    def _push_digit(self, x: np.ndarray, size: np.ndarray) -> None:
        several = size > 1
        self._coder.encode_reverse(
            x[several].astype(np.int32), _uniform, size[several].astype(np.int32)
        )

    def _pop_digit(self, size: np.ndarray) -> np.ndarray:
        several, x = size > 1, np.zeros(len(size), dtype=np.int64)
        popped = self._coder.decode(_uniform, size[several].astype(np.int32))
        x[several] = self._popped(popped)
        return x

    def _popped(self, symbols: np.ndarray) -> np.ndarray:
        self._lowest = min(self._lowest, self._coder.num_words())
        return symbols
