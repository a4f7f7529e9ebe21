"""Identities of the verbs: what score, sample, complete and save must satisfy."""

__all__ = ["AT_REST", "VERBS"]

import tempfile
from contextlib import suppress

import torch
from torch import Tensor

from ...sampling import SMC
from .network import SOUND
from .subject import Finding, Identity, NotApplicable, Subject, largest

LEAST_ROWS, MOST_ROWS = 32, 256
ERRORS = 4.0
"""The number of standard errors by which a mean may differ."""


def _mode(subject: Subject) -> Finding:
    model = subject.model
    before = {name: part.training for name, part in model.named_modules()}
    with suppress(ValueError):  # a score that is NaN is refused, and the mode is restored too
        model.score(subject.raw[:2], 1, rng=subject.rng)
    changed = [name for name, part in model.named_modules() if part.training != before[name]]
    return Finding(len(changed), 0.0, f"first {changed[0] or 'the model'}" if changed else "")


def _share(subject: Subject) -> Finding:
    model, terms = subject.model, subject.terms
    if terms < 2:
        raise NotApplicable("the chain has one term, so there is no share of them")
    rows = min(MOST_ROWS, subject.evaluations // terms)
    if rows < LEAST_ROWS:
        raise NotApplicable(
            f"the full sum over {terms} terms takes more than {subject.evaluations} evaluations: "
            "allow for more"
        )
    raw = subject.raw[torch.arange(rows, device=subject.raw.device) % len(subject.raw)]
    few, full = (
        model.score(raw, count, subject.chain, subject.rng).nats.double()
        for count in (max(1, terms // 4), None)
    )
    if not (few.isfinite() & full.isfinite()).all():
        raise NotApplicable("the bound of these data is not finite")
    return Finding(abs(_errors_above(few - full)), ERRORS)


def _noise(subject: Subject) -> Finding:
    model, space = subject.model, subject.model.space
    x_0 = model.kernel.prior(model.blank(MOST_ROWS)).sample(subject.rng)
    try:
        raw = space.check(space.decode(x_0))
    except ValueError as error:
        raise NotApplicable(f"no raw data of this space are noise: {error}") from None
    if largest(space.encode(raw, subject.rng) - space.snap_to_levels(x_0), x_0) > 0.01:
        raise NotApplicable("no raw data of this space are noise: it rounds them")
    evaluations = min(4, subject.terms)
    above = model.score(raw, evaluations, subject.chain, subject.rng).above_null.double()
    return Finding(_errors_above(above.clamp(min=-1e6)), ERRORS)


def _errors_above(values: Tensor) -> float:
    """The mean of values (N,) in units of its standard error."""
    error = values.std() / len(values) ** 0.5
    return float(values.mean() / error.clamp(min=1e-12))


def _samples(subject: Subject) -> Finding:
    model = subject.model
    drawn = model.sample(4, subject.chain, subject.rng)
    model.space.check(drawn, "a draw")
    return Finding(0.0, 0.0)


def _known(subject: Subject) -> Finding:
    raw = subject.raw[:2].cpu()
    hidden = torch.rand(raw.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    hidden |= raw.isnan()
    try:
        found = subject.model.complete(
            raw, hidden, draws=1, times=subject.chain, rng=subject.rng, method=SMC(2)
        )
    except ValueError as error:
        raise NotApplicable(f"these data were not completed: {error}") from None
    changed = (found.draws[:, 0].cpu() != raw) & ~hidden
    return Finding(int(changed.sum()), 0.0)


def _save(subject: Subject) -> Finding:
    model = subject.model
    try:
        type(model).build(model.describe())
    except (TypeError, ValueError) as error:
        reason = str(error).partition(":")[0]
        raise NotApplicable(f"a part is of a class of your own ({reason})") from None
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        loaded = type(model).load(folder).to(subject.raw)
    before, after = (
        each.score(subject.raw[:8], min(4, subject.terms), subject.chain, _seeded(subject)).nats
        for each in (model, loaded)
    )
    return Finding(largest(after - before, before), subject.rounding)


def _seeded(subject: Subject) -> torch.Generator:
    return torch.Generator(subject.raw.device).manual_seed(0)


AT_REST = Identity("modes", "scoring leaves every part in the mode that it was in", _mode)

VERBS = (
    Identity(
        "share of terms",
        "a few terms of the bound have the mean of all, in standard errors",
        _share,
        needs=SOUND,
    ),
    Identity(
        "noise",
        "on data that are noise, K is at most log pi in the mean, in standard errors",
        _noise,
        needs=("round trip", *SOUND),
    ),
    Identity("samples", "draws are raw data that the space accepts", _samples, needs=SOUND),
    Identity(
        "known values",
        "complete returns known values bit by bit: number of values changed",
        _known,
        needs=SOUND,
    ),
    Identity(
        "save and load",
        "a saved model scores as before, relative, in nats",
        _save,
        needs=SOUND,
    ),
)
