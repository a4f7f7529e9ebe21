"""The chain: a space, a kernel, a head and a network define p(x_s | x_t), or p(x_s | x_t, y) with a
condition y."""

__all__ = ["Model"]

import copy
import dataclasses
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from ._utils import serialization
from ._utils.printing import ShortRepr
from ._utils.validation import instance_of
from .conditions import Condition
from .conditions.named import as_condition
from .distributions import Family
from .heads import Head
from .kernels import Kernel
from .networks.signature import require_condition_width, require_signature
from .spaces import Space

VALUES_AT_ONCE = 2**18
"""Values of x that the CPU works on at once."""

SHOWN = 4
"""The most given values that a model prints."""

LARGEST_GPU = 16
"""A GPU works on this many times more values at most: once more for every 2 GiB of memory."""


class Model(nn.Module):
    """The generative chain p(x_T) prod p(x_s | x_t) p(raw | x_1) (SD15 Eq. 5).

    Args:
        space: what the raw data are.
        kernel: the forward process of one value.
        head: the meaning of the network's output.
        network: a module that is called with x_t of shape (B, *) and t / T of shape (B,) and
            returns (B, *, head.outputs). Where the space allows missing values, they are NaN in
            x_t. With a condition, it takes the condition's codes, shape (B, condition.width), as a
            third argument.
        condition: what y of p(x | y) is, such as `conditions.ClassLabel(10)`, or a dictionary of
            several by name. None (the default) for a model of p(x) alone. :meth:`given` gives y.

    Raises:
        TypeError: if the parts do not fit together; the message says which, and what would
            fit.
    """

    def __init__(
        self,
        space: Space,
        kernel: Kernel,
        head: Head,
        network: nn.Module,
        condition: Condition | Mapping[str, Condition] | None = None,
    ) -> None:
        super().__init__()
        instance_of("space", space, Space, "Binary(20)")
        instance_of("kernel", kernel, Kernel, "GaussianKernel(schedules.cosine(1000))")
        instance_of("head", head, Head, "Velocity()")
        instance_of("network", network, nn.Module, "networks.MLP(20)")
        space.require(kernel)
        self.space, self.kernel, self.network = space, kernel, network
        self.course = kernel.schedule.course  # a submodule, so that a learned schedule is trained
        if space.module is not None:
            self.map_to_x_0 = space.module  # a submodule, so that its weights are saved
        self.head = head.bind(space, kernel)
        self.condition = as_condition(condition)
        self._codes: Tensor | None = None  # of y; None where y is not given
        self._fits = 0  # the most examples that fitted into memory; 0 if all did
        x, t = self.blank(2), torch.ones(2, dtype=torch.long)
        x[0] = torch.nan if space.holes else 0.0
        require_condition_width(network, self.condition)
        require_signature(
            network,
            self._inputs(x, t),
            self.head.outputs,
            type(self.head).__name__,
            type(space).__name__,
        )

    @property
    def steps(self) -> int:
        """T, the number of steps of the whole chain."""
        return self.kernel.steps

    @property
    def chunk_size(self) -> int:
        """How many examples are scored or drawn at once: a bound on the memory that a verb needs.
        On a GPU it grows with its memory, as large batches keep it busy. It follows all of the
        memory and not what is free, so that a seed gives the same answer at any time; what does not
        fit is evaluated in parts, see :meth:`output`."""
        device = self.blank(1).device
        if device.type != "cuda":
            return self.host_chunk_size
        gigabytes = torch.cuda.get_device_properties(device).total_memory // 2**30
        numbers = VALUES_AT_ONCE * max(1, min(LARGEST_GPU, gigabytes // 2))
        return max(1, min(2**14, numbers // self._largest))

    @property
    def host_chunk_size(self) -> int:
        """:attr:`chunk_size` on the CPU, the same on every machine."""
        return max(1, min(4096, VALUES_AT_ONCE // self._largest))

    @property
    def _largest(self) -> int:
        """The values of an example, as raw data or as x_0."""
        return max(self.space.dims, math.prod(self.space.state))

    def chunks(self, x: Tensor, copies: int = 1) -> Iterator[tuple[Self, Tensor]]:
        """The rows of x (N, *) in pieces that fit in memory at once, each with the model for these
        rows (:meth:`take`): :attr:`chunk_size` rows, or fewer where `copies` of each row are
        made."""
        size = max(1, self.chunk_size // copies)
        self.given_each(None, len(x))
        for start in range(0, len(x), size):
            piece = x[start : start + size]
            yield self.take(slice(start, start + len(piece))), piece

    def given(self, y: object) -> Self:
        """The same chain for p(x | y): its verbs are those of the conditional distribution. It
        shares all parts and weights with this model.

        Args:
            y: a value of the condition, which holds for every example; or N of them, one for each
                example. None for p(x), where y is averaged out.

        Raises:
            TypeError: if the model has no condition.
            ValueError: if a value is not one of the condition.
        """
        if y is None:
            return self.with_codes(None)
        return self.with_codes(self.require_condition().encode(y))

    def require_condition(self) -> Condition:
        """The condition.

        Raises:
            TypeError: if the model has none.
        """
        if self.condition is None:
            raise TypeError(
                "the model has no condition, so nothing can be given: build it with a condition, "
                "as condition=conditions.ClassLabel(10), and a network with condition=10"
            )
        return self.condition

    def given_each(self, y: object, count: int) -> Self:
        """:meth:`given`, for one value of y or as many as there are examples.

        Args:
            y: see :meth:`given`.
            count: the number of examples.

        Raises:
            ValueError: if there are several values, and not `count`.
        """
        model = self if y is None else self.given(y)
        rows = model.given_rows
        if rows not in (0, 1, count):
            raise ValueError(
                f"{rows} values were given for {count} example{'s' * (count > 1)}: give one for "
                "each, or one for all"
            )
        return model

    @property
    def codes(self) -> Tensor | None:
        """The codes of the given values, shape (1 or N, condition.width); None if none is given."""
        return self._codes

    @property
    def given_rows(self) -> int:
        """How many values are given: 0, 1 for all examples, or one for each."""
        return 0 if self._codes is None else len(self._codes)

    def with_codes(self, codes: Tensor | None) -> Self:
        """The same chain for values that are encoded already, see :meth:`.Condition.encode`."""
        if codes is self._codes:
            return self
        other = copy.copy(self)
        other._codes = codes
        return other

    def take(self, rows: Tensor | slice) -> Self:
        """The model for some of the examples that values were given for.

        Args:
            rows: which, (n,); they may repeat.

        Returns:
            The model itself where at most one value is given.
        """
        if self._codes is None or len(self._codes) == 1:
            return self
        return self.with_codes(
            self._codes[rows if isinstance(rows, slice) else rows.to(self._codes.device)]
        )

    def repeated(self, copies: int) -> Self:
        """The model for `copies` of each example, one after the other."""
        rows = torch.arange(self.given_rows)
        return self.take(rows.repeat_interleave(copies))

    def blank(self, n: int) -> Tensor:
        """Zeros with the shape, type and device of n examples of x."""
        parameter = next(self.network.parameters(), torch.zeros(()))
        return torch.zeros(n, *self.space.state, dtype=parameter.dtype, device=parameter.device)

    def output(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The network's output.

        Args:
            x_t: shape (B, *).
            t: whole-number times, shape (B,).

        Returns:
            Shape (B, *, head.outputs).

        Raises:
            torch.OutOfMemoryError: if not even one example fits into the memory. Where a batch does
                not fit and no gradient is needed, it is evaluated in parts, which a warning says.
        """
        inputs = self._inputs(x_t, t)
        if torch.is_grad_enabled():  # parts would save nothing, as the gradient needs all of them
            found: Tensor = self.network(*inputs)
            return found
        while True:
            size = min(self._fits or len(x_t), len(x_t))
            try:
                if size == len(x_t):
                    found = self.network(*inputs)
                    return found
                pieces = zip(*(torch.split(each, size) for each in inputs), strict=True)
                return torch.cat([self.network(*piece) for piece in pieces])
            except torch.OutOfMemoryError as error:
                if size <= 1:
                    raise torch.OutOfMemoryError(
                        f"not even one example of shape {tuple(x_t.shape[1:])} fits into the "
                        f"memory of {x_t.device}: close other programs that use it, choose another "
                        f"device (--device cpu), or train a narrower network ({error})"
                    ) from None
                self._fits = size // 2
            warnings.warn(
                f"{size} examples at once do not fit into the memory of {x_t.device}: "
                f"{self._fits} are evaluated at a time from now on, with the same results; other "
                "programs that use the device may be the cause",
                stacklevel=2,
            )

    def _inputs(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """What the network is called with."""
        return x_t, (t / self.steps).to(x_t.dtype), *self.code_of(x_t)

    def code_of(self, x_t: Tensor) -> tuple[Tensor, ...]:
        """The code of each row of x_t (B, *), shape (B, condition.width), of a model that has a
        condition, and none of another; zeros where y is not given."""
        if self.condition is None:
            return ()
        count = len(x_t)
        if self._codes is None:
            return (x_t.new_zeros(count, self.condition.width),)
        if len(self._codes) not in (1, count):
            raise ValueError(
                f"values of y were given for {len(self._codes)} examples, and {count} are "
                "evaluated at once: this function takes one value for all examples, so call it "
                "for each value by itself"
            )
        return (self._codes.to(x_t).expand(count, -1),)

    def estimate(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The model's E[x_0 | x_t].

        Args:
            x_t: shape (B, *).
            t: shape (B,).

        Returns:
            Shape (B, *).
        """
        return self.head.estimate(self.kernel, self.output(x_t, t), x_t, t)

    def reverse(self, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        """The reverse step p(x_s | x_t).

        Args:
            x_t: shape (B, *).
            s: shape (B,), 1 <= s < t; t - 1 if the head needs neighbours.
            t: shape (B,).
        """
        return self.head.reverse(self.kernel, self.output(x_t, t), x_t, s, t)

    def last(self, x_t: Tensor, t: Tensor) -> Family:
        """The last step p(x_0 | x_t) of a chain.

        Args:
            x_t: shape (B, *).
            t: the first time of the chain, shape (B,).
        """
        return self.space.last(
            self.kernel, x_t, t, lambda: self.head.last(self.kernel, self.output(x_t, t), x_t, t)
        )

    def times(self, times: int | Sequence[int] | Tensor | None = None) -> Tensor:
        """The times of a chain, ascending, from its first time to T.

        Args:
            times: None for all of 1, ..., T; a number for that many, evenly spaced; or the times
                themselves.

        Returns:
            Whole numbers, shape (n,), on the CPU.

        Raises:
            TypeError: if they are no numbers.
            ValueError: if they do not rise from 1 or more to T, or skip a time although the head's
                reverse step is defined from t to t - 1 only.
        """
        T = self.steps
        if times is None:
            return torch.arange(1, T + 1)
        if isinstance(times, int):
            if not 2 <= times <= T:
                raise ValueError(f"a chain needs 2 to T = {T} times, got {times}")
            times = torch.linspace(1, T, times, dtype=torch.float64).round()
        try:
            grid = torch.as_tensor(times).long().cpu()
        except (RuntimeError, TypeError, ValueError, OverflowError):
            raise TypeError(
                f"times must be a number of times, or the times themselves, got {times!r:.80}"
            ) from None
        if grid.ndim != 1 or len(grid) < 2 or not (grid.diff() > 0).all() or grid[0] < 1:
            raise ValueError(f"times must rise from 1 or more, got {grid.tolist()}")
        if grid[-1] != T:
            raise ValueError(f"times must end at T = {T}, where the prior is, got {int(grid[-1])}")
        if not self.head.jumps and len(grid) != T:
            raise ValueError(
                f"{type(self.head).__name__} defines steps from t to t - 1 only, and {len(grid)} "
                f"of {T} times were asked for: leave times out, or train a head that states a law "
                "of x_0 (Clean, Noise, Velocity, Levels) with a fixed variance"
            )
        return grid

    def require_known_weights(self) -> None:
        """Refuses weights that are NaN: draws would be NaN, or values of no law.

        Raises:
            ValueError: which tensor holds one.
        """
        weights = {k: each for k, each in self.state_dict().items() if each.is_floating_point()}
        if not weights:
            return
        unknown = torch.stack([each.isnan().any() for each in weights.values()])
        if unknown.any():
            name = list(weights)[int(unknown.nonzero()[0])]
            raise ValueError(
                f"{int(unknown.sum())} of {len(weights)} tensors of the model hold NaN, {name} "
                "first: the training diverged; train again, or load a copy"
            )

    def with_network(self, network: nn.Module) -> "Model":
        """The same chain with another network for the same function, for example compiled or in
        another precision. It is not checked. The other parts are shared."""
        other = copy.copy(self)
        other._modules = {**self._modules, "network": network}
        return other

    def describe(self) -> dict[str, Any]:
        """The parts as JSON values. A network that is not a dataclass is described by its name
        only."""
        named = ["space", "kernel", "head"] + ["condition"] * (self.condition is not None)
        parts = {name: serialization.describe(getattr(self, name)) for name in named}
        return parts | {"network": serialization.describe_or_name(self.network)}

    def __repr__(self) -> str:
        count = sum(weight.numel() for weight in self.parameters())
        network: object = self.network
        described = (
            ShortRepr.__repr__(network)  # type: ignore[arg-type]
            if dataclasses.is_dataclass(network)
            else type(network).__name__
        )
        return (
            f"{type(self).__name__} of {self.steps} steps, {count:,} weights\n"
            f"  space:   {self.space!r}\n"
            f"  kernel:  {self.kernel!r}\n"
            f"  head:    {self.head!r}\n"
            f"  network: {described}"
            + ("" if self.condition is None else f"\n  given:   {self._given_text}")
        )

    @property
    def _given_text(self) -> str:
        """The condition, and the values that are given."""
        assert self.condition is not None  # who asks has looked
        if self._codes is None:
            return f"{self.condition!r}, and none is given: p(x)"
        first = [self.condition.text(code) for code in self._codes[:SHOWN].cpu()]
        more = ", ..." if len(self._codes) > SHOWN else ""
        count = f" for {len(self._codes)} examples" if len(self._codes) > 1 else ""
        return f"{self.condition!r}, y = {', '.join(first)}{more}{count}: p(x | y)"
