"""Every identity, held against one model in turn."""

__all__ = ["check"]

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

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
    rng: torch.Generator | None = None,
    evaluations: int = 100_000,
) -> Report:
    """Holds the identities that every model has to keep against this one: those of its space, its
    kernel, its head and its network, and those of the verbs. It does not say how good the model is.

    One that does not apply is skipped, and its row says why; so is one that supposes another which
    failed. The model is left as it was, and so is torch's own generator.

    Args:
        raw: data of the model's space, (N, *), of which the first 64 are used.
        rng: by default one with a fixed seed, so that a report can be had again.
        evaluations: of the network on one example, the most that a single identity may cost.

    Raises:
        TypeError, ValueError: if `raw` are no data of the model's space.
    """
    some = model.space.check(raw)[:EXAMPLES].to(model.blank(1))
    rng = torch.Generator(some.device).manual_seed(0) if rng is None else rng
    subject = Subject(model, some, rng, evaluations)
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
        return Row(name, says, None, None, f"skipped: it supposes {missing[0]!r}")
    try:
        found = identity.measure(subject)
    except NotApplicable as reason:
        return Row(name, says, None, None, f"skipped: {reason}")
    except Exception as error:  # whatever a user's own part raises is what its row has to say
        return Row(name, says, float("nan"), 0.0, f"{type(error).__name__}: {error}")
    return Row(name, says, float(found.error), float(found.allowed), found.note)


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Every part by itself in the mode that it was in, afterwards."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
