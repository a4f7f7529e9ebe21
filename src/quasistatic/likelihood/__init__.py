r"""The likelihood of a model, from both sides: the bound and cheap estimates of it, weighted paths,
the probability flow, and the sandwich on the model's own draws."""

from .bracket import Sandwich, sandwich
from .elbo import bound
from .methods import Flow, Importance, Method
from .ode import flow
from .score import BoundScore, FlowScore, ImportanceScore, Score
from .target import bound_to
from .weighted import importance

__all__ = [
    "BoundScore",
    "Flow",
    "FlowScore",
    "Importance",
    "ImportanceScore",
    "Method",
    "Sandwich",
    "Score",
    "bound",
    "bound_to",
    "flow",
    "importance",
    "sandwich",
]
