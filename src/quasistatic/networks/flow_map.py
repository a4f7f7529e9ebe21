r"""A denoiser with a network of the flow map beside it."""

__all__ = ["FlowMapNetwork"]

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .._utils.validation import whole_number, whole_numbers
from .time import fourier_features

OCTAVES = 8
"""Frequencies of the features of a step's two ends."""


@dataclass(eq=False, init=False)
class FlowMapNetwork(nn.Module):
    r"""A denoiser, and a second network for long steps of its probability flow.

    As a network of a model it is the denoiser: with it the model's verbs give what they gave
    before. :meth:`velocity` is the second network, which `distill` trains while the denoiser stays
    as it is.

    Args:
        denoiser: the network of the model.
        flow_map: a network for the same examples with two outputs a value, whose condition has
            `ENDS` numbers, and those of the model's condition after them.
        times: at which steps end, rising to T: one for each evaluation of the longest walk.
        shortest: evaluations of the shortest walk that was trained; each longer one has twice as
            many, up to the number of times.
        density: whether the second output was trained.

    Raises:
        TypeError: if a network is none, or the second one has another number of outputs or of
            codes.
        ValueError: if the times do not rise, or their number is no power of two.
    """

    ENDS: ClassVar[int] = 2 * (2 * OCTAVES + 1)
    """Numbers of the code of a step's two ends."""

    denoiser: Any
    flow_map: Any
    times: Any
    shortest: int
    density: bool

    # Not a dataclass __init__: nn.Module.__init__ has to run before a submodule is assigned.
    def __init__(
        self,
        denoiser: Any,
        flow_map: Any,
        times: Any,
        shortest: int = 1,
        density: bool = True,
    ) -> None:
        super().__init__()
        for name, each in (("denoiser", denoiser), ("flow_map", flow_map)):
            if not isinstance(each, nn.Module):
                raise TypeError(f"{name} must be a network, got {each!r:.80}")
        wanted = {"outputs": 2, "condition": self.ENDS + getattr(denoiser, "condition", 0)}
        for name, number in wanted.items():
            got = getattr(flow_map, name, number)
            if got != number:
                raise TypeError(
                    f"the network of a flow map needs {name}={number}, and "
                    f"{type(flow_map).__name__} was built with {name}={got}"
                )
        self.denoiser, self.flow_map = denoiser.requires_grad_(False), flow_map
        self.times = whole_numbers("times", times)
        self.shortest, self.density = whole_number("shortest", shortest), bool(density)
        if list(self.times) != sorted(set(self.times)):
            raise ValueError(f"the times of a flow map must rise, got {list(self.times)}")
        longest = len(self.times)
        if not _is_power_of_two(longest) or not _is_power_of_two(shortest) or shortest > longest:
            raise ValueError(
                "a flow map takes 1, 2, 4, 8, ... evaluations, got from "
                f"{shortest} to {longest}: give powers of two"
            )

    @property
    def condition(self) -> int:
        """Numbers of the condition's code that the denoiser takes; 0 for none."""
        return int(getattr(self.denoiser, "condition", 0))

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of evaluations that were trained, rising."""
        longest = len(self.times)
        powers = range(int(math.log2(self.shortest)), int(math.log2(longest)) + 1)
        return tuple(2**k for k in powers)

    def grid(self, count: int | None = None) -> tuple[int, ...]:
        """The times of a walk of `count` evaluations, rising to T; by default of the most.

        Raises:
            ValueError: if another number was trained: which.
        """
        count = len(self.times) if count is None else count
        if count not in self.counts:
            known = ", ".join(map(str, self.counts))
            raise ValueError(
                f"the flow map was trained for walks of {known} evaluations, got {count}: give "
                "one of them, or distill the model again"
            )
        every = len(self.times) // count
        found: tuple[int, ...] = self.times[every - 1 :: every]
        return found

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        codes = () if given is None else (given,)
        found: Tensor = self.denoiser(x, time, *codes)
        return found

    def velocity(
        self, x: Tensor, time: Tensor, start: Tensor, end: Tensor, given: Tensor | None = None
    ) -> Tensor:
        """The mean velocity of a step of the flow, and the mean divergence by each value.

        Args:
            x: where the step starts, with shape (B, *).
            time: t / T there, with shape (B,).
            start: how much signal x has, from 0 (noise) to 1 (data), with shape (B,).
            end: how much signal it has after the step, with shape (B,).
            given: codes of the model's condition, with shape (B, condition).

        Returns:
            Shape (B, *, 2).
        """
        codes = [fourier_features(each, OCTAVES) for each in (start, end)]
        codes += [] if given is None else [given]
        found: Tensor = self.flow_map(x, time, torch.cat(codes, 1))
        return found

    def train(self, mode: bool = True) -> "FlowMapNetwork":
        """As of every module; the denoiser is not trained and stays in eval mode."""
        super().train(mode)
        self.denoiser.eval()
        return self


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
