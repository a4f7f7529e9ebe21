r"""Checks whether this model wrote a stream, and whether this machine can read it."""

__all__ = ["chain_of", "check_header", "given_digest"]

import hashlib
from typing import Literal

from ..model import Model
from ..networks import ClosedFormDenoiser, ResidualDenoiser
from .chain import Chain
from .errors import StreamError
from .float_reproducibility import fingerprint, platform_facts
from .header import Header
from .portability import portability_of
from .values import values_of

READERS = {"examples": "Codec", "layers": "LayeredCodec"}

MOST_BINS = 64
"""The most bins to a standard deviation that a stream may have. Writers take 2 or 3."""

FIRST_WITH_THIS_LAW = 3
"""The first version of the format that was written when tables had the closed-form law of today."""


def check_header(
    header: Header, model: Model, order: Literal["examples", "layers"], anyway: bool
) -> None:
    """Checks that this model wrote a stream, in that order, and that this machine can read it.

    Args:
        header: the stream's header.
        model: the model that shall read it.
        order: the order that the reader expects.
        anyway: accept a stream that was written with other floating-point arithmetic.

    Raises:
        StreamError: if it cannot be read: the reason, and what to do.
    """
    if header.order != order:
        raise StreamError(
            f"the stream is in the order of {header.order}, not of {order}: read it with "
            f"{READERS.get(header.order, 'a newer release')}"
        )
    space = values_of(model.space).describe(model.space)
    if header.model != (mine := fingerprint(model)):
        if header.version < FIRST_WITH_THIS_LAW and _has_closed_form(model):
            raise StreamError(
                f"the stream has format {header.version}. It was written before the closed-form "
                "law of tables changed, and depends on the last bits of that law's floats, which "
                "this release does not compute. Decompress it with the release that wrote it "
                f"(the last one that writes format {header.version} is commit 5a09a48), and "
                "compress the result again with this release"
            )
        raise StreamError(
            f"the stream was written by another model ({header.space}, fingerprint "
            f"{header.model[:12]}) than this one ({space}, {mine[:12]}): use that one"
        )
    if header.given != given_digest(model):
        raise StreamError(_other_condition(header, model))
    if tuple(header.shape) != tuple(model.space.shape):
        raise StreamError(
            f"the stream claims examples of shape {header.shape}, which this model ({space}) did "
            "not write"
        )
    if not 1 <= header.bins <= MOST_BINS:
        raise StreamError(
            f"the stream claims {header.bins} bins to a deviation, which may be from 1 to "
            f"{MOST_BINS}: it was damaged or forged"
        )
    here = platform_facts(model)
    other = {k: v for k, v in header.arithmetic.items() if here.get(k) != v}
    if header.epsilon is None and other and not anyway:
        facts = ", ".join(f"{k} {v} (here {here.get(k)})" for k, v in sorted(other.items()))
        raise StreamError(
            f"the stream was written with {facts}, and is not portable: floats may differ in their "
            "last bits. Read it where it was written, or try with anyway: wrong values are found "
            "by their checksums"
        )


def _has_closed_form(model: Model) -> bool:
    """Whether the model has a closed-form law, which earlier releases computed in another way."""
    return isinstance(model.network, ClosedFormDenoiser | ResidualDenoiser)


def given_digest(model: Model) -> str:
    """The digest of the values of y that a model was given, in hexadecimal; "" for none."""
    codes = model.codes
    if codes is None:
        return ""
    rows = codes.detach().cpu().double().contiguous()
    found = hashlib.blake2b(repr(tuple(rows.shape)).encode(), digest_size=16)
    found.update(rows.numpy().tobytes())
    return found.hexdigest()


def _other_condition(header: Header, model: Model) -> str:
    """Why a stream cannot be read with what the model was given."""
    if not header.given:
        return "the stream was written without a condition: read it without `given`"
    if not model.given_rows:
        return (
            "the stream was written for a given condition, which it does not hold: pass the same "
            "values, as decompress(stream, given=y)"
        )
    return (
        f"the stream was written for other values of the condition (digest {header.given[:12]}) "
        f"than those given now ({given_digest(model)[:12]}): pass those that it was written with"
    )


def chain_of(header: Header, model: Model) -> Chain:
    """The chain that reads a stream.

    Args:
        header: the stream's header.
        model: the model that shall read it.

    Raises:
        StreamError: if the header does not fit the model.
    """
    try:
        return Chain(
            model,
            header.times,
            values_of(model.space, header.values),
            portability_of(header.epsilon, header.version),
            bytes.fromhex(header.rounded),
            header.bins,
        )
    except (ValueError, TypeError, ArithmeticError) as error:
        raise StreamError(f"the header of the stream makes no sense: {error}") from None
