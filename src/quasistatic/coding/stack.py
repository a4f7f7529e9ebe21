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


DIGIT, UPPER = 24, 12
"""Bits of the largest number that the coder takes at once; bits that are told first of others."""


def _lower(size: np.ndarray) -> np.ndarray:
    """How many bits of the numbers below `size` (n,) have digits of their own, (n,). The coder's
    probabilities are multiples of 2^-24: a size that divides it is told as it is, and any other by
    few bits, of which none is much likelier than it should be."""
    bits = np.frexp(((size - 1) >> UPPER).astype(np.float64))[1].astype(np.int64)
    whole = (size & (size - 1)) == 0
    return np.where(whole, np.maximum(bits + UPPER - DIGIT, 0), bits)


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
        """Whole numbers 0 <= x < size < 2^63, all alike probable, (n,) both."""
        size = size.astype(np.int64)
        lower = _lower(size)
        for first in range(0, int(lower.max(initial=0)), DIGIT):
            digit = 1 << np.clip(lower - first, 0, DIGIT)
            self._push_digit((x >> first) & (digit - 1), digit)
        self._push_digit(x >> lower, ((size - 1) >> lower) + 1)

    def pop_below(self, size: np.ndarray) -> np.ndarray:
        size = size.astype(np.int64)
        lower = _lower(size)
        x = self._pop_digit(((size - 1) >> lower) + 1) << lower
        for first in reversed(range(0, int(lower.max(initial=0)), DIGIT)):
            x += self._pop_digit(1 << np.clip(lower - first, 0, DIGIT)) << first
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
