"""Posteriors as the user has them: draws of raw data, and what is known of their error."""

__all__ = ["Posterior", "conditioned"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model import Model
from .factors import Factor
from .guidance import PLAIN, plain
from .smc import posterior


@dataclass(frozen=True)
class Posterior:
    r"""Draws from p(x) r(x) / Z for each of N examples.

    Args:
        draws: raw data with shape (N, draws, *); values that were known come back bit-equal.
        log_evidence: log Z = log E_p[r], with shape (N,), in nats of the raw data's units; NaN by
            a plain walk, which knows none.
        evidence_stderr: its standard error by the repeats, with shape (N,), in nats; NaN for one.
        effective: the smallest effective sample size on the way, as a share of the particles, with
            shape (N,); NaN by a plain walk.
        ancestors: how many particles of the first state the last ones come from, with shape (N,):
            draws are as many in number, and no more different than these. 0 by a plain walk, whose
            draws are independent.
    """

    draws: Tensor
    log_evidence: Tensor
    evidence_stderr: Tensor
    effective: Tensor
    ancestors: Tensor

    @property
    def mean(self) -> Tensor:
        """The posterior mean, with shape (N, *)."""
        return self.draws.mean(1)

    @property
    def deviation(self) -> Tensor:
        """The posterior standard deviation, with shape (N, *)."""
        return self.draws.std(1, correction=0)

    def quantile(self, q: float | Sequence[float]) -> Tensor:
        """Posterior quantiles of each value by itself: (N, *) for a number, (len(q), N, *) for
        several."""
        at = torch.as_tensor(q, dtype=self.draws.dtype, device=self.draws.device)
        return torch.quantile(self.draws, at, dim=1)


def conditioned(
    model: Model,
    factor: Factor,
    draws: int = 16,
    particles: int = 64,
    repeats: int | None = None,
    walk: str = "weighted",
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
    together: int | None = None,
    pull: float = 0.0,
) -> Posterior:
    """Draws for each example that a factor about raw data is about; see `Diffusion.posterior`."""
    if repeats is None:
        repeats = max(2, math.ceil(2 * draws / max(particles, 1)))
    for name, count in (("draws", draws), ("particles", particles), ("repeats", repeats)):
        if count < 1:
            raise ValueError(f"{name} must be 1 or more, got {count}")
    if walk != "weighted" and walk not in PLAIN:
        names = ", ".join(["weighted", *PLAIN])
        raise ValueError(f"there is no walk {walk!r}: choose one of {names}")
    bound = factor.on(model.space, rng)
    examples = 1 if factor.examples is None else factor.examples
    if walk == "weighted":
        found = posterior(
            model, bound, examples, particles, repeats, times, rng, pull=pull, together=together
        )
        x_0 = found.draw(draws, rng)
        told = found.log_evidence, found.evidence_stderr, found.effective, found.ancestors
    else:
        x_0 = plain(model, bound, examples, draws, walk, times, rng)
        none = torch.full((examples,), math.nan, dtype=torch.float64)
        told = none, none, none, torch.zeros(examples, dtype=torch.long)
    raw = model.space.decode(x_0.flatten(0, 1)).unflatten(0, (examples, draws)).cpu()
    known = factor.known
    if known is not None:
        raw = raw.to(known.dtype) if known.dtype == torch.float64 else raw
        known = known.cpu()[:, None]
        raw = torch.where(known.isnan(), raw, known.to(raw.dtype))
    return Posterior(raw, *(each.cpu() for each in told))
