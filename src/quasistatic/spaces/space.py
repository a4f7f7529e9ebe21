"""The interface of every space, with continuous x_0 or with levels."""

__all__ = ["Encoded", "OnContinuum", "OnLevels", "SpacePart", "Space"]

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .._utils.printing import ShortRepr
from .._utils.validation import whole_numbers
from ..distributions import Family, FiniteSupport, Support
from ..kernels import Kernel


def _as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    sizes = whole_numbers("each size of the shape", shape)
    if not sizes:
        raise ValueError(f"a space needs at least one axis, got shape {shape}")
    return sizes


class SpacePart(NamedTuple):
    """A part of a space that can be modelled independently of the others.

    Args:
        space: of the part alone.
        kernel: the part of the kernel that diffuses it.
        columns: an index of its raw values in an example.
        values: an index of its values of x_0.
    """

    space: "Space"
    kernel: Kernel
    columns: Any  # an index of the raw values
    values: Any = ...  # an index of the values of x_0


class Encoded(NamedTuple):
    """x_0 of some raw data, drawn from q(x_0 | raw), and the log-weight of the draw.

    The log-weight of an example is log p(raw | x_0) - log q(x_0 | raw), where both are per unit of
    what :meth:`Space.log_prob` measures. It is zero where the map is exact, and where it adds
    uniform noise (`Dequantized`). E_q of the log-weight plus log p(x_0) is at most log p(raw), and
    the mean of their exponential over q is p(raw).

    Args:
        x_0: shape (B, *state).
        terms: the named parts of the log-weight, each with shape (B,), in nats; empty where it is
            zero.
    """

    x_0: Tensor
    terms: dict[str, Tensor]

    @property
    def log_weight(self) -> Tensor:
        """The sum of the terms, shape (B,), in nats."""
        nothing = self.x_0.new_zeros(len(self.x_0))
        return sum((each.to(nothing) for each in self.terms.values()), nothing)


@dataclass(frozen=True)
class Space(ShortRepr, abc.ABC):
    """What the raw data are, and how they become x_0. Base class.

    Raw data of B examples have shape (B, *shape); x_0 has shape (B, *state), which is the same for
    most spaces.

    To write a space, derive from :class:`OnContinuum` or :class:`OnLevels`, which define the last
    step, or wrap another space, and define `check`, `encode`, `decode`, `in_raw_units`, `log_prob`
    and `levels`. What must hold: `decode` inverts `encode`, and data times c with a space to match
    have a log-density that is lower by log c a value. `docs/extending.md` has a complete example.

    Args:
        shape: of one example; a whole number means one axis.

    Raises:
        ValueError: if there is no axis or an axis has no value.
    """

    shape: Any  # a tuple of sizes after construction

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _as_shape(self.shape))

    @property
    def state(self) -> tuple[int, ...]:
        """The shape of x_0: that of the raw data, unless a raw value needs several."""
        return tuple(self.shape)

    @property
    def module(self) -> nn.Module | None:
        """The module with the weights of the map between raw data and x_0, which is saved with the
        model; None if the map has none."""
        return None

    @property
    def exact(self) -> bool:
        """Whether x_0 determines the raw data: :meth:`decode` then inverts :meth:`encode`."""
        return True

    def resized(self, shape: tuple[int, ...]) -> "Space":
        """The same space for examples of another shape."""
        return replace(self, shape=shape)

    @property
    def dims(self) -> int:
        """The number of raw values in an example."""
        return math.prod(self.shape)

    @property
    def holes(self) -> bool:
        """Whether values may be missing: NaN in the raw data and in x_t."""
        return False

    @property
    @abc.abstractmethod
    def levels(self) -> Tensor | None:
        """The values that each value of x_0 can take, ascending, shape (L,). None if they are real
        numbers, or not the same for all values."""

    @property
    def support(self) -> Support:
        """The raw values that can occur, for a code.

        Raises:
            TypeError: if raw values do not follow from x_0 one by one.
        """
        if self.levels is None:
            raise TypeError(
                f"raw values of {type(self).__name__} do not follow from x_0 one by one, so they "
                "have no code: compress needs Binary or Quantized for levels, Continuous for real "
                "numbers, OneHot for classes, or Table for all of them"
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
        """Checks that a kernel can diffuse these data.

        Raises:
            TypeError: if it cannot; the message names one that can.
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
        """The parts that the space is made of, each with its part of the kernel.

        Args:
            kernel: one that the space accepts.

        Returns:
            The space itself, unless it is a table.
        """
        return [SpacePart(self, kernel, ...)]

    @property
    def placeholder(self) -> Tensor:
        """Valid raw data of one example, which fill in where values are missing, shape `shape`."""
        return torch.zeros(self.shape, dtype=torch.float64)

    def expand_to_state(self, each: Tensor) -> Tensor:
        """A number for each raw value, (B, *shape), repeated for its values of x_0, (B, *state)."""
        return each

    @abc.abstractmethod
    def check(self, raw: object, name: str = "x") -> Tensor:
        """Raw data as a tensor.

        Args:
            raw: an array, (B, *shape).
            name: what an error message calls it.

        Returns:
            Floating point, shape (B, *shape).

        Raises:
            TypeError: if it is no array of numbers.
            ValueError: if the shape is wrong, or a value is none of this space; the message says
                where.
        """

    @abc.abstractmethod
    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Raw data to x_0.

        Args:
            raw: checked, shape (B, *shape).
            rng: for a space whose map is random (`Dequantized`).

        Returns:
            Shape (B, *state).
        """

    def encode_weighted(self, raw: Tensor, rng: torch.Generator | None = None) -> Encoded:
        """:meth:`encode`, with the log-weight of the draw. Whoever scores raw data calls this.

        Args:
            raw: checked, shape (B, *shape).
            rng: for a space whose map is random.
        """
        return Encoded(self.encode(raw, rng), {})

    def weighted_at(self, raw: Tensor, x_0: Tensor) -> Encoded:
        """The log-weight of x_0 (B, *state), drawn by other means, for raw data (B, *shape)."""
        return Encoded(x_0, {})

    def encode_again(self, raw: Tensor, x_0: Tensor, rng: torch.Generator | None = None) -> Encoded:
        """x_0 drawn anew for raw data (B, *shape) that came from x_0 (B, *state). A space whose
        weights are always zero keeps x_0: the density of x_0 is then what is measured."""
        return Encoded(x_0, {})

    def draw_raw(self, x_0: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """A draw from p(raw | x_0): what :meth:`decode` returns, where x_0 determines the raw data.

        Args:
            x_0: shape (B, *state).
            rng: for a space that draws.

        Returns:
            Shape (B, *shape).
        """
        return self.decode(x_0)

    @abc.abstractmethod
    def decode(self, x_0: Tensor) -> Tensor:
        """x_0 to raw data.

        Args:
            x_0: shape (B, *state).

        Returns:
            Shape (B, *shape); rounded to valid values where raw data are discrete.
        """

    def snap_to_levels(self, x_0: Tensor) -> Tensor:
        """x_0 (B, *state) moved to the x_0 of the raw value that it decodes to, where there are
        levels."""
        return self.encode(self.decode(x_0)) if self.learns_last_step else x_0

    def log_volume(self, x_0: Tensor) -> Tensor:
        """The log-derivative of x_0 by the raw value, which turns a log-density of x_0 into one of
        raw data. For whole numbers it is the log-width of a cell in x_0, which gives an approximate
        log-mass; for classes it is 0, as they have a mass already.

        Args:
            x_0: shape (B, *state).

        Returns:
            Shape (B, *state), in nats.
        """
        return torch.zeros_like(x_0)

    @abc.abstractmethod
    def in_raw_units(self, x_0: Tensor) -> Tensor:
        """An estimate of x_0 on the scale of the raw data, not rounded to valid values.

        Args:
            x_0: shape (B, *state).

        Returns:
            Shape (B, *shape).
        """

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Offset and scale, if raw = offset + scale x_0.

        Args:
            like: a tensor; gives the type and the device.

        Returns:
            `offset` and `scale`, shape (1, *) each.

        Raises:
            ValueError: if the map is not affine.
        """
        zero = like.new_zeros(1, *self.state)
        offset, one, two = (self.in_raw_units(zero + k) for k in (0, 1, 2))
        scale = one - offset
        if not torch.allclose(two, offset + 2 * scale):
            raise no_affine(self)
        return offset, scale

    @abc.abstractmethod
    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        """log p(raw) for a law of x_0.

        Args:
            p: the law, a batch (B, *state).
            x_0: shape (B, *state).

        Returns:
            Shape (B, *state), in nats, per unit of the raw data.
        """

    def learned_log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        """:meth:`log_prob` of the values whose last step p is the network's; zero where the last
        step is fixed in advance, as :meth:`edge` accounts for it.

        Args:
            p: the last step, a batch (B, *state).
            x_0: shape (B, *state).

        Returns:
            Shape (B, *state), in nats.
        """
        return self.log_prob(p, x_0) if self.learns_last_step else torch.zeros_like(x_0)

    def log_total_mass(self, p: Family, like: Tensor) -> Tensor | None:
        """log of the sum of p(raw) over all raw values, to check that it is 1.

        Args:
            p: a law of x_0.
            like: an x_0 (B, *state).

        Returns:
            In nats; zeros if p is normalised. None for real-valued data.
        """
        if self.levels is None:
            return None
        each = [self.log_prob(p, torch.full_like(like, level)) for level in self.levels.tolist()]
        return torch.stack(each).logsumexp(0)

    @abc.abstractmethod
    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        """E_q[log p(raw | x_t)] where the last step is fixed in advance (SD15 B.2); zero where it
        is the network's.

        Args:
            kernel: of the model.
            x_0: shape (B, *state).
            t: the first time of the chain, shape (B,).

        Returns:
            Shape (B, *state), in nats.
        """

    @abc.abstractmethod
    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        """The last step p(x_0 | x_t).

        Args:
            kernel: of the model.
            x_t: shape (B, *state).
            t: the first time of the chain, shape (B,).
            learned: computes the model's own last step; called only where it is used.
        """


class OnContinuum(Space):
    """A space with continuous x_0: the last step is the forward step in reverse (SD15 B.2). Base
    class."""

    @property
    def levels(self) -> None:
        return None

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        # E log T(x_0 | x_t) = E log q(x_t | x_0) + log pi(x_0) - E log pi(x_t). SD15 B.2 assumes
        # that the last two are equal, which holds for data of unit variance only: both are kept.
        prior = kernel.prior(x_0)
        return self.log_prob(prior, x_0) + kernel.marginal(x_0, t).kl(prior)

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        return kernel.step(x_t, torch.zeros_like(t), t)


class OnLevels(Space):
    """A space with discrete x_0: the last step is the model's own reverse step. Base class."""

    @property
    def learns_last_step(self) -> bool:
        return True

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x_0)

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        return learned()


def no_affine(space: Space) -> ValueError:
    """The error of a space whose map from raw data to x_0 is not affine."""
    return ValueError(
        f"{type(space).__name__} does not map raw data to x_0 by a shift and a scale, so that an "
        "observation with noise cannot be used with it: observe values exactly"
    )
