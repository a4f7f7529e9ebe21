"""Data as latents of an autoencoder: x_0 is a draw of the latents given the raw data."""

__all__ = ["Latent"]

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .._utils.constants import constant
from .._utils.randomness import normal, uniform
from .._utils.validation import instance_of
from ..distributions import Family, FiniteSupport, Gaussian, LogisticMixture, Support, total
from .continuous import Continuous
from .levels import Binary, Quantized
from .space import Encoded, OnContinuum, Space, no_affine

SPREAD = 2.0
"""Half the range of the values that the autoencoder sees of 256 levels, by default."""


@dataclass(frozen=True)
class Latent(OnContinuum):
    """Raw data through an autoencoder: x_0 is drawn from q(z | raw), and raw data are drawn from
    p(raw | z) (RBLEO22).

    The log-weight of a draw is log p(raw | z) - log q(z | raw). So the bound of the model is
    log p(raw) >= E_q[log p(raw | z) - log q(z | raw) + K(z)], in the units of the raw data.

    Args:
        autoencoder: an :class:`.Autoencoder`, or a module with the same `shape`, `latent_shape`,
            `encode` and `decode`. Its weights are saved with the model. A `decode` that returns
            None for the scale makes raw data without noise, which have no density: `sample` serves
            such a model, and `score` refuses. An `encode` that returns None for the deviation is
            refused likewise where raw data are encoded.
        raw: the space of the raw data, `Quantized`, `Binary` or `Continuous`. The decoder is then
            a discretised logistic for each level (SKCK17 Eq. 2) or bit, or a normal distribution
            for each real number. None for whole numbers from 0 to 255.

    Raises:
        TypeError: if `autoencoder` is no such module, or `raw` is another kind of space.
        ValueError: if the autoencoder was built for data of another shape.
    """

    shape: Any = field(init=False, compare=False)
    autoencoder: Any
    raw: Any = None

    def __post_init__(self) -> None:
        coder = self.autoencoder
        instance_of("autoencoder", coder, nn.Module, "networks.Autoencoder((64, 64))")
        missing = [
            n for n in ("shape", "latent_shape", "encode", "decode") if not hasattr(coder, n)
        ]
        if missing:
            raise TypeError(
                f"an autoencoder has {', '.join(missing)}, which {type(coder).__name__} lacks: use "
                "networks.Autoencoder, or a module with the same methods"
            )
        shape = tuple(coder.shape)
        raw = Quantized(shape, 256, SPREAD) if self.raw is None else self.raw
        if not isinstance(raw, Quantized | Binary | Continuous):
            raise TypeError(
                f"the raw data of a latent model are Quantized, Binary or Continuous, got "
                f"{type(raw).__name__}"
            )
        if tuple(raw.shape) != shape:
            raise ValueError(
                f"the autoencoder is for data of shape {shape}, and the raw data have shape "
                f"{tuple(raw.shape)}: build it for that shape"
            )
        object.__setattr__(self, "raw", raw)
        object.__setattr__(self, "shape", shape)

    @property
    def state(self) -> tuple[int, ...]:
        return tuple(self.autoencoder.latent_shape)

    @property
    def module(self) -> nn.Module:
        found: nn.Module = self.autoencoder
        return found

    @property
    def exact(self) -> bool:
        return False

    @property
    def placeholder(self) -> Tensor:
        found: Tensor = self.raw.placeholder
        return found

    @property
    def support(self) -> Support:
        found: Support = self.raw.support
        if not isinstance(found, FiniteSupport):
            raise TypeError(
                "the decoder of real numbers has no masses, so that raw data have no code: "
                "compress needs an autoencoder of whole numbers or bits (Quantized, Binary)"
            )
        return found

    def resized(self, shape: tuple[int, ...]) -> Space:
        coder = dataclasses.replace(self.autoencoder, shape=shape)
        coder.load_state_dict(self.autoencoder.state_dict())
        return Latent(coder.to(self._like), self.raw.resized(shape))

    def check(self, raw: object, name: str = "x") -> Tensor:
        found: Tensor = self.raw.check(raw, name)
        return found

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        with torch.no_grad():
            return self.encoder(raw).sample(rng).to(raw.dtype)

    @torch.no_grad()
    def encode_weighted(self, raw: Tensor, rng: torch.Generator | None = None) -> Encoded:
        q = self.encoder(raw)
        z = q.sample(rng)
        return Encoded(z.to(raw.dtype), self._terms(raw, z, q))

    @torch.no_grad()
    def weighted_at(self, raw: Tensor, x_0: Tensor) -> Encoded:
        return Encoded(x_0, self._terms(raw, x_0.to(self._like), self.encoder(raw)))

    def encode_again(self, raw: Tensor, x_0: Tensor, rng: torch.Generator | None = None) -> Encoded:
        found = self.encode_weighted(raw, rng)
        return Encoded(found.x_0.to(x_0), found.terms)

    def encoder(self, raw: Tensor) -> Gaussian:
        """q(z | raw) for checked raw data (B, *shape), with a gradient in the weights.

        Raises:
            ValueError: if the encoder states no standard deviation.
        """
        x = self.raw.encode(raw.to(self._like))
        mean, deviation = self.autoencoder.encode(x)
        if deviation is None:
            raise ValueError(
                f"the encoder of {type(self.autoencoder).__name__} returns one point and no "
                "distribution of latents, so that the bound of log p(raw) is infinitely low: give "
                "a standard deviation about that point, as from_diffusers(folder, "
                "encoder_scale=0.1, decoder_scale=0.05)"
            )
        return Gaussian(mean, deviation**2)

    def decoder(self, x_0: Tensor) -> Family:
        """p(raw | z) for latents (B, *state), a law of the x_0 of the space `raw`, (B, *shape).

        Raises:
            ValueError: if the decoder states no scale.
        """
        location, log_scale = self._stated(x_0)
        return self.law(location, log_scale)

    def law(self, location: Tensor, log_scale: Tensor) -> Family:
        """The law of the x_0 of the space `raw` with a location and the logarithm of a scale, each
        of shape (B, *shape)."""
        if self.raw.levels is None:
            return Gaussian(location, (2 * log_scale).exp())
        one = torch.zeros_like(location)[..., None]
        levels = constant(tuple(self.raw.levels.tolist()), location)
        return LogisticMixture(one, location[..., None], log_scale[..., None], levels)

    def normal_decoder(self, x_0: Tensor) -> Gaussian:
        """A normal law with about the moments of :meth:`decoder`, in closed form."""
        location, log_scale = self._stated(x_0)
        width = 1.0 if self.raw.levels is None else math.pi / 3**0.5
        return Gaussian(location, (2 * log_scale).exp() * width**2)

    def share_of_patch(self, each: Tensor) -> Tensor:
        """The mean of numbers (B, *shape) over the values from which a latent comes, (B, *state).
        It is that of the whole example for an autoencoder that does not say which these are."""
        mean = getattr(self.autoencoder, "mean_of_patch", None)
        if mean is None:
            whole = each.flatten(1).mean(1).reshape(-1, *[1] * len(self.state))
            return whole.expand(len(each), *self.state)
        found: Tensor = mean(each)
        return found

    def log_decoder(self, p: Family, raw: Tensor) -> Tensor:
        """log p(raw | z) of each value (B, *shape), in nats, for a law p of :meth:`decoder`."""
        if isinstance(p, LogisticMixture):  # its levels have a total mass of one
            return p.log_weight(raw.long())
        found: Tensor = self.raw.log_prob(p, self.raw.encode(raw.to(self._like)))
        return found

    def cost_and_rate(self, raw: Tensor, rng: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """-log p(raw | z) at a draw of z, and KL(q(z | raw) || N(0, 1)), each (B,), in nats, with
        their gradient in the weights."""
        q = self.encoder(raw)
        p = self.decoder(q.sample(rng))
        standard = Gaussian(torch.zeros_like(q.loc), torch.ones_like(q.loc))
        return -total(self.log_decoder(p, raw)), total(q.kl(standard))

    def _stated(self, x_0: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder states, with a scale."""
        location, log_scale = self.autoencoder.decode(x_0.to(self._like))
        if log_scale is None:
            raise ValueError(
                f"the decoder of {type(self.autoencoder).__name__} returns an image and no "
                "distribution, so that raw data have no density under this model, which can only "
                "sample: measure the scale of its errors by measure_decoder(model, images), or "
                "give it, as from_diffusers(folder, decoder_scale=0.05); at the command line: "
                "quasistatic convert FOLDER -o RUN --decoder-data images.npy"
            )
        return location, log_scale

    @torch.no_grad()
    def draw_raw(self, x_0: Tensor, rng: torch.Generator | None = None) -> Tensor:
        location, log_scale = self.autoencoder.decode(x_0.to(self._like))
        if log_scale is None:  # without noise
            made: Tensor = self.raw.decode(location)
            return made.to(x_0.dtype)
        if self.raw.levels is None:
            noise = normal(location.shape, rng, location)
        else:  # the cell of a draw of a logistic
            noise = uniform(location.shape, rng, location, torch.float64).logit().to(location)
        drawn: Tensor = self.raw.decode(location + log_scale.exp() * noise)
        return drawn.to(x_0.dtype)

    @torch.no_grad()
    def decode(self, x_0: Tensor) -> Tensor:
        """The middle of p(raw | z), without noise; :meth:`draw_raw` draws."""
        found: Tensor = self.raw.decode(self.autoencoder.decode(x_0.to(self._like))[0])
        return found.to(x_0.dtype)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        found: Tensor = self.raw.in_raw_units(self.autoencoder.decode(x_0.to(self._like))[0])
        return found.to(x_0.dtype)

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        raise no_affine(self)

    def expand_to_state(self, each: Tensor) -> Tensor:
        """Zeros: a latent has no raw value of its own."""
        return each.new_zeros(len(each), *self.state)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0)

    def log_total_mass(self, p: Family, like: Tensor) -> Tensor | None:
        """log of the sum of p(raw | z) over all levels of each raw value, (B, *shape), in nats;
        None for real numbers. The law p of the latents has no part in it."""
        if self.raw.levels is None:
            return None
        law = self.decoder(like)
        levels = range(len(self.raw.levels))
        zero = like.new_zeros(len(like), *self.shape)
        return torch.stack([self.log_decoder(law, zero + k) for k in levels]).logsumexp(0)

    def _terms(self, raw: Tensor, z: Tensor, q: Gaussian) -> dict[str, Tensor]:
        """The two parts of the log-weight, in float64."""
        return {
            "decoder": total(self.log_decoder(self.decoder(z), raw).double()),
            "encoder": -total(q.log_prob(z).double()),
        }

    @property
    def _like(self) -> Tensor:
        """A tensor with the type and the device of the autoencoder."""
        return next(self.autoencoder.parameters(), torch.zeros(())).detach()
