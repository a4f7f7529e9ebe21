"""What every factor is, the factor that says nothing, and the product of several."""

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
    """r(x) >= 0 for each of a batch of examples: what is known of it besides the model.

    As the user states it, r is a function of the raw data; :meth:`on` a space it becomes one of
    x_0, which has shape (B, *), and the other methods are about that one. Values that are known
    exactly are told by `known`, and what the others cost by `log_prob`.
    """

    @property
    def examples(self) -> int | None:
        """How many examples it is about; None if it says the same of any number."""
        return None

    @property
    def known(self) -> Tensor | None:
        """The values that are known exactly, NaN elsewhere, (B, *); None if there are none."""
        return None

    @abc.abstractmethod
    def on(self, space: Space, rng: torch.Generator | None = None) -> "Factor":
        """The same factor about x_0, in the units of the raw data.

        Raises:
            ValueError: if it does not fit data of that space.
        """

    @abc.abstractmethod
    def take(self, rows: Tensor) -> "Factor":
        """The factor for those examples, rows (n,), which may repeat."""

    @abc.abstractmethod
    def log_prob(self, x_0: Tensor) -> Tensor:
        """log r(x_0), leaving out the values that are known exactly, with shape (B,), in nats."""

    @abc.abstractmethod
    def log_mean(self, space: Space, belief: Family) -> Tensor:
        """log E[r(x_0)] over a belief about x_0, with a gradient to the belief, (B,), in nats.
        It may be rough: it says where particles are worth sending, and never what they weigh."""

    @abc.abstractmethod
    def update(self, belief: Family) -> Family:
        """The belief, tilted towards belief times r; exact if r is a product of coordinates."""

    @abc.abstractmethod
    def power(self, exponent: float) -> "Factor":
        """r to a power above 0."""

    @abc.abstractmethod
    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        """p(x_t), tilted towards p times E[r(x_0) | x_t] as it would be if the data were the
        kernel's fixed point: r, matched to the noise at times t (B,)."""

    def __mul__(self, other: "Factor") -> "Factor":
        if not isinstance(other, Factor):
            return NotImplemented
        return Product((*_parts(self), *_parts(other)))


@dataclass(frozen=True)
class Anything(Factor):
    """r(x) = 1: nothing is known."""

    def on(self, space: Space, rng: torch.Generator | None = None) -> Factor:
        return self

    def take(self, rows: Tensor) -> Factor:
        return self

    def log_prob(self, x_0: Tensor) -> Tensor:
        return x_0.new_zeros(len(x_0))

    def log_mean(self, space: Space, belief: Family) -> Tensor:
        return 0 * belief.mean.flatten(1).sum(1)

    def update(self, belief: Family) -> Family:
        return belief

    def power(self, exponent: float) -> Factor:
        return self

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        return p


@dataclass(frozen=True)
class Product(Factor):
    """The product of factors about the same examples; `a * b` makes one.

    Raises:
        ValueError: if they are about different numbers of examples, or know a value as two.
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

    def log_mean(self, space: Space, belief: Family) -> Tensor:
        # E[r_1 r_2] = E[r_1] E_1[r_2], where E_1 is over the belief that r_1 leaves.
        each = []
        for factor in self.factors:
            each.append(factor.log_mean(space, belief))
            belief = factor.update(belief)
        return torch.stack(each).sum(0)

    def update(self, belief: Family) -> Family:
        for factor in self.factors:
            belief = factor.update(belief)
        return belief

    def power(self, exponent: float) -> Factor:
        return Product(tuple(each.power(exponent) for each in self.factors))

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        for factor in self.factors:
            p = factor.matched(kernel, p, t)
        return p


def _parts(factor: Factor) -> tuple[Factor, ...]:
    return factor.factors if isinstance(factor, Product) else (factor,)


def of_each(variance: Tensor, y: Tensor) -> Tensor:
    """A variance for each value of what was seen, with the shape of y (N, *).

    Raises:
        ValueError: if it does not broadcast to that.
    """
    try:
        return variance.expand_as(y)
    except RuntimeError:
        raise ValueError(
            f"the variance has shape {tuple(variance.shape)}, which does not fit what was "
            f"seen, {tuple(y.shape)}: give one number for each value, or one for all"
        ) from None
