r"""The likelihood of a model, from both sides: the bound and cheap estimates of it, weighted paths,
the probability flow, and the sandwich on the model's own draws."""

from .bound import bound
from .flow import flow
from .importance import importance
from .methods import Flow, Importance, Method
from .sandwich import Sandwich, sandwich
from .score import BoundScore, FlowScore, ImportanceScore, Score
from .target import bound_to

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
