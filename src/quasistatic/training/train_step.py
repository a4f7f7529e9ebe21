"""The gradient of one step, from the parts of it that every process takes."""

__all__ = ["Gradients", "NonFiniteLoss"]

import math
from collections.abc import Callable, Sequence
from typing import NoReturn

import torch
from torch import Tensor

from ..model import Model
from .data_loader import Batches, Part
from .distributed import Engine
from .objectives import Objective
from .precision import Arithmetic, fastest


class NonFiniteLoss(RuntimeError):
    """The loss or its gradient became infinite or NaN; the weights are those of the step before."""


class Gradients:
    """Gradients of an objective at the weights of `model`.

    A step is the mean over its batch. Each part of the batch draws times, noise and dropout from a
    seed of its own and adds its share to the weights' gradients; those of several processes are
    then added up, in one message.
    """

    def __init__(
        self, model: Model, objective: Objective, engine: Engine, batches: Batches
    ) -> None:
        self.model, self.objective, self.engine, self.batches = model, objective, engine, batches
        self.weights = list(model.parameters())
        self.dtype = model.blank(1).dtype
        self.rng = engine.generator()
        self.arithmetic, self.working = Arithmetic(), model  # `choose` finds what is best

    def compute(self, step: int, last: bool, clip: float) -> Tensor:
        """Leaves in the weights the gradient of a step, counted from 0, clipped to a norm; the
        mean loss and the norm, (2,), which nobody has looked at: see :meth:`require`.

        Args:
            last: whether no step comes after it.
        """
        parts = self.batches.take(step)
        each = self._add_up(self.working, parts)
        if not last:
            self.batches.prepare(step + 1)  # a GPU is still busy: what was asked of it is queued
        share = torch.stack([losses.sum() / self.batches.size for losses in each]).sum()
        loss = self.engine.reduce(self.weights, share)
        norm = torch.nn.utils.clip_grad_norm_(self.weights, clip)
        self._seen = parts, each
        return torch.stack([loss, norm.to(loss)])

    def require(self, step: int, loss: float, norm: float) -> None:
        """Nothing, if the loss and the gradient of the step that was computed last are finite.

        Raises:
            NonFiniteLoss: on all processes alike, if they are not.
        """
        if not math.isfinite(loss):
            self._refuse(step, loss, *self._seen)
        if not math.isfinite(norm):
            raise NonFiniteLoss(
                f"the gradient has norm {norm} at step {step + 1} though the loss is {loss:.4g}: "
                f"the weights of step {step} are kept; try a lower lr"
            )

    def choose(self, ways: Sequence[Arithmetic], step: int) -> dict[str, float | None]:
        """Makes the network compute in the fastest of these ways, by trials of a step on the main
        process that leave no trace; the seconds that each took, see :func:`fastest`."""
        chosen, seconds = self.engine.once(lambda: fastest(ways, lambda w: self._trial(w, step)))
        self.arithmetic, self.working = chosen, self._through(chosen)
        return seconds

    def _through(self, way: Arithmetic) -> Model:
        network = way.wrap(self.model.network)
        return self.model if network is self.model.network else self.model.with_network(network)

    def _trial(self, way: Arithmetic, step: int) -> Callable[[], None]:
        model, parts = self._through(way), self.batches.take(step)
        buffers = list(self.model.buffers())

        def trial() -> None:
            before = [buffer.clone() for buffer in buffers]
            self._add_up(model, parts)
            self._clear()
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            self.engine.finish()

        return trial

    def _add_up(self, model: Model, parts: list[Part]) -> list[Tensor]:
        """The losses of each part, (B,); the weights get its share of the batch's gradient."""
        self._clear()
        model.train()
        each = []
        for part in parts:
            self.rng.manual_seed(part.seed)
            self.engine.seed(part.seed)
            losses = self.objective(model, part.raw.to(self.dtype), self.rng)
            (losses.sum() / self.batches.size).backward()
            each.append(losses.detach())
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
            f"the loss is {loss} at step {step + 1}, {first} ({len(bad)} of {self.batches.size} in "
            f"the batch): the weights of step {step} are kept; try a lower lr, a smaller clip, or "
            "look at that row"
        )
