"""Class variables, diffused as one-hot values."""

__all__ = ["OneHot"]

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .._utils.constants import constant
from .._utils.row_errors import RowError
from .._utils.validation import as_array, whole_numbers
from ..distributions import Family, OneHotGroups, OneHotSupport
from ..kernels import CategoricalKernel, Kernel
from .space import OnLevels, no_affine


@dataclass(frozen=True)
class OneHot(OnLevels):
    """Classes (B, G) as whole numbers from `lowest`. x_0 (B, W) is their one-hot values side by
    side, and p(raw | x_1) is the probability of the class in the last step.

    Args:
        counts: the number of classes of each variable.
        lowest: the number of the first class, for all variables or for each. Default 0.
        masked: whether each variable has one more class, MASK, that no data have, as
            :meth:`CategoricalKernel.absorbing` needs. Default False.

    Raises:
        ValueError: if a variable has fewer than two classes, or there is not one `lowest` for each.
    """

    counts: tuple[int, ...]
    lowest: int | tuple[int, ...] = 0
    masked: bool = False
    shape: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", whole_numbers("counts", self.counts, 0))
        object.__setattr__(self, "shape", len(self.counts))
        super().__post_init__()
        lowest = whole_numbers("lowest", self.lowest, least=-(2**53))
        if len(lowest) not in (1, len(self.counts)):
            raise ValueError(
                f"lowest must be one number, or one for each of {len(self.counts)} variables, got "
                f"{self.lowest}"
            )
        _ = self.groups  # raises its errors now

    @cached_property
    def groups(self) -> OneHotGroups:
        """The one-hot values of each variable; MASK is the last of them if there is one."""
        return OneHotGroups(tuple(count + self.masked for count in self.counts))

    @property
    def excluded(self) -> Tensor:
        """True for a class that no data have (MASK), shape (W,)."""
        groups, index = self.groups, torch.tensor(self.counts)
        return groups.one_hot(index) > 0 if self.masked else torch.zeros(groups.width).bool()

    @property
    def state(self) -> tuple[int, ...]:
        return (self.groups.width,)

    @property
    def levels(self) -> None:
        return None  # one-hot values depend on each other

    @property
    def support(self) -> OneHotSupport:
        return OneHotSupport(self.groups)

    def require(self, kernel: Kernel) -> None:
        if not isinstance(kernel, CategoricalKernel) or kernel.groups != self.groups:
            raise TypeError(
                f"OneHot with {self.groups.sizes} values needs a CategoricalKernel of these sizes, "
                f"got {kernel!r}: build the kernel with sizes={self.groups.sizes}"
            )

    @property
    def placeholder(self) -> Tensor:
        return self._lowest(torch.zeros(len(self.counts), dtype=torch.float64))

    def expand_to_state(self, each: Tensor) -> Tensor:
        return self.groups.expand(each)

    def check(self, raw: object, name: str = "x") -> Tensor:
        array = as_array(raw, self.shape, name)
        if not array.is_floating_point():
            array = array.to(torch.get_default_dtype())
        index = array - self._lowest(array)
        counts = torch.tensor(self.counts, device=array.device)
        wrong = (index != index.round()) | (index < 0) | (index >= counts)
        if wrong.any():
            row, column = wrong.nonzero()[0].tolist()
            first = int(self._lowest(array).expand(len(counts))[column])
            raise RowError(
                f"{name} must hold classes from {first} to {first + self.counts[column] - 1} in "
                f"column {column}, got {array[row, column].item():g}",
                row,
                ": number the classes so, or build the space with more of them",
            )
        return array

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return self.groups.one_hot((raw - self._lowest(raw)).long()).to(raw.dtype)

    def decode(self, x_0: Tensor) -> Tensor:
        return self.groups.index(x_0).to(x_0.dtype) + self._lowest(x_0)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return self.decode(x_0)

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        raise no_affine(self)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0)

    def log_total_mass(self, p: Family, like: Tensor) -> Tensor:
        return self.groups.logsumexp(p.log_prob(torch.ones_like(like)))

    def _lowest(self, like: Tensor) -> Tensor:
        return constant(self.lowest, like).expand(len(self.counts))
