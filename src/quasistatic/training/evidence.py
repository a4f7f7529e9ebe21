"""The objective of an autoencoder: the evidence lower bound, with a weight on the rate."""

__all__ = ["Evidence"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model import Model
from ..spaces import Latent
from .objectives import Objective


@dataclass(frozen=True)
class Evidence(Objective):
    r"""Trains the autoencoder of a :class:`.Latent` space by -log p(raw | z) + weight
    KL(q(z | raw) || N(0, 1)), in nats an example (KW14 Eq. 3). The chain's network is not trained.

    With a weight of 1 it is the bound of a model whose latents are standard normal. Metrics and
    validation always report a true bound in bits per dimension, whatever the weight.

    Args:
        weight: of the rate, KL(q(z | raw) || N(0, 1)), against the decoder. A weight below 1 gives
            latents that say more than pays by a standard normal prior; the chain, which knows the
            latents better than that, can make it pay. Default 1.

    Raises:
        ValueError: if the weight is not positive and finite.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(
                f"the weight of the rate must be positive and finite, got {self.weight}: without "
                "a rate the latents are not regularized; 1 is the bound itself"
            )

    def check(self, model: Model) -> None:
        _latent(model)

    def __call__(self, model: Model, raw: Tensor, rng: torch.Generator) -> Tensor:
        cost, rate = _latent(model).cost_and_rate(raw, rng)
        return cost + self.weight * rate

    @torch.no_grad()
    def reading(self, model: Model, raw: Tensor, loss: float) -> tuple[str, float]:
        some = raw[: model.chunk_size]
        rng = torch.Generator(raw.device).manual_seed(0)
        cost, rate = _latent(model).cost_and_rate(some, rng)
        return "bits_per_dim", (cost + rate).mean().item() / model.space.dims / math.log(2)


def _latent(model: Model) -> Latent:
    """The model's space.

    Raises:
        TypeError: if it has no autoencoder.
    """
    if not isinstance(model.space, Latent):
        raise TypeError(
            f"Evidence trains the autoencoder of a Latent space, and {type(model.space).__name__} "
            "has none: train the network with Bound"
        )
    return model.space
