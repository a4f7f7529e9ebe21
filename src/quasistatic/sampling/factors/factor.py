"""The interface of factors, the factor that is 1 everywhere, and products."""

__all__ = ["Anything", "Factor", "Product", "of_each"]

import abc
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ...distributions import Family
from ...kernels import Kernel
from ...spaces import Space


class Factor(abc.ABC):
    """r(x) >= 0 for each example of a batch: what is known of it besides the model.

    To write one of your own, define the methods below. A user states r as a function of the raw
    data; :meth:`on` makes it one of x_0, with shape (B, *), and all other methods are called on
    that one. Only two of them decide what is drawn: `known` and `log_prob`. The others say where
    particles are proposed, and may be rough: weights correct them. :class:`Smooth` is the shortest
    example that is not trivial.
    """

    @property
    def examples(self) -> int | None:
        """How many examples it is about; None if r is the same for all of any number."""
        return None

    @property
    def known(self) -> Tensor | None:
        """The values that are known exactly, NaN elsewhere, (B, *); None if there are none."""
        return None

    @property
    def only_known(self) -> bool:
        """Whether r says nothing but which values are known exactly."""
        return False

    def realized(
        self, x_0: Tensor, rng: torch.Generator | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """The end of a walk at x_0 (B, *): raw data, where the factor draws them, else None; and
        log r of them, (B,), in nats."""
        return None, self.log_prob(x_0)

    @abc.abstractmethod
    def on(self, space: Space, rng: torch.Generator | None = None) -> "Factor":
        """The same factor as a function of x_0, with the same values: densities stay in the units
        of the raw data.

        Args:
            space: that maps raw data to x_0.
            rng: for spaces whose map is random (`Dequantized`).

        Raises:
            ValueError: if it does not fit data of that space.
        """

    @abc.abstractmethod
    def take(self, rows: Tensor) -> "Factor":
        """The factor for those examples, rows (n,), which may repeat."""

    @abc.abstractmethod
    def log_prob(self, x_0: Tensor) -> Tensor:
        """log r(x_0) of examples (B, *), without the values that are known exactly: (B,), in
        nats."""

    @abc.abstractmethod
    def log_mean(self, space: Space, law: Family) -> Tensor:
        """log E[r(x_0)] for x_0 with a law, which the gradient goes through: (B,), in nats. It may
        be rough: it decides where particles are kept on the way, and not what they weigh at the
        end."""

    @abc.abstractmethod
    def update(self, law: Family) -> Family:
        """The member of the law's family next to law times r (:meth:`Family.tilt`); equal to it if
        r is a product of functions of single values."""

    @abc.abstractmethod
    def power(self, exponent: float) -> "Factor":
        """r to a power above 0."""

    @abc.abstractmethod
    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        """The member of p(x_t)'s family next to p times E[r(x_0) | x_t], at times t (B,), where
        x_0 given x_t is taken as if the data were the kernel's fixed point."""

    def __mul__(self, other: "Factor") -> "Factor":
        if not isinstance(other, Factor):
            return NotImplemented
        return Product((*_parts(self), *_parts(other)))


@dataclass(frozen=True)
class Anything(Factor):
    """r(x) = 1: nothing is known, and the posterior is the model."""

    def on(self, space: Space, rng: torch.Generator | None = None) -> Factor:
        return self

    def take(self, rows: Tensor) -> Factor:
        return self

    def log_prob(self, x_0: Tensor) -> Tensor:
        return x_0.new_zeros(len(x_0))

    def log_mean(self, space: Space, law: Family) -> Tensor:
        return 0 * law.mean.flatten(1).sum(1)

    def update(self, law: Family) -> Family:
        return law

    def power(self, exponent: float) -> Factor:
        return self

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        return p


@dataclass(frozen=True)
class Product(Factor):
    """The product of factors about the same examples; `a * b` makes one.

    Raises:
        ValueError: if they are about different numbers of examples, or have different known
            values at one place.
    """

    factors: tuple[Factor, ...]

    def __post_init__(self) -> None:
        sizes = {each.examples for each in self.factors} - {None}
        if len(sizes) > 1:
            raise ValueError(
                f"the factors are about {' and '.join(map(str, sorted(sizes)))} examples: "  # type: ignore[type-var]
                "give each the same number"
            )
        knowns = [each.known for each in self.factors if each.known is not None]
        for i, one in enumerate(knowns):
            for two in knowns[:i]:
                clash = one.isfinite() & two.isfinite() & (one != two)
                if clash.any():
                    where = tuple(clash.nonzero()[0].tolist())
                    raise ValueError(
                        f"the value at {where} is known as {two[where].item():g} and as "
                        f"{one[where].item():g}: nothing can be both; give it a variance"
                    )

    @property
    def examples(self) -> int | None:
        sizes = (each.examples for each in self.factors)
        return next((size for size in sizes if size is not None), None)

    @property
    def known(self) -> Tensor | None:
        knowns = [each.known for each in self.factors if each.known is not None]
        return reduce(lambda a, b: torch.where(a.isnan(), b, a), knowns) if knowns else None

    def on(self, space: Space, rng: torch.Generator | None = None) -> Factor:
        return Product(tuple(each.on(space, rng) for each in self.factors))

    def take(self, rows: Tensor) -> Factor:
        return Product(tuple(each.take(rows) for each in self.factors))

    def log_prob(self, x_0: Tensor) -> Tensor:
        each = [factor.log_prob(x_0) for factor in self.factors]
        return torch.stack(each).sum(0)

    def log_mean(self, space: Space, law: Family) -> Tensor:
        # E[r_1 r_2] = E[r_1] E_1[r_2], where E_1 is over the law times r_1.
        each = []
        for factor in self.factors:
            each.append(factor.log_mean(space, law))
            law = factor.update(law)
        return torch.stack(each).sum(0)

    def update(self, law: Family) -> Family:
        for factor in self.factors:
            law = factor.update(law)
        return law

    def power(self, exponent: float) -> Factor:
        return Product(tuple(each.power(exponent) for each in self.factors))

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        for factor in self.factors:
            p = factor.matched(kernel, p, t)
        return p


def _parts(factor: Factor) -> tuple[Factor, ...]:
    return factor.factors if isinstance(factor, Product) else (factor,)


def of_each(variance: Tensor, y: Tensor) -> Tensor:
    """A variance for each value of a measurement y, with its shape (N, *).

    Raises:
        ValueError: if it does not broadcast to that.
    """
    try:
        return variance.expand_as(y)
    except RuntimeError:
        raise ValueError(
            f"the variance has shape {tuple(variance.shape)}, which does not fit the "
            f"measurement, {tuple(y.shape)}: give one number for each value, or one for all"
        ) from None
