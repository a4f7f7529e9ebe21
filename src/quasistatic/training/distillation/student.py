"""The network of a flow map, built like the denoiser and started from its weights."""

__all__ = ["student_of"]

import dataclasses
from typing import Any

import torch
from torch import nn

from ...model import Model
from ...networks import FlowMapNetwork, Padded


def student_of(model: Model) -> nn.Module:
    """A network for a flow map, of the class and size of the model's own network. Weights that
    both have start at the model's; the output layer, and what reads the ends of a step, are new.

    Raises:
        TypeError: if the model's network cannot be built with other outputs: what to give.
    """
    made = _alike(model.network, model)
    weights, own = made.state_dict(), model.network.state_dict()
    shared = {
        name: value
        for name, value in own.items()
        if name in weights and weights[name].shape == value.shape
    }
    made.load_state_dict(weights | shared)
    return made.to(model.blank(1))


def _alike(network: nn.Module, model: Model) -> nn.Module:
    if isinstance(network, Padded):
        return Padded(network.shape, _alike(network.network, model))
    names = getattr(network, "__dataclass_fields__", {})
    if not {"outputs", "condition"} <= names.keys():
        raise TypeError(
            f"{type(network).__name__} cannot be built with other outputs and a condition: give "
            f"distill a network=..., such as networks.MLP({model.space.state}, outputs=2, "
            f"condition={FlowMapNetwork.ENDS})"
        )
    codes = 0 if model.condition is None else model.condition.width
    changes: dict[str, Any] = {"outputs": 2, "condition": FlowMapNetwork.ENDS + codes}
    if "dropout" in names:
        changes["dropout"] = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found: nn.Module = dataclasses.replace(network, **changes)  # type: ignore[type-var]
    return found
