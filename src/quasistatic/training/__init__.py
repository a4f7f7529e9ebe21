"""Training: the loop, one train step, the data loader, the train state and its checkpoints."""

__all__ = [
    "CSV",
    "Bound",
    "Fit",
    "Hybrid",
    "MinimumVariance",
    "NonFiniteLoss",
    "Objective",
    "Progress",
    "ProgressBar",
    "Simple",
    "TensorBoard",
    "TrainState",
    "fit",
]

from .callbacks import CSV, ProgressBar, TensorBoard
from .loop import Fit, NonFiniteLoss, fit
from .objectives import Bound, Hybrid, MinimumVariance, Objective, Simple
from .train_state import Progress, TrainState
