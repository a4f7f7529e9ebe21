r"""What a stream is made of."""

__all__ = ["CompressionReport"]

import math
from dataclasses import dataclass, field

from .blocks import Block


@dataclass
class CompressionReport:
    """What a stream is made of, in bytes unless noted; sums over its blocks.

    Args:
        dims: number of values of an example.
        examples: number of examples.
        raw: the array.
        total: the stream.
        payload: the values of all blocks.
        initial: of the payload, the initial bits of the blocks.
        plain: the same blocks, packed without the model and compressed by xz.
        unrepeated: number of blocks that are packed because the model's floats did not repeat.
        blocks: number of blocks by the way in which they are coded.
    """

    dims: int
    examples: int = 0
    raw: int = 0
    total: int = 0
    payload: int = 0
    initial: int = 0
    plain: int = 0
    unrepeated: int = 0
    blocks: dict[str, int] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        """Counts a block that was written."""
        self.examples += block.count
        self.payload += len(block.payload)
        self.initial += 4 * block.initial_words
        self.plain += block.plain
        self.unrepeated += not block.repeated
        self.blocks[block.coded.name] = self.blocks.get(block.coded.name, 0) + 1

    @property
    def bits_per_dim(self) -> float:
        """Bits a value, of the whole stream."""
        return self._rate(self.total)

    @property
    def net_bits_per_dim(self) -> float:
        """Bits a value without initial bits and the container. It is -K, if all blocks are coded by
        the model."""
        return self._rate(self.payload - self.initial)

    @property
    def overhead(self) -> int:
        """Bytes of initial bits and of the container."""
        return self.total - self.payload + self.initial

    @property
    def pays_off(self) -> float:
        """The number of examples from which on a stream by the model is shorter than the packing
        without it; infinite if it never is."""
        gain = (self.plain - self.payload + self.initial) / max(self.examples, 1)
        return self.overhead / gain if gain > 0 else math.inf

    def _rate(self, size: float) -> float:
        return 8 * size / max(self.examples, 1) / self.dims

    def __str__(self) -> str:
        ways = ", ".join(f"{count} {name}" for name, count in sorted(self.blocks.items()))
        pays_off = (
            f"the model saves bytes from {self.pays_off:.3g} examples on"
            if math.isfinite(self.pays_off)
            else "packing without the model is as short: a better trained model saves bytes"
        )
        text = (
            f"{self.examples} examples in {self.total:,} bytes, {self.raw / self.total:.2f} times "
            f"smaller: {self.bits_per_dim:.4f} bits per dimension\n"
            f"{self.net_bits_per_dim:.4f} bits net and {self.overhead:,} bytes of overhead "
            f"({self.initial:,} initial); {pays_off}\n"
            f"blocks: {ways}"
        )
        if self.unrepeated:
            text += f"; {self.unrepeated} packed because floats did not repeat"
        return text

    __repr__ = __str__
