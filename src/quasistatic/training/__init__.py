"""Training: the loop, one train step, the data loader, the train state and its checkpoints."""

__all__ = [
    "Bound",
    "Fit",
    "Hybrid",
    "MinimumVariance",
    "NonFiniteLoss",
    "Objective",
    "Simple",
    "fit",
]

from .loop import Fit, NonFiniteLoss, fit
from .objectives import Bound, Hybrid, MinimumVariance, Objective, Simple
