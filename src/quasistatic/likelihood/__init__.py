r"""The likelihood of a model, from both sides: the bound and cheap estimates of it, weighted paths,
the probability flow, and the sandwich on the model's own draws."""

from .bracket import Sandwich, sandwich
from .continuous import continuous
from .elbo import bound
from .methods import ContinuousTime, Flow, Importance, Method
from .ode import flow
from .score import BoundScore, ContinuousScore, FlowScore, ImportanceScore, Score
from .target import bound_to
from .weighted import importance

__all__ = [
    "BoundScore",
    "ContinuousScore",
    "ContinuousTime",
    "Flow",
    "FlowScore",
    "Importance",
    "ImportanceScore",
    "Method",
    "Sandwich",
    "Score",
    "bound",
    "bound_to",
    "continuous",
    "flow",
    "importance",
    "sandwich",
]
