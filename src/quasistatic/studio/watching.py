"""A model whose network counts its calls, so that any verb shows progress and can stop."""

__all__ = ["watched"]

import copy
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor, nn

from ..model import Model
from .jobs import Job

M = TypeVar("M", bound=Model)


@dataclass(eq=False)
class Count:
    """The calls of the network in a job, each for a batch of examples.

    Args:
        job: that receives the progress.
        total: calls that are expected.
        done: calls so far.
    """

    job: Job
    total: int
    done: int = field(default=0)

    def __deepcopy__(self, memo: dict[int, object]) -> "Count":
        return self  # a codec copies the network, and the job stays the same

    def __call__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Called before each evaluation of a batch. Raises Stopped if the job was stopped."""
        self.done += 1
        self.job.progress(self.done, self.total)


def watched(model: M, job: Job, total: int) -> tuple[M, Count]:
    """The same model, with the same weights, whose calls a job counts.

    Args:
        model: any model. It stays as it is.
        job: that shows the progress, and stops the work.
        total: calls of the network that are expected.
    """
    count = Count(job, total)
    network = copy.copy(model.network)
    # A copy of a module shares its dictionaries: the hook must not reach the original.
    network._forward_pre_hooks = OrderedDict(model.network._forward_pre_hooks)
    network.register_forward_pre_hook(count)
    other = copy.copy(model)
    other._modules = {**model._modules, "network": network}
    return other, count
