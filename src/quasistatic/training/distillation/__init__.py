"""Distillation: a flow map is trained to take the steps of a model's probability flow that many
evaluations would take."""

__all__ = [
    "Distillation",
    "MeanFlow",
    "MeanFlowLoss",
    "ProgressiveDistillation",
    "ProgressiveLoss",
    "Trajectories",
    "distill",
]

from .distill import distill
from .methods import Distillation, MeanFlow, ProgressiveDistillation
from .objectives import MeanFlowLoss, ProgressiveLoss
from .trajectories import Trajectories
