"""Training: the loop, one train step, the data loader, the train state and its checkpoints."""

__all__ = [
    "CSV",
    "Bound",
    "Distillation",
    "Evidence",
    "Fit",
    "Hybrid",
    "MeanFlow",
    "MeanFlowLoss",
    "MinimumVariance",
    "NonFiniteLoss",
    "Objective",
    "Progress",
    "ProgressBar",
    "ProgressiveDistillation",
    "ProgressiveLoss",
    "Simple",
    "TensorBoard",
    "TrainState",
    "distill",
    "fit",
]

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names
from .config import Fit

if TYPE_CHECKING:
    from .callbacks import CSV, ProgressBar, TensorBoard
    from .distillation import (
        Distillation,
        MeanFlow,
        MeanFlowLoss,
        ProgressiveDistillation,
        ProgressiveLoss,
        distill,
    )
    from .evidence import Evidence
    from .fitting import fit
    from .objectives import Bound, Hybrid, MinimumVariance, Objective, Simple
    from .train_state import Progress, TrainState
    from .train_step import NonFiniteLoss

# PyTorch is imported when it is needed: recipes use `Fit` alone, and help texts are fast.
__getattr__ = lazy_names(
    __name__,
    {
        "callbacks": "CSV ProgressBar TensorBoard",
        "distillation": "Distillation MeanFlow MeanFlowLoss ProgressiveDistillation "
        "ProgressiveLoss distill",
        "evidence": "Evidence",
        "fitting": "fit",
        "objectives": "Bound Hybrid MinimumVariance Objective Simple",
        "train_state": "Progress TrainState",
        "train_step": "NonFiniteLoss",
    },
)
