"""The loss of some rows and its gradient: as written, compiled, or captured as a CUDA graph."""

__all__ = ["Captured", "Compiled", "Eager", "StepFunction"]

import abc
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FunctionType
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .._utils.buffers import same_buffers
from .._utils.randomness import Player, Recorder
from ..model import Model
from .distributed import Engine
from .objectives import Objective
from .precision import ComputeMode

Key: TypeAlias = tuple[torch.Size, torch.dtype]
"""The shape and dtype of raw rows."""


class StepFunction(abc.ABC):
    """Losses of raw data, whose gradient is added to that of the weights.

    Args:
        model: the model whose weights get the gradient.
        objective: the loss.
        mode: the precision of the network, and whether it is compiled.
        size: rows of the whole batch; the gradient is that of the sum of losses over `size`.
    """

    def __init__(self, model: Model, objective: Objective, mode: ComputeMode, size: int) -> None:
        network = mode.autocast(model.network)
        self.model = model if network is model.network else model.with_network(network)
        self.objective, self.size = objective, size
        self.dtype = model.blank(1).dtype
        self.weights = list(model.parameters())

    @staticmethod
    def make(
        model: Model,
        objective: Objective,
        mode: ComputeMode,
        size: int,
        engine: Engine,
        graphs: bool = True,
    ) -> "StepFunction":
        """The fastest function for a mode and a device; all give the same losses.

        Args:
            engine: where it runs.
            graphs: whether a CUDA graph may be captured.
        """
        made: StepFunction
        if mode.compiled:
            made = Compiled(model, objective, mode, size)
        else:
            made = Eager(model, objective, mode, size)
        return Captured(made, engine) if graphs and engine.captures else made

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """How it is computed, in a few words for the run's `speed.json`."""

    @abc.abstractmethod
    def __call__(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> Tensor:
        """Adds the gradient of rows raw (B, *) to the weights' `grad`.

        Args:
            raw: with shape (B, *).
            rng: draws times and noise.
            code: of the condition of each row, with shape (B, width); None without conditions.

        Returns:
            The losses, without a gradient, with shape (B,).
        """

    def losses(self, raw: Tensor, rng: object, code: Tensor | None = None) -> Tensor:
        """The losses of rows raw (B, *), with their gradient, with shape (B,)."""
        model = self.model.with_codes(code)
        return self.objective(model, raw.to(self.dtype), cast(torch.Generator, rng))

    def played(self, raw: Tensor, draws: Sequence[Tensor], code: Tensor | None = None) -> Tensor:
        """The same as :meth:`losses`, with random draws that were recorded before."""
        return self.losses(raw, Player(draws, raw.device), code)

    def prepare(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> None:
        """Does what must be done before rows of that shape can be captured. It leaves no trace."""
        return

    def record(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> Recorder:
        """How the draws of the losses are made, for rows of that shape. It leaves no trace.

        Raises:
            TypeError: if the objective draws in a way of its own, by `torch.randn` for example,
                and not by the functions of `quasistatic._utils.randomness`.
        """
        state, recorder = rng.get_state(), Recorder(rng)
        try:
            with (
                same_buffers(self.model),
                torch.random.fork_rng([raw.device] if raw.is_cuda else []),
            ):
                self.losses(raw, recorder, code)
        finally:
            rng.set_state(state)
        return recorder


class Eager(StepFunction):
    """One operator after the other."""

    @property
    def name(self) -> str:
        return "eager"

    def __call__(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> Tensor:
        losses = self.losses(raw, rng, code)
        torch.autograd.backward(losses.sum() / self.size)
        return losses.detach()


class Compiled(StepFunction):
    """The whole loss as one graph of torch.compile; where the objective or the head cannot be
    compiled, the network alone."""

    def __init__(self, model: Model, objective: Objective, mode: ComputeMode, size: int) -> None:
        super().__init__(model, objective, mode, size)
        self._recorders: dict[Key, Recorder] = {}
        self._loss: Callable[..., Tensor] | None = torch.compile(
            _own_code(lambda raw, code, *draws: self.losses(raw, Player(draws, raw.device), code)),
            fullgraph=True,
            dynamic=False,
        )

    @property
    def name(self) -> str:
        return "network compiled" if self._loss is None else "loss compiled"

    def __call__(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> Tensor:
        losses = self._compiled(raw, rng, code)
        torch.autograd.backward(losses.sum() / self.size)
        return losses.detach()

    def _compiled(self, raw: Tensor, rng: torch.Generator, code: Tensor | None) -> Tensor:
        """The losses with their gradient, (B,)."""
        if self._loss is None:
            return self.losses(raw, rng, code)
        key = (raw.shape, raw.dtype)
        if key in self._recorders:
            return self._loss(raw, code, *self._recorders[key].redraw(rng))
        state = rng.get_state()
        try:
            self._recorders[key] = self.record(raw, rng, code)
            return self._loss(raw, code, *self._recorders[key].redraw(rng))
        except (TypeError, _compiler_errors().TorchDynamoException) as error:
            rng.set_state(state)
            self._fall_back(error)
            return self.losses(raw, rng, code)

    def played(self, raw: Tensor, draws: Sequence[Tensor], code: Tensor | None = None) -> Tensor:
        if self._loss is None:
            return super().played(raw, draws, code)
        return self._loss(raw, code, *draws)

    def prepare(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> None:
        # Compiles now, and the network alone if need be: an error within a capture would lose both.
        state = rng.get_state()
        self._compiled(raw, rng, code)
        rng.set_state(state)

    def _fall_back(self, error: Exception) -> None:
        """Compiles the network alone from now on."""
        if isinstance(error, _compiler_errors().BackendCompilerFailed):
            raise error
        self._loss = None
        self.model = self.model.with_network(torch.compile(self.model.network))  # type: ignore[arg-type]


class Captured(StepFunction):
    """Another step function, captured as a CUDA graph and replayed: the host then launches one
    thing a step, and not each kernel. The kernels and their results are the same.

    Args:
        inner: what is captured, once for each shape of a batch.
        engine: the device that captures.
    """

    def __init__(self, inner: StepFunction, engine: Engine) -> None:
        self.inner, self.engine = inner, engine
        self.model, self.objective, self.size = inner.model, inner.objective, inner.size
        self.dtype, self.weights = inner.dtype, inner.weights
        self._graphs: dict[Key, _Graph] = {}
        self._works = True

    @property
    def name(self) -> str:
        return f"{self.inner.name}, CUDA graph" if self._works else self.inner.name

    def __call__(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> Tensor:
        graph = self._graph(raw, rng, code) if self._works else None
        return (graph or self.inner)(raw, rng, code)

    def _graph(self, raw: Tensor, rng: torch.Generator, code: Tensor | None) -> "_Graph | None":
        key = (raw.shape, raw.dtype)
        if key not in self._graphs:
            before = [weight.grad for weight in self.weights]
            try:
                self._graphs[key] = _Graph(self.inner, raw, rng, self.engine, code)
            except (RuntimeError, TypeError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                self._works = False
                warnings.warn(
                    f"the step cannot be captured as a CUDA graph ({error}): it is computed "
                    "without",
                    stacklevel=2,
                )
                return None
            finally:
                for weight, gradient in zip(self.weights, before, strict=True):
                    weight.grad = gradient
        return self._graphs[key]


class _Graph:
    """Forward and backward of rows of one shape, in memory that stays where it is."""

    def __init__(
        self,
        function: StepFunction,
        raw: Tensor,
        rng: torch.Generator,
        engine: Engine,
        code: Tensor | None = None,
    ) -> None:
        with same_buffers(function.model):
            function.prepare(raw, rng, code)
        self.recorder, self.weights = function.record(raw, rng, code), function.weights
        with _Reads() as reads:  # the first time filled the caches
            function.record(raw, rng, code)
        self.reads = reads.found
        self.code = None if code is None else code.clone()
        recorder, state = self.recorder, rng.get_state()
        self.raw, self.draws = raw.clone(), [draw.clone() for draw in recorder.redraw(rng)]
        rng.set_state(state)

        def work() -> Tensor:
            for weight in self.weights:
                weight.grad = None
            losses = function.played(self.raw, self.draws, self.code)
            torch.autograd.backward(losses.sum() / function.size)
            return losses.detach()

        versions = [each._version for each in function.model.buffers()]
        with same_buffers(function.model):
            self.replay, self.losses = engine.capture(work)
        self.gradients = [weight.grad for weight in self.weights]
        pairs = zip(function.model.buffers(), versions, strict=True)
        self.written = [each for each, version in pairs if each._version != version]

    def __call__(self, raw: Tensor, rng: torch.Generator, code: Tensor | None = None) -> Tensor:
        self.raw.copy_(raw)
        if self.code is not None and code is not None:
            self.code.copy_(code)
        torch._foreach_copy_(self.draws, self.recorder.redraw(rng))
        # What an earlier part of the batch left may lie in the memory that a replay writes to.
        before = [None if each.grad is None else each.grad.clone() for each in self.weights]
        self.replay()
        torch.autograd.graph.increment_version(self.written)  # which PyTorch does not see
        for weight, a, b in zip(self.weights, before, self.gradients, strict=True):
            weight.grad = b if a is None else a if b is None else a + b
        return self.losses.clone()


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the tensors that operators read and none of them made. A captured graph reads them
    where they lie, so it keeps them alive: constants and laws are kept elsewhere in caches, which
    may let go of them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[int, Tensor] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.ops.aten.lift_fresh.default:  # a number that Python code has made
            self._made |= {_place(each) for each in _tensors(args)}
        for each in _tensors(args, kwargs):
            if _place(each) not in self._made:
                self.found.setdefault(_place(each), each)
        result = function(*args, **(kwargs or {}))
        self._made |= {_place(each) for each in _tensors(result)} - self.found.keys()
        return result


def _tensors(*tree: Any) -> list[Tensor]:
    return [each for each in tree_leaves(tree) if isinstance(each, Tensor)]


def _place(x: Tensor) -> int:
    """Where the memory of a tensor begins."""
    return x.untyped_storage().data_ptr()


def _own_code(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function with a code object of its own: torch.compile keeps what it compiled by
    code object, and stops after a few models that share one."""
    made = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return made


def _compiler_errors() -> Any:
    """The module of `torch.compile`'s errors; it takes long to import, and few runs need it."""
    return import_module("torch._dynamo.exc")
