r"""The header of a stream: what a reader needs besides the model."""

__all__ = ["LARGEST", "NEWEST", "READ", "WITH_IDENTITY", "Header", "read_header"]

import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from .errors import StreamError

MAGIC = b"\x89QST\r\n\x1a\n"
NEWEST = 4
"""The version that is written."""

WITH_IDENTITY = 3
"""The first version whose headers have an identity and whose blocks have numbers."""

READ = (1, 2, 3, 4)
"""The versions that are read."""

LARGEST = 2**30
"""Bytes of raw values that a block may have."""

LONGEST_HEADER = 2**20
"""Bytes of a header, compressed."""

FACTS, FACTS_PER_VALUE = 2**16, 32
"""Bytes of a header as JSON: so many, and so many more for each value of an example."""

MOST_FACTS = 2**24
"""Bytes of a header as JSON, at most."""

MOST_VALUES = 2**26
"""Values that the network may see at once."""

AT_ONCE = 2**24
"""Bytes of an array that are digested at once."""

_START = struct.Struct("<8sHI")
_CRC = struct.Struct("<I")
_TYPE = re.compile(r"[<>|][biuf]\d{1,2}")
_OPTIONAL = ("values", "rounded", "noise", "given")
"""Fields that are left out where they are empty."""

_MALFORMED = "the header of the stream makes no sense"


@dataclass(frozen=True)
class Header:
    """What a reader needs besides the model.

    Args:
        model: the fingerprint of the model that wrote the stream.
        space: the model's data space, for messages.
        shape: of one example.
        dtype: of the array, as NumPy spells it.
        count: number of examples.
        times: of the chain.
        bins: of a latent value to its least standard deviation.
        together: examples that the network sees at once.
        block: the most examples in a block.
        order: "examples": blocks of examples follow each other; "layers": each block takes all
            examples one step further.
        arithmetic: what the floats of a stream that is not portable depend on, by name.
        values: what is known of columns, see `values`; None if the model determines it.
        epsilon: how far the float64 results of writer and reader may differ; None in a stream that
            is not portable.
        rounded: what is listed of the rounding of bin widths, in hexadecimal.
        noise: what is listed of the rounding of x_T in a layered stream, in hexadecimal.
        given: the digest of y in p(x | y), in hexadecimal; "" if nothing is given.
        identity: the digest of the header and of all values, in hexadecimal; "" before version 3.
        version: of the format.
    """

    model: str
    space: str
    shape: tuple[int, ...]
    dtype: str
    count: int
    times: tuple[int, ...]
    bins: float
    together: int
    block: int
    order: str
    arithmetic: dict[str, str]
    values: Any = None
    epsilon: float | None = None
    rounded: str = ""
    noise: str = ""
    given: str = ""
    identity: str = ""
    version: int = NEWEST

    @property
    def example(self) -> int:
        """Bytes of the values of an example."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def largest(self) -> int:
        """Bytes of the values of a block, at most."""
        return self.block * self.example

    def with_identity(self, x: np.ndarray) -> "Header":
        """The same header with the identity of the stream of x (N, *shape)."""
        digest = self.digest()
        for part in _parts(x):
            digest.update(part.tobytes())
        return replace(self, identity=digest.hexdigest())

    def digest(self) -> "hashlib.blake2b":
        """The digest of this header, to which the bytes of all values are added in order."""
        facts = asdict(self)
        del facts["identity"]
        if not self.given:  # as before there were conditions
            del facts["given"]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8)

    def pack(self) -> bytes:
        """The first bytes of a stream.

        Raises:
            ValueError: if an example has more columns than a header can describe.
        """
        facts = asdict(self)
        del facts["version"]
        facts = {k: v for k, v in facts.items() if k not in _OPTIONAL or v}
        whole = json.dumps(facts, separators=(",", ":")).encode()
        text = zlib.compress(whole, 9)
        if len(whole) > _most_facts(math.prod(self.shape)) or len(text) > LONGEST_HEADER:
            raise ValueError(
                f"examples of shape {self.shape} have more columns than a header can describe: "
                "write them in parts"
            )
        start = _START.pack(MAGIC, NEWEST, len(text)) + text
        return start + _CRC.pack(zlib.crc32(start))

    @classmethod
    def from_text(cls, text: bytes, version: int, values: int | None = None) -> "Header":
        """The header that a compressed text describes.

        Raises:
            StreamError: if it is malformed, or a number is out of its range.
        """
        limit = MOST_FACTS if values is None else _most_facts(values)
        try:
            reader = zlib.decompressobj()
            whole = reader.decompress(text, limit)
            if not reader.eof or reader.unused_data:
                raise ValueError("it is longer than its columns account for, or cut short")
            facts = json.loads(whole)
            if not isinstance(facts, dict):
                raise ValueError("it is no JSON object")
            if version < WITH_IDENTITY:
                facts["bins"] = facts.pop("cells")
            facts |= {name: tuple(facts[name]) for name in ("shape", "times")}
            header = cls(**facts, version=version)
            _check(header)
        except (ValueError, TypeError, KeyError, RecursionError, zlib.error) as error:
            raise StreamError(f"{_MALFORMED} ({error!r:.200})") from None
        return header


def read_header(file: BinaryIO, values: int | None = None) -> Header:
    """Reads the header of a stream, which leaves the file at its first block.

    Args:
        file: the stream.
        values: of an example of the model, by which the length of the header is bounded.

    Raises:
        StreamError: if the file is no stream, a newer one, damaged, or out of bounds.
    """
    start = file.read(_START.size)
    if start[:8] != MAGIC[: len(start[:8])] or not start:
        raise StreamError("this is no stream of compressed data: it does not begin like one")
    if len(start) < _START.size:
        raise StreamError("the stream is cut short in its header")
    _, version, length = _START.unpack(start)
    if version not in READ:
        raise StreamError(
            f"the stream has version {version}, and this release reads "
            f"{', '.join(map(str, READ))}: use the release that wrote it"
        )
    rest = file.read(min(length, LONGEST_HEADER) + _CRC.size)
    if length > LONGEST_HEADER or len(rest) < length + _CRC.size:
        raise StreamError("the header of the stream is damaged, or cut short")
    text, crc = rest[:length], _CRC.unpack(rest[length:])[0]
    if zlib.crc32(start + text) != crc:
        raise StreamError("the header of the stream is damaged")
    return Header.from_text(text, version, values)


def _most_facts(values: int) -> int:
    return min(MOST_FACTS, FACTS + FACTS_PER_VALUE * values)


def _parts(x: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of x (N, *), a few at a time."""
    rows = max(1, AT_ONCE // max(1, x.itemsize * math.prod(x.shape[1:])))
    for start in range(0, len(x), rows):
        yield np.ascontiguousarray(x[start : start + rows])


def _check(header: Header) -> None:
    """Raises ValueError if a field has another type than it should, or is out of range."""
    for name, longest in (("model", 64), ("space", 2**16), ("order", 16), ("dtype", 8)):
        _require(name, _is_text(getattr(header, name), longest))
    _require("shape", 0 < len(header.shape) <= 32 and all(map(_counts, header.shape)))
    _require("times", 2 <= len(header.times) <= 2**20 and all(map(_counts, header.times)))
    for name in ("count", "together", "block"):
        _require(name, _counts(getattr(header, name)))
    _require("order", header.order in ("examples", "layers"))
    _require("dtype", _TYPE.fullmatch(header.dtype) is not None)
    np.dtype(header.dtype)
    _require("bins", _is_number(header.bins))
    _require("epsilon", header.epsilon is None or _is_number(header.epsilon))
    _require("epsilon", header.epsilon is None or 0 < header.epsilon < 1e-3)
    facts = header.arithmetic
    _require("arithmetic", isinstance(facts, dict) and len(facts) <= 32)
    _require("arithmetic", all(_is_text(each, 256) for pair in facts.items() for each in pair))
    for name in ("rounded", "noise"):
        _require(name, _is_text(getattr(header, name), 2**16))
        bytes.fromhex(getattr(header, name))
    _require("given", _is_text(header.given, 32) and len(bytes.fromhex(header.given)) in (0, 16))
    identified = _is_text(header.identity, 16) and bytes.fromhex(header.identity)
    _require("identity", header.version < WITH_IDENTITY or len(identified or b"") == 8)
    _require("block", header.largest <= LARGEST)
    _require("together", header.together * math.prod(header.shape) <= MOST_VALUES)


def _require(name: str, right: bool) -> None:
    if not right:
        raise ValueError(f"{name} is malformed or out of range")


def _is_text(x: object, longest: int) -> bool:
    return isinstance(x, str) and len(x) <= longest


def _is_number(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _counts(x: object) -> bool:
    """Whether x is a whole number from 1 to 2^48."""
    return isinstance(x, int) and not isinstance(x, bool) and 1 <= x <= 2**48
