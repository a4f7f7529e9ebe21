"""Tests every identity on one model in turn."""

__all__ = ["check"]

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from ..._utils.randomness import Rng, as_generator
from ...diffusion import Diffusion
from .network import NETWORK
from .process import CHAIN, PROCESS
from .report import Report, Row
from .subject import Identity, NotApplicable, Subject
from .verbs import AT_REST, VERBS

IDENTITIES = (AT_REST, *PROCESS, *NETWORK, *CHAIN, *VERBS)
EXAMPLES = 64


@torch.no_grad()
def check(
    model: Diffusion,
    raw: object,
    rng: Rng = None,
    evaluations: int = 100_000,
) -> Report:
    """Tests the identities that every model must satisfy: those of its space, its kernel, its head
    and its network, and those of the verbs. The result does not tell how good the model is. An
    identity is skipped if it does not apply, or if it needs another that failed; its row says why.
    The model's mode and torch's global generator are left unchanged.

    Args:
        model: the model to test.
        raw: data of the model's space, with shape (N, *), of which the first 64 are used.
        rng: a seed or a generator; None is the seed 0, so that a report can be repeated.
        evaluations: the most network evaluations on one example that a single identity may take.

    Returns:
        A row for each identity; print it to see the table.

    Raises:
        TypeError: if `raw` are no data of the model's space.
        ValueError: the same, for data of the right type.
    """
    some = model.space.check(raw)[:EXAMPLES].to(model.blank(1))
    generator = as_generator(rng) or torch.Generator(some.device).manual_seed(0)
    subject = Subject(model, some, generator, evaluations)
    rows: dict[str, Row] = {}
    with torch.random.fork_rng(devices=[]):
        for identity in IDENTITIES:
            with _as_it_was(model):
                rows[identity.name] = _row(identity, subject, rows)
    return Report(tuple(rows.values()))


def _row(identity: Identity, subject: Subject, before: Mapping[str, Row]) -> Row:
    name, says = identity.name, identity.says
    missing = [need for need in identity.needs if not before[need].passed]
    if missing:
        return Row(name, says, None, None, f"skipped: it needs {missing[0]!r}")
    try:
        found = identity.measure(subject)
    except NotApplicable as reason:
        return Row(name, says, None, None, f"skipped: {reason}")
    except Exception as error:  # any error of a user's own part is what its row shows
        return Row(name, says, float("nan"), 0.0, f"{type(error).__name__}: {error}")
    return Row(name, says, float(found.error), float(found.allowed), found.note)


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Restores the training mode of every submodule after the block."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
