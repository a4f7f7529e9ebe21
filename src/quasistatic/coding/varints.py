r"""Whole numbers in as few bytes as each needs (LEB128)."""

__all__ = ["pack_numbers", "unpack_numbers"]

from collections.abc import Iterable

LONGEST = 9
"""Bytes of a number; it is below 2^63."""


def pack_numbers(numbers: Iterable[int]) -> bytes:
    """Numbers from 0 to 2^63 - 1: seven bits a byte, the lowest first; the eighth says that more
    follow."""
    packed = bytearray()
    for number in numbers:
        while number >= 0x80:
            packed.append(0x80 | (number & 0x7F))
            number >>= 7
        packed.append(number)
    return bytes(packed)


def unpack_numbers(data: bytes, count: int | None = None) -> list[int]:
    """What :func:`pack_numbers` packed; with `count`, the first so many.

    Raises:
        ValueError: if a number is cut short, or longer than nine bytes.
    """
    found: list[int] = []
    number = shift = 0
    for byte in data:
        if len(found) == count:
            break
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(number)
            number = shift = 0
        elif shift >= 7 * LONGEST:
            raise ValueError("a packed number is too long")
    if shift or (count is not None and len(found) < count):
        raise ValueError("packed numbers are cut short")
    return found
