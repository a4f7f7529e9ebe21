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

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names
from .config import Fit

if TYPE_CHECKING:
    from .loop import NonFiniteLoss, fit
    from .objectives import Bound, Hybrid, MinimumVariance, Objective, Simple

# PyTorch is imported when it is needed: recipes use `Fit` alone.
__getattr__ = lazy_names(
    __name__,
    {
        "loop": "NonFiniteLoss fit",
        "objectives": "Bound Hybrid MinimumVariance Objective Simple",
    },
)
