"""Posteriors: draws of raw data from p(x) r(x) / Z, the evidence Z, and how far to trust both."""

__all__ = ["Posterior", "posterior"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.randomness import Rng, as_generator
from .._utils.validation import as_tensor, instance_of, whole_number
from ..model import Model
from .factors import Factor, about_x_0
from .method import PosteriorMethod
from .sampler import Times


@dataclass(frozen=True, repr=False)
class Posterior:
    r"""Draws from p(x) r(x) / Z for each of N examples.

    Args:
        draws: raw data, with shape (N, draws, *). Values that are known come back bit-equal.
        log_evidence: log Z = log E_p[r], with shape (N,), in nats of the raw data's units; NaN by
            a method that knows none (:class:`Guided`).
        evidence_stderr: its standard error by the spread of the repeats, with shape (N,), in nats;
            NaN for one repeat. It has repeats - 1 degrees of freedom: for an interval take
            :meth:`evidence_interval`, which uses Student's t, and not twice the standard error.
        effective: the smallest effective sample size on the way, as a share of the particles, with
            shape (N,); NaN without particles.
        ancestors: how many particles of the first state the last ones come from, with shape (N,).
            Draws are no more different than these. 0 without particles: draws are independent.
        repeats: independent sets of particles; 0 without particles.
        method: by which they were drawn.
    """

    draws: Tensor
    log_evidence: Tensor
    evidence_stderr: Tensor
    effective: Tensor
    ancestors: Tensor
    repeats: int
    method: PosteriorMethod

    @property
    def mean(self) -> Tensor:
        """The posterior mean, with shape (N, *)."""
        return self.draws.mean(1)

    @property
    def deviation(self) -> Tensor:
        """The posterior standard deviation, with shape (N, *)."""
        return self.draws.std(1, correction=0)

    def quantile(self, q: float | Sequence[float]) -> Tensor:
        """Posterior quantiles of each value by itself.

        Args:
            q: from 0 to 1, one number or several.

        Returns:
            (N, *) for one number, (len(q), N, *) for several.

        Raises:
            ValueError: if q is not from 0 to 1.
        """
        at = as_tensor(q, "q").to(self.draws)
        if not ((at >= 0) & (at <= 1)).all():
            raise ValueError(f"q must be from 0 to 1, got {q!r}: 0.5 for the median")
        return torch.quantile(self.draws, at, dim=1)

    def evidence_interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """A confidence interval of the log-evidence, by Student's t with repeats - 1 degrees of
        freedom.

        Args:
            level: the share of intervals that hold the truth, between 0 and 1.

        Returns:
            The lower and upper ends, each with shape (N,), in nats; NaN for one repeat.

        Raises:
            ValueError: if the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}: 0.95, for example")
        from scipy.special import stdtrit  # only here, as its import takes a while

        times = float(stdtrit(self.repeats - 1, (1 + level) / 2)) if self.repeats > 1 else 1.0
        half = times * self.evidence_stderr
        return self.log_evidence - half, self.log_evidence + half

    def __repr__(self) -> str:
        examples, draws = self.draws.shape[:2]
        lines = [f"Posterior: {draws} draws for each of {examples} examples, by {self.method}"]
        if not self.log_evidence.isnan().all():
            each = self.evidence_stderr.mean().item()
            lines.append(
                f"mean log-evidence {self.log_evidence.mean().item():.2f} nats, each ± {each:.2f}"
                f" ({self.repeats} repeats)"
            )
            lines.append(
                f"smallest effective sample size {self.effective.min().item():.0%} of the "
                f"particles; at least {int(self.ancestors.min())} ancestors"
            )
        return "\n".join(lines)


def posterior(
    model: Model,
    factor: Factor,
    draws: int,
    times: Times,
    rng: Rng,
    method: PosteriorMethod,
    together: int | None,
) -> Posterior:
    """Draws for each example that a factor about raw data is about; see `Diffusion.posterior`."""
    draws = whole_number("draws", draws)
    instance_of("factor", factor, Factor, "Observed(x)")
    instance_of("method", method, PosteriorMethod, "SMC(particles=256)")
    if together is not None and together < 1:
        raise ValueError(f"together must be 1 or more, got {together}")
    model.require_known_weights()
    source = as_generator(rng)
    examples = max(1, model.given_rows) if factor.examples is None else factor.examples
    model = model.given_each(None, examples)
    about = about_x_0(factor, model.space, source)
    found = method(model, about, examples, draws, times, source, together or model.chunk_size)
    flat = found.raw
    if flat is None:
        flat = model.space.draw_raw(found.x_0.flatten(0, 1), source)
    raw = flat.reshape(examples, draws, *model.space.shape)
    known = factor.known
    if known is not None:
        raw = raw.to(known.dtype) if known.dtype == torch.float64 else raw
        known = known.to(raw.device)[:, None]
        raw = torch.where(known.isnan(), raw, known.to(raw.dtype))
    return Posterior(
        raw,
        found.log_evidence,
        found.evidence_stderr,
        found.effective,
        found.ancestors,
        found.repeats,
        method,
    )
