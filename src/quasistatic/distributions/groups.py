"""Groups of neighbouring values along the last axis: the one-hot values of class variables."""

__all__ = ["OneHotGroups"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.constants import constant


@dataclass(frozen=True)
class OneHotGroups:
    """Which neighbours among the W values of the last axis form one class variable.

    Example: sizes (3, 2) mean that values 0, 1, 2 are the one-hot code of the first class variable
    and values 3, 4 that of the second.

    Args:
        sizes: the number of classes of each variable, G numbers that add up to W.

    Raises:
        ValueError: if there is no group, or a group has fewer than two values.
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(int(size) for size in self.sizes))
        if not self.sizes or min(self.sizes) < 2:
            raise ValueError(
                f"a category has two classes or more, got {self.sizes}: what is always the same "
                "has nothing to model"
            )

    @property
    def width(self) -> int:
        """W, the number of values of all groups."""
        return sum(self.sizes)

    def owner(self, like: Tensor) -> Tensor:
        """The group of each value, shape (W,), on the device of `like`."""
        numbers = tuple(i for i, size in enumerate(self.sizes) for _ in range(size))
        return constant(numbers, like, torch.long)

    def first(self, like: Tensor) -> Tensor:
        """The index of each group's first value, shape (G,), on the device of `like`."""
        first = tuple(sum(self.sizes[:i]) for i in range(len(self.sizes)))
        return constant(first, like, torch.long)

    def sum(self, x: Tensor) -> Tensor:
        """The sum over each group: (*, W) to (*, G)."""
        whole = x.new_zeros(*x.shape[:-1], len(self.sizes))
        return whole.index_add(-1, self.owner(x), x)

    def amax(self, x: Tensor) -> Tensor:
        """The largest value of each group, without a gradient: (*, W) to (*, G)."""
        least = x.new_full((*x.shape[:-1], len(self.sizes)), -math.inf)
        owner = self.owner(x).expand_as(x)
        return least.scatter_reduce(-1, owner, x.detach(), "amax")

    def logsumexp(self, x: Tensor) -> Tensor:
        """log of the sum of exp(x) over each group: (*, W) to (*, G)."""
        largest = self.amax(x)
        largest = torch.where(largest == -math.inf, 0.0, largest)  # an empty group sums to log 0
        return largest + self.sum((x - self.expand(largest)).exp()).log()

    def log_softmax(self, x: Tensor) -> Tensor:
        """x minus the logsumexp of its group, shape (*, W)."""
        return x - self.expand(self.logsumexp(x))

    def expand(self, each: Tensor) -> Tensor:
        """A number for each group, repeated for each value of the group: (*, G) to (*, W)."""
        return each.index_select(-1, self.owner(each))

    def put_first(self, each: Tensor) -> Tensor:
        """A number for each group, on the group's first value, and zero elsewhere: (*, G) to (*,
        W). A sum over all values then counts it once."""
        whole = each.new_zeros(*each.shape[:-1], self.width)
        return whole.index_copy(-1, self.first(each), each)

    def one_hot(self, index: Tensor) -> Tensor:
        """One-hot values of class indices.

        Args:
            index: whole numbers from 0, shape (*, G).

        Returns:
            Zeros and ones in the type of `index`, shape (*, W).
        """
        place = torch.arange(self.width, device=index.device)
        return (self.expand(index + self.first(index)) == place).to(index.dtype)

    def index(self, x: Tensor) -> Tensor:
        """The class whose value is largest; of equal ones the first.

        Args:
            x: shape (*, W).

        Returns:
            Indices from 0, shape (*, G).
        """
        place = torch.arange(self.width, device=x.device, dtype=torch.float64)
        largest = x == self.expand(self.amax(x))
        return -self.amax(torch.where(largest, -place, -math.inf)) - self.first(x)

    def all_in_group(self, mask: Tensor) -> Tensor:
        """Whether the mask is True for all values of a group: (*, W) to (*, W)."""
        return self.expand(self.sum((~mask).double())) == 0
