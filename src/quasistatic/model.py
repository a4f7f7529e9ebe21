r"""The chain: a space, a kernel, a head and a network make p(x_s | x_t)."""

__all__ = ["Model"]

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ._utils import serialization
from ._utils.eval_mode import evaluating
from ._utils.printing import ShortRepr
from .distributions import Family
from .heads import Head
from .kernels import Kernel
from .spaces import Space


class Model(nn.Module):
    r"""The generative chain p(x_T) prod p(x_s | x_t) p(raw | x_1) (SD15 Eq. 5).

    Args:
        space: what the raw data are.
        kernel: what the forward process does to one value.
        head: what the network's output means.
        network: called with x_t of shape (B, *) and the time t / T of shape (B,), it returns
            (B, *, head.outputs). Where the space allows for holes, NaN in x_t is one.

    Raises:
        TypeError: if the four do not fit together: the message says which and what would.
    """

    def __init__(self, space: Space, kernel: Kernel, head: Head, network: nn.Module) -> None:
        super().__init__()
        space.require(kernel)
        self.space, self.kernel, self.network = space, kernel, network
        self.course = kernel.schedule.course  # a part, so that a schedule may learn with the rest
        self.head = head.bind(space, kernel)
        self._check_network()

    @property
    def steps(self) -> int:
        """T, the number of steps of the whole chain."""
        return self.kernel.steps

    @property
    def chunk_size(self) -> int:
        """How many examples are scored or drawn at once, so that memory does not grow with how
        many are asked for."""
        return max(1, min(4096, 2**18 // math.prod(self.space.state)))

    def chunks(self, x: Tensor, copies: int = 1) -> Iterator[Tensor]:
        """The rows of x (N, *) in pieces that fit in memory at once: :attr:`chunk_size` rows, or
        fewer where `copies` of each row are made."""
        size = max(1, self.chunk_size // copies)
        for start in range(0, len(x), size):
            yield x[start : start + size]

    def blank(self, n: int) -> Tensor:
        """Zeros with the shape, type and device of n examples of x."""
        parameter = next(self.network.parameters(), torch.zeros(()))
        return torch.zeros(n, *self.space.state, dtype=parameter.dtype, device=parameter.device)

    def output(self, x_t: Tensor, t: Tensor) -> Tensor:
        """What the network says of x_t (B, *) at times t (B,): (B, *, head.outputs)."""
        return self.network(x_t, (t / self.steps).to(x_t.dtype))

    def estimate(self, x_t: Tensor, t: Tensor) -> Tensor:
        """E[x_0 | x_t] by the model, with shape (B, *)."""
        return self.head.estimate(self.kernel, self.output(x_t, t), x_t, t)

    def reverse(self, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        """p(x_s | x_t) for times 1 <= s < t with shape (B,); neighbours if the head needs it."""
        return self.head.reverse(self.kernel, self.output(x_t, t), x_t, s, t)

    def last(self, x_t: Tensor, t: Tensor) -> Family:
        """p(x_0 | x_t), the step that ends a chain whose first time is t."""
        return self.space.last(
            self.kernel, x_t, t, lambda: self.head.last(self.kernel, self.output(x_t, t), x_t, t)
        )

    def times(self, times: int | Sequence[int] | Tensor | None = None) -> Tensor:
        """The times of a chain, ascending and ending at T: all of them (None), that many of them
        evenly spread (an int), or those given.

        Raises:
            ValueError: if they do not rise from 1 or more to T, or if the head's reverse step is
                defined between neighbours only and they skip one.
        """
        T = self.steps
        if times is None:
            return torch.arange(1, T + 1)
        if isinstance(times, int):
            if not 2 <= times <= T:
                raise ValueError(f"a chain needs 2 to T = {T} times, got {times}")
            times = torch.linspace(1, T, times, dtype=torch.float64).round()
        grid = torch.as_tensor(times).long().cpu()
        if grid.ndim != 1 or len(grid) < 2 or not (grid.diff() > 0).all() or grid[0] < 1:
            raise ValueError(f"times must rise from 1 or more, got {grid.tolist()}")
        if grid[-1] != T:
            raise ValueError(f"times must end at T = {T}, where the prior is, got {int(grid[-1])}")
        if not self.head.jumps and len(grid) != T:
            raise ValueError(
                f"{type(self.head).__name__} defines the step between neighbours only, and "
                f"{len(grid)} of {T} times were asked for: leave times out, or train a head that "
                "states a belief about x_0 (Clean, Noise, Velocity, Levels) with a fixed variance"
            )
        return grid

    def with_network(self, network: nn.Module) -> "Model":
        """The same chain by another network, which computes the same in its own way (compiled,
        or in other precision); it is not tried, and the other parts are shared."""
        other = copy.copy(self)
        other._modules = {**self._modules, "network": network}
        return other

    def describe(self) -> dict:
        """The four parts as JSON values; a network that is no dataclass is only named."""
        parts = {
            name: serialization.describe(getattr(self, name))
            for name in ("space", "kernel", "head")
        }
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
        )

    @torch.no_grad()
    def _check_network(self) -> None:
        x, t = self.blank(2), torch.ones(2, dtype=torch.long)
        x[0] = torch.nan if self.space.holes else 0.0
        with evaluating(self.network):
            output = self.network(x, (t / self.steps).to(x))
        got = tuple(output.shape)
        expected = (*x.shape, self.head.outputs)
        if got != expected:
            raise TypeError(
                f"for x of shape {tuple(x.shape)} the network gives {got}, but "
                f"{type(self.head).__name__} on {type(self.space).__name__} needs {expected}: "
                f"build the network with outputs={self.head.outputs} for data of that shape"
            )
        if self.space.holes and not output.isfinite().all():
            raise TypeError(
                f"{type(self.network).__name__} says nothing finite of values that are missing: "
                "build it so that NaN means that (MLP takes holes=True)"
            )
