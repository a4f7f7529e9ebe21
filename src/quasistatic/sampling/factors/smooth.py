"""Any differentiable log r, and a label by a classifier."""

__all__ = ["Label", "Smooth"]

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ...distributions import Family
from ...kernels import Kernel, SignalNoise
from ...spaces import Space
from .factor import Factor

FARTHEST = 1.0
"""The most that the slope of log r moves the mean of a law, in its standard deviations."""


@dataclass(frozen=True)
class Smooth(Factor):
    r"""Any r whose logarithm can be differentiated (SD15 App. C, Eq. 61: a step's mean moves by
    its variance times the slope of log r there).

    Args:
        log_r: from raw data (B, *), unrounded and in floating point, to log r of each example,
            (B,), in nats. The value of an example must not depend on the others.
        count: how many examples it is about, if log_r takes their numbers (B,), from 0, as a second
            argument; None if r is the same for all.
        rows, exponent: for internal use.
    """

    log_r: Callable[..., Tensor]
    count: int | None = None
    rows: Tensor | None = field(default=None, repr=False)
    exponent: float = 1.0

    @property
    def examples(self) -> int | None:
        return self.count if self.rows is None else len(self.rows)

    def on(self, space: Space, rng: torch.Generator | None = None) -> "Smooth":
        of_raw = self.log_r

        def log_r(x_0: Tensor, *rows: Tensor) -> Tensor:
            return of_raw(space.in_raw_units(x_0), *rows)

        rows = None if self.count is None else torch.arange(self.count)
        return replace(self, log_r=log_r, rows=rows)

    def take(self, rows: Tensor) -> "Smooth":
        return self if self.rows is None else replace(self, rows=self.rows[rows])

    def log_prob(self, x_0: Tensor) -> Tensor:
        value = self.log_r(x_0) if self.rows is None else self.log_r(x_0, self.rows)
        if value.shape != (len(x_0),):
            raise ValueError(
                f"log r must give one number for each of {len(x_0)} examples, got shape "
                f"{tuple(value.shape)}: sum over the other axes"
            )
        return self.exponent * value

    def log_mean(self, space: Space, law: Family) -> Tensor:
        return self.log_prob(law.mean)

    def update(self, law: Family) -> Family:
        # The slope at the mean holds within about a standard deviation of it.
        most = FARTHEST / law.variance.clamp(min=1e-300).sqrt()
        slope = self._slope(law.mean).clamp(min=-most, max=most)
        return law.tilt(slope, torch.zeros_like(slope))

    def power(self, exponent: float) -> "Smooth":
        return replace(self, exponent=self.exponent * exponent)

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        if not isinstance(kernel, SignalNoise):
            raise TypeError(f"Smooth cannot be matched to the noise of {type(kernel).__name__}")
        signal = kernel.signal(t, p.mean)
        linear = signal * self._slope(signal * p.mean)
        return p.tilt(linear, torch.zeros_like(linear))

    def _slope(self, at: Tensor) -> Tensor:
        with torch.enable_grad():
            x = at.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(x).sum(), x)[0]


def Label(classifier: nn.Module | Callable[[Tensor], Tensor], labels: object) -> Smooth:
    """r(x) = P(label | x) by a classifier.

    Args:
        classifier: from raw data (B, *), in floating point, to logits (B, classes).
        labels: the class of each example, whole numbers with shape (N,).

    Raises:
        ValueError: if the labels have another shape; in a verb, if one is not a class.
    """
    wanted = torch.as_tensor(labels).long()
    if wanted.ndim != 1:
        raise ValueError(f"labels must have shape (N,), got {tuple(wanted.shape)}")

    def log_r(raw: Tensor, rows: Tensor) -> Tensor:
        logits = classifier(raw)
        if not (wanted.min() >= 0 and wanted.max() < logits.shape[-1]):
            raise ValueError(
                f"labels must be from 0 to {logits.shape[-1] - 1}, the classifier's classes, got "
                f"{wanted.min().item()} to {wanted.max().item()}"
            )
        chosen = wanted[rows].to(logits.device)[:, None]
        return logits.log_softmax(-1).gather(1, chosen)[:, 0]

    return Smooth(log_r, count=len(wanted))
