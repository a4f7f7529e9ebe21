r"""A stack of bits, by constriction's range asymmetric numeral systems: what is pushed last is
popped first, and popping what was never pushed draws from its law."""

__all__ = ["Stack", "borrowed_words"]

import hashlib
from typing import Self

import constriction
import numpy as np

_WORD = np.dtype("<u4")
_Coder = constriction.stream.stack.AnsCoder
_choices = constriction.stream.model.Categorical(perfect=False)
_uniform = constriction.stream.model.Uniform()


def borrowed_words(count: int) -> np.ndarray:
    """The first `count` of the words that a stream starts on, the first of them on top: SHAKE-256
    of "quasistatic", read as little-endian 32-bit words."""
    words = np.frombuffer(hashlib.shake_256(b"quasistatic").digest(4 * count), _WORD)
    return words[::-1].astype(np.uint32)


DIGIT = 24
"""Bits of the largest number that the coder takes at once."""


def _digits(size: np.ndarray) -> np.ndarray:
    """Bits of the numbers below `size` (n,) that the coder's largest number leaves over, (n,)."""
    upper = (size.astype(np.int64) - 1) >> DIGIT  # below 2^39, which float64 holds
    return np.frexp(upper.astype(np.float64))[1].astype(np.int64)


class Stack:
    """Words of 32 bits, of which the lowest are borrowed: made, and known to whoever reads.

    Symbols are arrays of whole numbers (n,); a push and the pop with the same laws undo each
    other. Probabilities are kept to 24 bits, and no symbol has less than one unit of them.
    """

    def __init__(self, words: np.ndarray, sealed: bool) -> None:
        self._coder = _Coder(words, seal=sealed)
        self._lowest = self._coder.num_words()

    @classmethod
    def start(cls, room: int) -> Self:
        """A stack on `room` borrowed words."""
        return cls(borrowed_words(room), sealed=True)

    @classmethod
    def resume(cls, payload: np.ndarray) -> Self:
        """The stack that :meth:`payload` was taken from.

        Raises:
            ValueError: if it cannot be one.
        """
        if not len(payload) or payload[-1] == 0:
            raise ValueError("the words of a stream end in one that is not zero")
        return cls(payload.astype(np.uint32), sealed=False)

    @property
    def words(self) -> int:
        """Words in use, borrowed ones included."""
        return self._coder.num_words()

    @property
    def bits(self) -> int:
        """Bits in use, borrowed ones included."""
        return self._coder.num_valid_bits()

    @property
    def lowest(self) -> int:
        """Words that no pop has reached yet."""
        return max(0, self._lowest - 2)  # the coder holds the two upmost in its state

    def payload(self) -> np.ndarray:
        """The words above those that were never reached, (n,), uint32."""
        return self._coder.get_compressed()[self.lowest :]

    def given_back(self, borrowed: int) -> bool:
        """Whether the stack holds `borrowed` words as they were borrowed, and nothing else."""
        words = np.append(borrowed_words(borrowed), np.uint32(1))
        return np.array_equal(self._coder.get_compressed(), words)

    def push_choices(self, probs: np.ndarray, chosen: np.ndarray) -> None:
        """Symbols below L, by their probabilities (n, L), float64."""
        self._coder.encode_reverse(chosen.astype(np.int32), _choices, probs)

    def pop_choices(self, probs: np.ndarray) -> np.ndarray:
        return self._popped(self._coder.decode(_choices, probs)).astype(np.int64)

    def push_below(self, x: np.ndarray, size: np.ndarray) -> None:
        """Whole numbers 0 <= x < size < 2^63, all alike probable (to a 2^23rd), (n,) both. Those
        of more than 24 bits have their lower ones in digits of their own."""
        lower = _digits(size)
        if not lower.any():
            return self._push_digit(x, size)
        first = np.minimum(lower, DIGIT)
        second = lower - first
        self._push_digit(x & ((1 << first) - 1), 1 << first)
        self._push_digit((x >> first) & ((1 << second) - 1), 1 << second)
        self._push_digit(x >> lower, ((size - 1) >> lower) + 1)

    def pop_below(self, size: np.ndarray) -> np.ndarray:
        lower = _digits(size)
        if not lower.any():
            return self._pop_digit(size)
        first = np.minimum(lower, DIGIT)
        second = lower - first
        x = self._pop_digit(((size - 1) >> lower) + 1) << lower
        x += self._pop_digit(1 << second) << first
        return x + self._pop_digit(1 << first)

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
