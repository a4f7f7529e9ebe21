r"""Log-likelihood by a Parzen window, as in SD15 Tab. 2: a Gaussian on each of the samples."""

__all__ = ["Parzen", "parzen"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..._utils.validation import as_tensor

SIGMAS = tuple(float(sigma) for sigma in np.logspace(-1, 0, 10))
"""The widths tried by default: ten from 0.1 to 1, evenly spaced in their logarithm."""

PAIRS = 2_000_000
"""Pairs of a sample and an example held at a time: 16 MB of float64."""

CAUTION = (
    "A Parzen window is a weak measure of a model: in hundreds of dimensions no feasible number "
    "of samples brings it near the true log-likelihood, and it can rank models the wrong way "
    "round, even above the distribution that made the data (T16). Compare it only with figures of "
    "this very protocol, and score by the bound where there is one."
)


@dataclass(frozen=True)
class Parzen:
    """The log-density of test examples under a Gaussian window on the samples.

    Args:
        nats: of each test example, with shape (N,), in nats an example; higher is better.
        sigma: the width of the window, chosen on the validation examples alone.
        sigmas: the widths tried.
        valid_nats: mean over the validation examples at each width, in nats an example.
        samples: how many samples carry a window.
        caution: a warning about the limits of this measure, as text.
    """

    nats: Tensor
    sigma: float
    sigmas: tuple[float, ...]
    valid_nats: tuple[float, ...]
    samples: int
    caution: str = field(default=CAUTION, repr=False)

    @property
    def bits(self) -> Tensor:
        """With shape (N,), in bits an example; higher is better. SD15 Tab. 2 is in this unit: its
        317 bits are 220 nats, and GAN14, whose protocol it is, reports nats."""
        return self.nats / math.log(2)

    @property
    def at_the_end(self) -> bool:
        """Whether the best width is the smallest or the largest of `sigmas`, so that others may be
        better."""
        return self.sigma in (min(self.sigmas), max(self.sigmas))

    def stderr(self, values: Tensor | None = None) -> float:
        """The standard error of the mean of `values` (N,), by default of `nats`, over the test
        examples; it does not hold the choice of the samples. NaN for one example."""
        values = self.nats if values is None else values
        if len(values) == 1:
            return math.nan
        return float(values.std() / len(values) ** 0.5)


@torch.no_grad()
def parzen(
    samples: object, valid: object, test: object, sigmas: Sequence[float] = SIGMAS
) -> Parzen:
    r"""The Parzen-window log-likelihood of test data, by the protocol of GAN14 that SD15 Tab. 2
    follows: log 1/M sum_m N(x; sample_m, sigma^2), with the sigma that is best on `valid`.

    The published figures use M = 10000 samples and the 10000 test digits of MNIST with grey levels
    from 0 to 1. The result depends on M, on the test digits, and, being a density, on the unit of
    the grey levels. With 10000 training digits as the samples it is 242.5 nats, 349.9 bits.
    :data:`CAUTION` describes the limits of this measure.

    Args:
        samples: draws of the model, with shape (M, *), from 0 to 1.
        valid: held-out examples that choose the width, with shape (V, *), from 0 to 1.
        test: held-out examples that are scored, with shape (N, *), from 0 to 1.
        sigmas: the widths to try.

    Returns:
        A :class:`Parzen`: the log-density of each test example, in nats, and the chosen width.

    Raises:
        ValueError: if an array is empty, leaves [0, 1] or holds NaN, if their shapes differ, or
            if a width is not positive.
    """
    draws, chosen_by, scored = (
        _in_unit_interval(x, name)
        for x, name in ((samples, "samples"), (valid, "valid"), (test, "test"))
    )
    for name, x in (("valid", chosen_by), ("test", scored)):
        if x.shape[1:] != draws.shape[1:]:
            raise ValueError(
                f"{name} holds examples of shape {tuple(x.shape[1:])} and samples of shape "
                f"{tuple(draws.shape[1:])}: give all three arrays one shape"
            )
    widths = tuple(float(sigma) for sigma in sigmas)
    if not widths or not all(0 < sigma < math.inf for sigma in widths):
        raise ValueError(f"sigmas must be one or more positive numbers, got {widths}")
    draws, chosen_by, scored = (x.flatten(1) for x in (draws, chosen_by, scored))
    tried = tuple(_log_density(draws, chosen_by, widths).mean(1).tolist())
    sigma = widths[int(np.argmax(tried))]
    nats = _log_density(draws, scored, (sigma,))[0]
    return Parzen(nats, sigma, widths, tried, len(draws))


def _log_density(draws: Tensor, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Of x (N, D) under windows on draws (M, D), at each width: (len(sigmas), N), in nats."""
    # In float64: |x - m|^2 is a difference of larger numbers, and is divided by 2 sigma^2.
    mean = draws.mean(0)
    draws, x = draws - mean, x - mean
    squares, minus = (draws**2).sum(1), -draws.T
    found = []
    size = max(1, PAIRS // len(draws))
    for rows in (x[start : start + size] for start in range(0, len(x), size)):
        # |x - m|^2 / 2 without |x|^2, which is the same for every m.
        half = torch.addmm(0.5 * squares, rows, minus)
        own = 0.5 * (rows**2).sum(1)
        nearest = half.min(1, keepdim=True).values
        half -= nearest
        found.append(
            torch.stack(
                [
                    (half * (-1 / sigma**2)).exp_().mean(1).log()
                    - (nearest[:, 0] + own) / sigma**2
                    - 0.5 * x.shape[1] * math.log(2 * math.pi * sigma**2)
                    for sigma in sigmas
                ]
            )
        )
    return torch.cat(found, 1)


def _in_unit_interval(x: object, name: str) -> Tensor:
    array = as_tensor(x, name).double()
    if array.ndim < 2 or array.numel() == 0:
        raise ValueError(f"{name} must have shape (examples, ...), got {tuple(array.shape)}")
    inside = (array >= 0) & (array <= 1)  # which NaN is not
    if not inside.all():
        raise ValueError(
            f"{name} must lie in [0, 1], got {array[~inside][0].item():g}: divide grey levels by "
            "the greatest, and clip samples of a continuous model"
        )
    return array
