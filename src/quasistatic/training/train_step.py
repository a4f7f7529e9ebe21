"""The gradient of one training step, from the parts of it that every process takes."""

__all__ = ["NonFiniteLoss", "TrainStep"]

import math
from collections.abc import Callable, Sequence
from typing import NoReturn

import torch
from torch import Tensor

from .._utils.buffers import same_buffers
from ..model import Model
from .data_loader import DataLoader, Part
from .distributed import Engine
from .objectives import Objective
from .precision import ComputeMode, fastest
from .step_functions import StepFunction


class NonFiniteLoss(RuntimeError):
    """The loss or its gradient became infinite or NaN; the weights are those of the step before."""


class TrainStep:
    """Gradients of an objective at the weights of a model.

    The loss of a step is the mean over its batch. Each part of the batch draws times, noise and
    dropout from a seed of its own and adds its share to the gradient of the weights. The gradients
    of several processes are then summed, in one message.

    Args:
        model: the model to train; its weights get the gradient.
        objective: the loss.
        engine: the device and the processes.
        data: the batches.
        graphs: whether steps may be captured as CUDA graphs.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        engine: Engine,
        data: DataLoader,
        graphs: bool = True,
    ) -> None:
        self.model, self.objective, self.engine, self.data = model, objective, engine, data
        self.graphs = graphs
        self.weights = list(model.parameters())
        self.rng = engine.generator()
        self.mode = ComputeMode()
        self.function = self._function(self.mode)

    def compute(self, step: int, last: bool, clip: float) -> Tensor:
        """Leaves the gradient of a step in the weights.

        Args:
            step: the number of the step, from 0.
            last: whether no step comes after it.
            clip: the largest norm of the gradient.

        Returns:
            The mean loss and the norm of the gradient before it was clipped, with shape (2,). The
            host has not waited for them; :meth:`require` checks their values.
        """
        parts = self.data.take(step)
        each = self._add_up(self.function, parts)
        if not last:
            self.data.prepare(step + 1)  # while a GPU is still busy with this one
        share = torch.stack([losses.sum() / self.data.size for losses in each]).sum()
        loss = self.engine.reduce(self.weights, share)
        norm = self.engine.clip(self.weights, clip)
        self._seen = parts, each
        return torch.stack([loss, norm.to(loss)])

    def require(self, step: int, loss: float, norm: float) -> None:
        """Checks the loss and the norm of the step that was computed last.

        Raises:
            NonFiniteLoss: on all processes alike, if one of them is not finite.
        """
        if not math.isfinite(loss):
            self._refuse(step, loss, *self._seen)
        if not math.isfinite(norm):
            raise NonFiniteLoss(
                f"the gradient has norm {norm} at step {step + 1} though the loss is {loss:.4g}: "
                f"the weights of step {step} are kept; try a lower lr"
            )

    def choose(
        self,
        modes: Sequence[ComputeMode],
        step: int,
        steps: int | None = None,
        seconds: float | None = None,
    ) -> dict[str, float | None]:
        """Computes in the fastest of these modes from now on, by trials of a step on the main
        process that leave no trace.

        Args:
            modes: the modes to choose among.
            step: the step that is tried, from 0.
            steps: how many steps the run has left; or
            seconds: the time that it has left.

        Returns:
            The seconds a step of each mode that was tried, see :func:`fastest`.
        """
        tried: dict[ComputeMode, StepFunction] = {}

        def begin(mode: ComputeMode) -> Callable[[], None]:
            tried[mode] = self._function(mode)
            return self._trial(tried[mode], step)

        self.mode, found = self.engine.once(lambda: fastest(modes, begin, steps, seconds))
        self.function = tried.get(self.mode) or self._function(self.mode)
        return found

    def _function(self, mode: ComputeMode) -> StepFunction:
        return StepFunction.make(
            self.model, self.objective, mode, self.data.size, self.engine, self.graphs
        )

    def _trial(self, function: StepFunction, step: int) -> Callable[[], None]:
        parts = self.data.take(step)

        def trial() -> None:
            with same_buffers(self.model):
                self._add_up(function, parts)
            self._clear()
            self.engine.finish()

        return trial

    def _add_up(self, function: StepFunction, parts: list[Part]) -> list[Tensor]:
        """The losses of each part, (B,); the weights get its share of the batch's gradient."""
        self._clear()
        self.model.train()
        function.model.train()
        each = []
        for part in parts:
            self.rng.manual_seed(part.seed)
            self.engine.seed(part.seed)
            each.append(function(part.raw, self.rng, part.code))
        return each

    def _clear(self) -> None:
        for weight in self.weights:
            weight.grad = None

    def _refuse(self, step: int, loss: float, parts: list[Part], each: list[Tensor]) -> NoReturn:
        pairs = zip(parts, each, strict=True)
        mine = torch.cat([part.rows[~losses.isfinite().cpu()] for part, losses in pairs])
        bad = torch.cat(self.engine.gather(mine)).tolist()
        first = f"first on row {bad[0]} of the data" if bad else "on no row by itself"
        raise NonFiniteLoss(
            f"the loss is {loss} at step {step + 1}, {first} ({len(bad)} of {self.data.size} in "
            f"the batch): the weights of step {step} are kept; try a lower lr, a smaller clip, or "
            "look at that row"
        )
