r"""Classifier-free guidance: steps towards a condition and away from p(x).

With p the conditional reverse step and q the unconditional one (or that of a weaker model), the
guided step is the member of their family whose natural parameters are (1 + w) those of p less w
those of q. It is proportional to p(x_s | x_t, y)^(1 + w) q(x_s | x_t)^(-w).
"""

__all__ = ["Guidance", "check_weight", "weaker_model"]

import copy
import math
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from .._utils.validation import instance_of
from ..distributions import Family
from ..heads import DenoisingHead, Head
from ..kernels import Kernel, SignalNoise
from ..model import Model
from ..spaces import Space

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho and Salimans 2022) of a walk given a condition. Its draws are
    more typical of the condition and less diverse. They have no density that is known, and not that
    of :class:`CorrectedGuidance`.

    Args:
        weight: w; 0 is p(x | y), -1 is p(x), and 1 to 4 are usual for images.
        interval: the log-SNR between which guidance acts (Kynkaanniemi et al. 2024), as (low,
            high); None for all times.
        by: a weaker model of the same data, from which steps are led away (Karras et al. 2024), in
            place of p(x) of the same model. It is given the same y if it has a condition.

    Raises:
        ValueError: if the weight is below -1, or an interval is empty.
    """

    weight: float
    interval: tuple[float, float] | None = None
    by: Model | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_weight(self.weight, self.by)
        if self.interval is not None and not _rises(self.interval):
            raise ValueError(
                f"an interval of log-SNR is a pair of numbers (low, high), as (-3.0, 3.0), got "
                f"{self.interval!r:.60}"
            )

    def applied(self, model: M) -> M:
        """The model whose reverse steps, estimates and last step are guided.

        Raises:
            TypeError: if nothing is given, or the weaker model is one of other data.
        """
        weaker = weaker_model(model, self.by)
        other = copy.copy(model)
        network = _Both(model, weaker)
        other._modules = {**model._modules, "network": network}
        kind = _GuidedDenoiser if isinstance(model.head, DenoisingHead) else _GuidedHead
        other.head = kind(model.head, self.weight, self.interval)
        return other


def weaker_model(model: Model, by: Model | None) -> Model:
    """The model that steps are led away from."""
    if by is None:
        model.require_condition()
        if not model.given_rows:
            raise TypeError("guidance needs a condition: pass given=y, or a weaker model as `by`")
        return model.given(None)
    ours, theirs = model.describe(), by.describe()
    if any(ours[name] != theirs[name] for name in ("space", "kernel", "head")):
        raise TypeError(
            f"the weaker model is one of {by.space!r:.60} with {type(by.head).__name__}, and the "
            f"model one of {model.space!r:.60} with {type(model.head).__name__}: train both on the "
            "same data with the same kernel and head"
        )
    if by.condition is None or model.codes is None:
        return by
    return by.with_codes(model.codes)


def _rises(interval: object) -> bool:
    """Whether it is a pair of numbers (low, high)."""
    pair = interval if isinstance(interval, tuple | list) and len(interval) == 2 else ()
    return len(pair) == 2 and all(isinstance(end, Real) for end in pair) and pair[0] < pair[1]


def check_weight(weight: float, by: object) -> None:
    if by is not None:
        instance_of("by", by, Model, "a model of the same data that was trained for less long")
    if not isinstance(weight, Real) or isinstance(weight, bool):
        raise TypeError(f"a guidance weight is a number, 2.0 for example, got {weight!r:.60}")
    if not -1 <= weight < math.inf:
        raise ValueError(
            f"a guidance weight is -1 or more, got {weight}: 0 is p(x | y), and -1 is p(x)"
        )


class _Both(nn.Module):
    """The outputs of two models, side by side."""

    def __init__(self, model: Model, weaker: Model) -> None:
        super().__init__()
        self.model, self.weaker = model, weaker

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        t = (time.double() * self.model.steps).round().long()
        weaker = self.weaker
        if weaker.given_rows:  # the same rows
            weaker = weaker.with_codes(given)
        ours = self.model.with_codes(given).output(x, t)
        return torch.cat([ours, weaker.output(x, t)], -1)


@dataclass(frozen=True)
class _GuidedHead(Head):
    """A head of the outputs of two models, whose laws are extrapolated."""

    inner: Head
    weight: float
    interval: tuple[float, float] | None

    @property
    def jumps(self) -> bool:  # type: ignore[override]
        return self.inner.jumps

    @property
    def homogeneous(self) -> bool:
        return False

    @property
    def outputs(self) -> int:
        return 2 * self.inner.outputs

    def bind(self, space: Space, kernel: Kernel) -> Any:
        return self

    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        ours, theirs = (self.inner.estimate(kernel, each, x_t, t) for each in self._split(output))
        return ours + self._weight(kernel, x_t, t) * (ours - theirs)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        p, q = (self.inner.reverse(kernel, each, x_t, s, t) for each in self._split(output))
        return p.extrapolate(q, self._weight(kernel, x_t, t))

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        p, q = (self.inner.last(kernel, each, x_t, t) for each in self._split(output))
        return p.extrapolate(q, self._weight(kernel, x_t, t))

    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        q = kernel.posterior(x_t, x_0, s, t)
        return q.kl(self.reverse(kernel, output, x_t, s, t))

    def _split(self, output: Tensor) -> tuple[Tensor, ...]:
        return output.chunk(2, -1)

    def _weight(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        """The weight of each example, (B, 1, ...): 0 outside the interval."""
        weight = torch.full_like(x_t.flatten(1)[:, 0], self.weight)
        if self.interval is not None:
            if not isinstance(kernel, SignalNoise):
                raise TypeError(
                    f"an interval of log-SNR needs a kernel that has one (GaussianKernel), got "
                    f"{type(kernel).__name__}: leave the interval out"
                )
            log_snr = kernel.schedule.log_snr.to(x_t)[t]
            inside = (log_snr >= self.interval[0]) & (log_snr <= self.interval[1])
            weight = torch.where(inside, weight, 0.0)
        return weight.reshape(-1, *[1] * (x_t.ndim - 1))


@dataclass(frozen=True)
class _GuidedDenoiser(_GuidedHead, DenoisingHead):
    """The same of a head that states a law of x_0."""

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        inner = cast(DenoisingHead, self.inner)
        p, q = (inner.denoise(kernel, each, x_t, t) for each in self._split(output))
        return p.extrapolate(q, self._weight(kernel, x_t, t))
