r"""Estimates of the likelihood: the bound and cheap estimates of it, importance sampling, the
probability flow, and lower and upper estimates for the model's own draws."""

from .adaptive_budget import bound_to
from .classification import Classification, classify
from .continuous_time import continuous
from .elbo import bound
from .flow_map import FlowMapScore, flow_map_score
from .importance import importance
from .methods import (
    AdaptiveBound,
    ContinuousTime,
    Elbo,
    Flow,
    FlowMapDensity,
    Importance,
    Method,
)
from .over_classes import OverClasses
from .probability_flow import flow
from .sandwich_bounds import Sandwich, sandwich
from .score import (
    BoundScore,
    ClassesScore,
    ContinuousScore,
    FlowScore,
    ImportanceScore,
    Score,
)

__all__ = [
    "AdaptiveBound",
    "BoundScore",
    "Classification",
    "ClassesScore",
    "ContinuousScore",
    "ContinuousTime",
    "Elbo",
    "Flow",
    "FlowMapDensity",
    "FlowMapScore",
    "FlowScore",
    "Importance",
    "ImportanceScore",
    "Method",
    "OverClasses",
    "Sandwich",
    "Score",
    "bound",
    "bound_to",
    "classify",
    "continuous",
    "flow",
    "flow_map_score",
    "importance",
    "sandwich",
]
