"""What every space is, on a continuum or on levels."""

__all__ = ["OnContinuum", "OnLevels", "SpacePart", "Space"]

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._utils.printing import ShortRepr
from ..distributions import Family, FiniteSupport, Support
from ..kernels import Kernel


def _as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or any(size < 1 for size in sizes):
        raise ValueError(f"a space needs at least one axis of at least one value, got {shape}")
    return sizes


class SpacePart(NamedTuple):
    """A part of a space that stands by itself: the space of it, the kernel that diffuses it, and
    which raw values and which values of x_0 of an example it takes."""

    space: "Space"
    kernel: Kernel
    columns: Any  # an index of the raw values
    values: Any = ...  # an index of the values of x_0


@dataclass(frozen=True)
class Space(ShortRepr, abc.ABC):
    """The raw data of one example have shape `shape`; a whole number means one axis."""

    shape: Any  # a tuple of sizes once built

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _as_shape(self.shape))

    @property
    def state(self) -> tuple[int, ...]:
        """The shape of x_0: that of the raw data, but where a raw value takes several."""
        return self.shape

    @property
    def dims(self) -> int:
        """The number of raw values in an example."""
        return math.prod(self.shape)

    @property
    def holes(self) -> bool:
        """Whether examples may lack values: NaN in the raw data, and in the x_t of a model."""
        return False

    @property
    @abc.abstractmethod
    def levels(self) -> Tensor | None:
        """The values that each of x_0 can take, ascending, with shape (L,); None on a continuum,
        and where they are not the same for all."""

    @property
    def support(self) -> Support:
        """The raw values that there can be.

        Raises:
            TypeError: if x_0 is more than a raw value says, or nobody said what it is.
        """
        if self.levels is None:
            raise TypeError(
                f"{type(self).__name__} does not say which raw values x_0 stands for, and has no "
                "code: compress takes spaces that do, Binary and Quantized for levels, Continuous "
                "for reals, OneHot for classes, and Table for all of them"
            )
        return FiniteSupport(self.levels)

    @property
    def learns_last_step(self) -> bool:
        """Whether the network decides the last step p(raw | x_1) of any value. If not, the space
        fixes that step in advance, as it does for data on a continuum."""
        return self.levels is not None

    @property
    def learned_values(self) -> Tensor:
        """Which values of x_0 have a last step that the network decides: bool, with shape
        `state`. The space fixes that of the others."""
        return torch.full(self.state, self.learns_last_step)

    def require(self, kernel: Kernel) -> None:
        """Nothing, if the kernel can diffuse these data.

        Raises:
            TypeError: if it cannot: which could.
        """
        if not kernel.accepts(self.levels):
            raise TypeError(
                f"{type(kernel).__name__} diffuses bits, but {type(self).__name__} holds other "
                "values: use GaussianKernel, or a space of such bits (Binary, OneHot, Table)"
            )
        try:
            kernel.prior(torch.zeros(1, *self.state))
        except RuntimeError:
            raise TypeError(
                f"the mean activity of {type(kernel).__name__} does not fit data of shape "
                f"{self.shape}: give one number, or one for each value"
            ) from None

    def independent_parts(self, kernel: Kernel) -> list[SpacePart]:
        """The parts that it is made of, each with its part of a kernel that it accepts."""
        return [SpacePart(self, kernel, ...)]

    @property
    def placeholder(self) -> Tensor:
        """Raw data of one example that can stand where nothing is known, with shape `shape`."""
        return torch.zeros(self.shape, dtype=torch.float64)

    def expand_to_state(self, each: Tensor) -> Tensor:
        """A number for each raw value, (B, *shape), as it goes with x_0, (B, *state)."""
        return each

    @abc.abstractmethod
    def check(self, raw: object, name: str = "x") -> Tensor:
        """The raw data as a floating tensor (B, *shape), or an error that says what is wrong."""

    @abc.abstractmethod
    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Checked raw data (B, *shape) to x_0 (B, *state); `rng` where the map is a random one."""

    @abc.abstractmethod
    def decode(self, x_0: Tensor) -> Tensor:
        """x_0 (B, *state) to raw data (B, *shape)."""

    def snap_to_levels(self, x_0: Tensor) -> Tensor:
        """The x_0 that data at x_0 have, (B, *state): the level that it decodes to, where there
        are levels."""
        return self.encode(self.decode(x_0)) if self.learns_last_step else x_0

    def log_volume(self, x_0: Tensor) -> Tensor:
        """The logarithm of what turns a density of x_0 (B, *) into one of raw data, or into a mass
        where they are whole numbers, value by value; 0 for classes, which have a mass already."""
        return torch.zeros_like(x_0)

    @abc.abstractmethod
    def in_raw_units(self, x_0: Tensor) -> Tensor:
        """An estimate of x_0 on the raw data's scale, not rounded to a raw value, (B, *shape)."""

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """(offset, scale) with raw = offset + scale x_0, each (1, *), in the type of `like`.

        Raises:
            ValueError: if the space maps raw data otherwise, so that noise on them is none on x_0.
        """
        zero = like.new_zeros(1, *self.state)
        offset, one, two = (self.in_raw_units(zero + k) for k in (0, 1, 2))
        scale = one - offset
        if not torch.allclose(two, offset + 2 * scale):
            raise no_affine(self)
        return offset, scale

    @abc.abstractmethod
    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        """log p(raw) where x_0 has the law p, (B, *state), in nats of the raw data's own units."""

    def learned_log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        """:meth:`log_prob` of the values whose last step p the network decides, (B, *state), in
        nats; zero for the others, which :meth:`edge` counts."""
        return self.log_prob(p, x_0) if self.learns_last_step else torch.zeros_like(x_0)

    def log_total_mass(self, p: Family, like: Tensor) -> Tensor | None:
        """log of the sum of p(raw) over all raw values, in nats: zeros, of some shape, if it is a
        probability of each; None on a continuum. `like` is an x_0 (B, *state)."""
        if self.levels is None:
            return None
        each = [self.log_prob(p, torch.full_like(like, level)) for level in self.levels.tolist()]
        return torch.stack(each).logsumexp(0)

    @abc.abstractmethod
    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        """E_q[log p(raw | x_t)] for the first time t of a chain, (B, *state), in nats, where the
        last step is fixed in advance; zero where the network decides it."""

    @abc.abstractmethod
    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        """p(x_0 | x_t), the last step from the first time t of a chain."""


class OnContinuum(Space):
    """Continuous x_0: the last step is the forward step in reverse (SD15 B.2)."""

    @property
    def levels(self) -> None:
        return None

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        # E log T(x_0 | x_t) = E log q(x_t | x_0) + log pi(x_0) - E log pi(x_t). SD15 B.2 takes
        # the last two for equal, which holds for data of unit variance only: both are kept.
        prior = kernel.prior(x_0)
        return self.log_prob(prior, x_0) + kernel.marginal(x_0, t).kl(prior)

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        return kernel.step(x_t, torch.zeros_like(t), t)


class OnLevels(Space):
    """Discrete x_0: the last step is the model's own reverse step."""

    @property
    def learns_last_step(self) -> bool:
        return True

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x_0)

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        return learned()


def no_affine(space: Space) -> ValueError:
    """The error of a space that maps raw data to x_0 by no shift and scale."""
    return ValueError(
        f"{type(space).__name__} does not map raw data to x_0 by a shift and a scale, so that only "
        "values that are known exactly can be observed in it"
    )
