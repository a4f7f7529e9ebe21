"""A law for each class: p(x | y) and p(x) in closed form."""

__all__ = ["LawPerClass"]

from dataclasses import dataclass

import torch
from torch import Tensor

from .mixture import Mixture


@dataclass(frozen=True, eq=False)
class LawPerClass:
    """p(x | y) of each class y as a mixture in closed form, and p(y).

    Args:
        log_prior: log p(y), with shape (C,), in nats.
        laws: p(x | y) of the classes, each with as many components.

    Raises:
        ValueError: if the numbers of classes, of components or of values differ.
    """

    log_prior: Tensor
    laws: tuple[Mixture, ...]

    def __post_init__(self) -> None:
        sizes = {(law.components, law.width) for law in self.laws}
        if len(self.laws) != len(self.log_prior) or len(sizes) != 1:
            raise ValueError(
                f"{len(self.log_prior)} classes need as many laws, each with as many components of "
                f"as many values, got {len(self.laws)} of (components, values) {sorted(sizes)}"
            )

    @property
    def classes(self) -> int:
        """C, the number of classes."""
        return len(self.laws)

    def log_prob_of_classes(self, x: Tensor) -> Tensor:
        """log p(x | y) of rows x (N, W) for each class, with shape (N, C), in nats."""
        return torch.stack([law.to(x).log_prob(x) for law in self.laws], 1)

    def log_posterior(self, x: Tensor) -> Tensor:
        """log p(y | x) of rows x (N, W), with shape (N, C), in nats."""
        return (self.log_prob_of_classes(x) + self.log_prior.to(x)).log_softmax(1)
