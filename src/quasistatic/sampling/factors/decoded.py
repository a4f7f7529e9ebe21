"""Factors on raw data that are drawn from x_0, through the decoder of an autoencoder."""

__all__ = ["Decoded", "about_x_0"]

from dataclasses import dataclass

import torch
from torch import Tensor

from ...distributions import Family, total
from ...kernels import Kernel
from ...spaces import Latent, Space
from .factor import Factor

FARTHEST = 1.0
"""The most that the slope of log r moves the mean of a law, in its standard deviations."""

WHOLE = 0.999
"""The share of a patch from which it counts as known."""


def about_x_0(factor: Factor, space: Space, rng: torch.Generator | None = None) -> Factor:
    """A factor on raw data as one on x_0: through the decoder, where raw data are drawn."""
    if not isinstance(space, Latent):
        return factor.on(space, rng)
    known = factor.known
    raw = None if known is None else known.double()
    if raw is not None:
        space.check(torch.where(raw.isnan(), space.placeholder.to(raw), raw), "y")
    return Decoded(factor.on(space.raw, rng), space, raw, factor.only_known)


@dataclass(frozen=True)
class Decoded(Factor):
    r"""E[r(raw) | z], for raw data that the decoder of a :class:`.Latent` space draws.

    Known values give exact weights: the probability of those values given z. Other factors are
    weighed at raw data that are drawn for each particle (:meth:`realized`), so that the evidence is
    unbiased. Where values are known, proposals follow q(z | raw) of the encoder, with the unknown
    values as the particle's own latents decode them. Else they follow the slope of log r.

    Args:
        inner: r, about x of the space of the raw data.
        space: with the autoencoder.
        raw: the known raw values, (N, *shape), NaN elsewhere; None if none are known.
        only_known: whether r says nothing besides.
        exponent: see :meth:`power`.
    """

    inner: Factor
    space: Latent
    raw: Tensor | None
    only_known: bool = False
    exponent: float = 1.0

    @property
    def examples(self) -> int | None:
        return self.inner.examples

    def on(self, space: Space, rng: torch.Generator | None = None) -> "Decoded":
        return self

    def take(self, rows: Tensor) -> "Decoded":
        raw = None if self.raw is None else self.raw[rows.to(self.raw.device)]
        inner = self.inner.take(rows)
        return Decoded(inner, self.space, raw, self.only_known, self.exponent)

    def log_prob(self, x_0: Tensor) -> Tensor:
        """log E[r | z] where it is known in closed form; else an approximation, which only leads
        particles."""
        if self.only_known:
            return self.exponent * self._log_known(x_0).to(x_0)
        law = self.space.normal_decoder(x_0).to(torch.float64)
        return self.exponent * self.inner.log_mean(self.space.raw, law).to(x_0)

    def log_mean(self, space: Space, law: Family) -> Tensor:
        return self.log_prob(law.mean)

    def update(self, law: Family) -> Family:
        if self.raw is not None:
            law = law.tilt(*self._by_encoder(law.mean.detach()))
        if self.only_known:
            return law
        most = FARTHEST / law.variance.clamp(min=1e-300).sqrt()
        slope = self._slope(law.mean).clamp(min=-most, max=most)
        return law.tilt(slope, torch.zeros_like(slope))

    def power(self, exponent: float) -> "Decoded":
        rest = self.raw, self.only_known, self.exponent * exponent
        return Decoded(self.inner, self.space, *rest)

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        if self.raw is None:
            return p
        linear, precision = self._by_encoder(torch.zeros_like(p.mean))
        safe = precision.clamp(min=1e-12)
        y = torch.where(precision > 0, linear / safe, 0.0)
        variance = torch.where(precision > 0, 1 / safe, torch.inf)
        tilts = kernel.propagate_likelihood(y, variance, t)
        return p.tilt(tilts[0], tilts[1])

    def realized(
        self, x_0: Tensor, rng: torch.Generator | None = None
    ) -> tuple[Tensor | None, Tensor]:
        space = self.space
        if self.only_known:
            raw = space.draw_raw(x_0, rng)
            known = torch.full_like(raw, torch.nan) if self.raw is None else self.raw.to(raw)
            return torch.where(known.isnan(), raw, known), self.log_prob(x_0)
        p = space.decoder(x_0).to(torch.float64)
        q = self.inner.update(p)
        x = space.raw.snap_to_levels(q.sample(rng))
        sure = self.inner.known
        if sure is not None:
            sure = sure.to(x)
            x = torch.where(sure.isnan(), x, sure)
        log_p, log_q = (space.raw.log_prob(each, x) for each in (p, q))
        gain = log_p - log_q
        if sure is not None:
            gain = torch.where(sure.isnan(), gain, log_p)
        return space.raw.decode(x), self.exponent * (total(gain) + self.inner.log_prob(x))

    def _log_known(self, x_0: Tensor) -> Tensor:
        """log p(known values | z), (B,), in nats."""
        if self.raw is None:
            return x_0.new_zeros(len(x_0))
        raw = self.raw.to(x_0.device)
        filled = torch.where(raw.isnan(), self.space.placeholder.to(raw), raw)
        each = self.space.log_decoder(self.space.decoder(x_0), filled)
        return total(torch.where(raw.isnan(), 0.0, each.double()))

    @torch.no_grad()
    def _by_encoder(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The linear term and the precision that the encoder finds in the known values, without
        those of its own standard normal prior; zero for latents of patches that are not known."""
        assert self.raw is not None
        raw = self.raw.to(z.device)
        unknown = raw.isnan()
        filled = torch.where(unknown, self.space.decode(z).to(raw), raw)
        q = self.space.encoder(filled)
        share = self.space.share_of_patch((~unknown).to(z)).to(z)
        precision = (1 / q.variance.to(z) - 1).clamp(min=0.0)
        whole = share >= WHOLE
        linear = torch.where(whole, q.mean.to(z) * (precision + 1), 0.0)
        return linear, torch.where(whole, precision, 0.0)

    def _slope(self, at: Tensor) -> Tensor:
        with torch.enable_grad():
            z = at.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(z).sum(), z)[0]
