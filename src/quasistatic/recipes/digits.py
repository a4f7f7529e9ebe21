"""scikit-learn's 1797 handwritten digits, 8x8 pixels of 17 grey levels."""

__all__ = ["Digits"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class Digits(Recipe):
    """scikit-learn's digits by the Levels head: the network's distribution over grey levels times
    the exact likelihood of the noisy pixel.

    Args:
        steps: T, the number of time steps of the chain.
        width: hidden units of the network.
        depth: residual blocks of the network.
        dropout: dropout probability of the network.
        fit: how to train.
        given: `label` for a model of the images given their class; by default a model without a
            condition.
        start: `law` for a model that starts as the spectral law of the images, or with `given` as
            one law for each class, which a U-Net corrects; by default the network learns all.
    """

    steps: int = 1000
    width: int = 384
    depth: int = 3
    dropout: float = 0.4
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=600, weight_decay=0.1, validations=12, patience=3, evaluations=40
        )
    )

    given: Literal["label"] | None = field(default=None, metadata={"added": True})
    start: Literal["none", "law"] = field(default="none", metadata={"added": True})

    @property
    def frame(self) -> tuple[int, int] | None:
        return 8, 8

    @property
    def reaches(self) -> str:
        return "at most 2.05 bits per dimension on the 359 test digits"

    def build(self) -> "Experiment":
        from .experiments.digits import experiment

        return experiment(self)
