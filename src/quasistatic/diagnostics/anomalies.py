r"""Anomaly scores with p-values that are valid for any model.

The likelihood alone does not measure anomaly: a simple example, such as a blank image, has a high
likelihood under any model. So the score differs from it in two ways. It counts only the terms of
the bound below a log-SNR, which describe the coarse structure. And it subtracts the cost that is
expected of an example with the same values in any arrangement.
"""

__all__ = ["Anomalies", "AnomalyDetector"]

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..model import Model
from .snr_bands import BandCosts, band_costs, encode_rows

LEAST = 10
"""The smallest number of reference rows for each coefficient that is fitted to them."""


@dataclass(frozen=True)
class Anomalies:
    r"""The anomaly scores of examples, and their p-values.

    Args:
        scores: with shape (N,), in nats; higher is more anomalous. The cost of an example minus the
            expected cost of an example with such values.
        p_values: with shape (N,): the probability that an ordinary example has this score or a
            higher one.
        bands: the share of each log-SNR band in the score, with shape (N, bands), in nats, from
            fine to coarse.
        band_p_values: p-values of each band by itself, with shape (N, bands).
        costs: the cost in each band before anything is subtracted, with shape (N, bands), in nats.
        log_snr: where the bands begin and end, with shape (bands + 1,), falling.
        calibrated_on: the number of calibration examples behind the p-values.
    """

    scores: Tensor
    p_values: Tensor
    bands: Tensor
    band_p_values: Tensor
    costs: Tensor
    log_snr: Tensor
    calibrated_on: int

    @property
    def least_level(self) -> float:
        """The smallest p-value that so many calibration examples can give."""
        return 1 / (self.calibrated_on + 1)

    def strange(self, level: float = 0.05) -> Tensor:
        """Which examples are called anomalous, bool with shape (N,).

        Args:
            level: the share of ordinary examples that are called anomalous, at most, on average
                over calibration sets.

        Raises:
            ValueError: if the level is not between 0 and 1, or so small that no p-value reaches it;
                the message says how many calibration examples it takes.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}: 0.05, say")
        needed = math.ceil(1 / level - 1e-9) - 1
        if self.calibrated_on < needed:
            raise ValueError(
                f"a level of {level:g} takes {needed} calibration examples or more, got "
                f"{self.calibrated_on}: the smallest p-value is {1 / (self.calibrated_on + 1):.3g}"
            )
        return self.p_values <= level

    def __repr__(self) -> str:
        low = self.p_values.min().item()
        found = (self.p_values <= 0.05).sum().item()
        return (
            f"{len(self.scores)} examples, {found} with p <= 0.05 (smallest p = {low:.3g})\n"
            f"  scores {self.scores.min():.3g} to {self.scores.max():.3g} nats, calibrated on "
            f"{self.calibrated_on} examples"
        )


@dataclass(frozen=True, eq=False)
class AnomalyDetector:
    r"""An anomaly detector, calibrated on ordinary examples; see :meth:`fit`.

    Args:
        model: trained on ordinary examples.
        expected: the coefficients of the cost expected in each band, for 1, the mean and the mean
            square of x_0, with shape (3, bands), in nats.
        calibration: sorted scores of the calibration examples in each band and, in the last column,
            in all, with shape (n, bands + 1), in nats.
        below: the log-SNR from which terms are counted.
        draws: network evaluations in each band.
        seed: the seed of the noise, which is the same for all examples.
    """

    model: Model
    expected: Tensor = field(repr=False)
    calibration: Tensor = field(repr=False)
    below: float
    draws: int
    seed: int

    @classmethod
    def fit(
        cls,
        model: Model,
        reference: object,
        calibration: object,
        *,
        below: float = 0.0,
        bands: int = 6,
        draws: int = 32,
        seed: int = 0,
    ) -> "AnomalyDetector":
        r"""A detector of examples that are unlike the given rows. The model must not have been
        trained on these rows.

        A score is the residual of a linear regression of an upper bound on KL(q(x_s | x_0) ||
        p(x_s)), see :class:`BandCosts`, on the mean and the mean square of x_0. Under a normal
        distribution that is the same for all values, the likelihood depends on these two alone. So
        small terms are expected of a simple example.

        Args:
            model: trained on ordinary examples.
            reference: ordinary rows, with shape (M, *), to which the regression is fitted.
            calibration: other ordinary rows, with shape (n, *), from which p-values are computed.
                With reference rows among them, p-values would be too small.
            below: the log-SNR from which terms are counted. At 0 signal and noise are equally
                strong; inf counts every term.
            bands: the number of bands.
            draws: network evaluations in each band of an example.
            seed: of the noise.

        Raises:
            ValueError: if there are too few reference rows, or no calibration rows; or what
                :func:`band_costs` raises.
        """
        blank = cls(model, torch.zeros(3, bands), torch.zeros(0, bands + 1), below, draws, seed)
        found, design = blank._costs(reference, "reference"), blank._design(reference)
        if len(design) < LEAST * design.shape[1]:
            raise ValueError(
                f"reference needs {LEAST * design.shape[1]} rows or more, got {len(design)}: take "
                "some from the calibration rows, or hold more back from training"
            )
        # The pseudo-inverse: for bits, a value and its square are equal and share a coefficient.
        expected = torch.linalg.pinv(design, rtol=1e-9) @ found.bands.double()
        fitted = cls(model, expected, blank.calibration, below, draws, seed)
        ordinary, _ = fitted._parts(calibration, "calibration")
        return cls(model, expected, ordinary.sort(0).values, below, draws, seed)

    def score(self, raw: object) -> Anomalies:
        """The score of each example of raw (N, *). It depends on the example alone."""
        parts, found = self._parts(raw, "x")
        # p = (1 + #{calibration >= score}) / (n + 1): if an example and those of calibration are
        # exchangeable, its rank among them is uniform, and P(p <= level) <= level for any level.
        n = len(self.calibration)
        below = torch.searchsorted(self.calibration.T.contiguous(), parts.T.contiguous()).T
        p_values = (1 + n - below).double() / (n + 1)
        return Anomalies(
            scores=parts[:, -1],
            p_values=p_values[:, -1],
            bands=parts[:, :-1],
            band_p_values=p_values[:, :-1],
            costs=found.bands,
            log_snr=found.log_snr,
            calibrated_on=n,
        )

    def _parts(self, raw: object, name: str) -> tuple[Tensor, BandCosts]:
        """The excess in each band and, in the last column, in all of them."""
        found = self._costs(raw, name)
        excess = found.bands.double() - self._design(raw) @ self.expected
        return torch.cat([excess, excess.sum(1, keepdim=True)], 1), found

    def _costs(self, raw: object, name: str) -> BandCosts:
        checked = self.model.space.check(raw, name)
        bands = self.expected.shape[1]
        return band_costs(self.model, checked, bands, self.draws, self.below, seed=self.seed)

    def _design(self, raw: object) -> Tensor:
        """1, the mean and the mean square of each example's x_0: (N, 3), in float64."""
        x_0 = encode_rows(self.model, raw, self.seed).double().flatten(1)
        missing = x_0.isnan()
        if missing.any():  # the means over the values that are present
            first, second = x_0.nanmean(1).nan_to_num(0.0), (x_0**2).nanmean(1).nan_to_num(0.0)
            return torch.stack([torch.ones_like(first), first, second], 1)
        return torch.stack([torch.ones_like(x_0[:, 0]), x_0.mean(1), (x_0**2).mean(1)], 1)
