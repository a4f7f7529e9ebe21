"""The verbs that write and read streams: compress and decompress."""

__all__ = ["Compressing"]

import numpy as np

from ..coding import Codec
from ..sampling import Times
from .chain import Chain


class Compressing(Chain):
    """Lossless compression by the model's probabilities."""

    def compress(
        self,
        x: object,
        times: Times = 50,
        *,
        given: object = None,
        block: int = 2048,
        together: int = 64,
        workers: int | None = None,
        verify: bool = True,
        portable: bool = True,
    ) -> bytes:
        """A stream of about -K bits from which :meth:`decompress` reads x to the last bit.

        Args:
            x: raw data with shape (N, *), an array or a tensor on any device.
            times: the chain. A number is that many even times at most: fewer where T is less, and
                all where the head defines steps between neighbours only. None takes all T.
            given: y of p(x | y), for a model with a condition: one value, or one for each example.
                It is not in the stream, only its digest: :meth:`decompress` needs it too.
            block: examples in a block. Larger ones make shorter streams and take more memory.
            together: examples that the network evaluates at once.
            workers: blocks at work at a time, a thread each; None takes one for each core.
            verify: whether each block is read back before it is written; that doubles the time.
            portable: whether any machine reads the stream. Otherwise only a machine with the same
                floating-point arithmetic reads it, and writing is faster.

        Raises:
            TypeError: if raw values are not determined by x_0, as those of `Dequantized`.
            ValueError: if x is not of the model's data, or an option is out of range.
        """
        self._require_precision("compress")
        listed = self._listed(times)
        if listed is None or not self.head.jumps:
            listed = self.steps
        elif isinstance(listed, int):
            listed = min(listed, self.steps)
        codec = Codec(
            self._for(given, x),
            listed,
            block=block,
            together=together,
            workers=workers,
            verify=verify,
            portable=portable,
        )
        return codec.compress(x)

    def decompress(
        self, stream: bytes, anyway: bool = False, *, given: object = None
    ) -> np.ndarray:
        """The array of a stream that :meth:`compress` made.

        Args:
            stream: what :meth:`compress` gave.
            anyway: also read a stream that is not portable and was written with other arithmetic;
                wrong values are found by their checksums.
            given: y, as it was given to :meth:`compress`.

        Raises:
            StreamError: if it was altered, written by another model or for another y, or cannot be
                read here.
        """
        model = self if given is None else self.given(given)
        return Codec(model).decompress(stream, anyway)
