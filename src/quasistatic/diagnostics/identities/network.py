"""Identities of the network: a function of x_t and t, example by example."""

__all__ = ["NETWORK", "SOUND"]

import torch
from torch import Tensor

from .subject import Finding, Identity, Subject, largest

TOGETHER = 256
ROWS = 8

SOUND = ("finite outputs", "deterministic", "rows apart")
"""The identities of a network that those of the chain need."""


def _finite(subject: Subject) -> Finding:
    model = subject.model.eval()
    every = torch.arange(1, model.steps + 1, device=subject.raw.device)
    pieces = (every[start : start + TOGETHER] for start in range(0, len(every), TOGETHER))
    bad = torch.cat([_not_finite(subject, t) for t in pieces])
    t = every[bad].tolist()
    where = f"first at t = {t[0]}" if t else ""
    return Finding(len(t), 0.0, where)


def _not_finite(subject: Subject, t: Tensor) -> Tensor:
    """Whether the output at each of the times (B,) holds NaN or infinity, with shape (B,)."""
    model = subject.model
    x_t = model.kernel.marginal(subject.encoded(len(t)), t).sample(subject.rng)
    return ~model.output(x_t, t).isfinite().flatten(1).all(1)


def _deterministic(subject: Subject) -> Finding:
    model = subject.model.eval()
    x_t, t = subject.noisy(ROWS)
    first, again = model.output(x_t, t), model.output(x_t, t)
    return Finding(largest(again - first, first.abs().max()), subject.rounding)


def _rows_apart(subject: Subject) -> Finding:
    model = subject.model.eval()
    x_t, t = subject.noisy(ROWS)
    whole = model.output(x_t, t)
    alone = torch.cat([model.output(x_t[i : i + 1], t[i : i + 1]) for i in range(ROWS)])
    turned = model.output(x_t.flip(0), t.flip(0)).flip(0)
    gap = torch.maximum((alone - whole).abs(), (turned - whole).abs())
    return Finding(largest(gap, whole.abs().max()), subject.rounding)


NETWORK = (
    Identity("finite outputs", "no output is NaN or infinite: times t = 1..T at fault", _finite),
    Identity(
        "deterministic",
        "in evaluation mode the same input gives the same output, relative to the largest",
        _deterministic,
        needs=SOUND[:1],
    ),
    Identity(
        "rows apart",
        "an example's output is the same alone, among others and in any order, relative",
        _rows_apart,
        needs=SOUND[:2],
    ),
)
