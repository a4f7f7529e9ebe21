r"""Anomalies: how strange an example is to a model, with p-values that hold whatever the model is.

The likelihood alone is no measure of it: an example with little in it costs little under any model,
strange or not. Two things are done about that. Only the outline is scored, what an example costs
when it is seen through noise; and of that cost, what its values would cost wherever they stood is
taken off.
"""

__all__ = ["Anomalies", "AnomalyDetector"]

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..model import Model
from .snr_bands import Costs, costs, encoded

LEAST = 10
"""Reference rows for each number that is fitted to them, at least."""


@dataclass(frozen=True)
class Anomalies:
    r"""How strange examples are.

    Args:
        scores: with shape (N,), in nats; higher is stranger. What an example costs in excess of
            what was expected of one with such values.
        p_values: with shape (N,): the chance that an ordinary example is this strange or stranger.
        bands: the parts of the score by scale, with shape (N, bands), in nats, from fine to coarse.
        band_p_values: p-values of each part by itself, with shape (N, bands).
        costs: what each part costs before anything is taken off, with shape (N, bands), in nats.
        log_snr: where the bands begin and end, with shape (bands + 1,), falling.
        calibrated_on: how many examples the p-values stand on.
    """

    scores: Tensor
    p_values: Tensor
    bands: Tensor
    band_p_values: Tensor
    costs: Tensor
    log_snr: Tensor
    calibrated_on: int

    def strange(self, level: float = 0.05) -> Tensor:
        """Which examples are called strange, with shape (N,): of ordinary ones at most a share of
        `level` are, on average over calibration sets.

        Raises:
            ValueError: if the level is not between 0 and 1, or so small that no p-value reaches it:
                how many calibration examples it takes.
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


@dataclass(frozen=True, eq=False)
class AnomalyDetector:
    r"""A model's word on what is strange, calibrated on ordinary examples; see :meth:`fit`.

    Args:
        model: trained on ordinary examples.
        expected: the cost expected in each band, as weights of 1, the mean and the mean square of
            x_0: (3, bands), in nats.
        calibration: sorted scores of the calibration examples, in the last column, and of their
            parts in each band: (n, bands + 1), in nats.
        below: the log-SNR from which terms are counted.
        draws: network evaluations in each band.
        seed: of the noise that all examples are shown.
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
        r"""A detector for what is unlike the rows given, none of which the model was trained on.

        A score is the part of an upper bound on KL(q(x_s | x_0) || p(x_s)), see :class:`Costs`,
        that a linear regression on the mean and the mean square of x_0 leaves: these are what a
        normal law of all values, wherever they stand, would go by. The terms of a simple example
        are small and are expected to be.

        Args:
            reference: ordinary rows (M, *) that tell which costs are to be expected.
            calibration: other ordinary rows (n, *), which p-values compare with. They must not
                be reference rows, for then p-values would come out too small.
            below: the log-SNR at which noise hides detail. At 0 signal and noise are equally
                strong; inf counts every term.
            bands: parts of the score.
            draws: network evaluations in each band of an example.

        Raises:
            ValueError: if there are too few reference rows, or no calibration rows; or what
                :func:`costs` raises.
        """
        blank = cls(model, torch.zeros(3, bands), torch.zeros(0, bands + 1), below, draws, seed)
        found, design = blank._costs(reference, "reference"), blank._design(reference)
        if len(design) < LEAST * design.shape[1]:
            raise ValueError(
                f"reference needs {LEAST * design.shape[1]} rows or more, got {len(design)}: take "
                "some from the calibration rows, or hold more back from training"
            )
        # The pseudo-inverse: on bits a value and its square are one, and share a weight.
        expected = torch.linalg.pinv(design, rtol=1e-9) @ found.bands.double()
        fitted = cls(model, expected, blank.calibration, below, draws, seed)
        ordinary, _ = fitted._parts(calibration, "calibration")
        return cls(model, expected, ordinary.sort(0).values, below, draws, seed)

    def score(self, raw: object) -> Anomalies:
        """How strange each example of raw (N, *) is. A score follows from the example alone."""
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

    def _parts(self, raw: object, name: str) -> tuple[Tensor, Costs]:
        """The excess in each band and, in the last column, in all of them."""
        found = self._costs(raw, name)
        excess = found.bands.double() - self._design(raw) @ self.expected
        return torch.cat([excess, excess.sum(1, keepdim=True)], 1), found

    def _costs(self, raw: object, name: str) -> Costs:
        checked = self.model.space.check(raw, name)
        bands = self.expected.shape[1]
        return costs(self.model, checked, bands, self.draws, self.below, seed=self.seed)

    def _design(self, raw: object) -> Tensor:
        """1, the mean and the mean square of each example's x_0: (N, 3), in float64."""
        x_0 = encoded(self.model, raw, self.seed).double().flatten(1)
        missing = x_0.isnan()
        if missing.any():  # the means over the values that are present
            first, second = x_0.nanmean(1).nan_to_num(0.0), (x_0**2).nanmean(1).nan_to_num(0.0)
            return torch.stack([torch.ones_like(first), first, second], 1)
        return torch.stack([torch.ones_like(x_0[:, 0]), x_0.mean(1), (x_0**2).mean(1)], 1)
