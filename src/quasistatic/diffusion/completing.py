"""The verbs that draw given evidence: posterior, complete and impute."""

__all__ = ["Completing"]

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._utils.randomness import Rng
from .._utils.validation import as_tensor
from ..sampling import SMC, Posterior, PosteriorMethod, Times, posterior
from ..sampling.factors import Factor, Observed
from .chain import Chain


class Completing(Chain):
    """Draws from products of the model with factors, and the evidence of these."""

    def posterior(
        self,
        factor: Factor,
        draws: int = 16,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        method: PosteriorMethod | None = None,
        together: int | None = None,
    ) -> Posterior:
        r"""Draws from p(x) r(x) / Z for each example that a factor is about, and the evidence Z;
        with `given`, from p(x | y) r(x) / Z.

        Args:
            factor: r, about raw data: `Observed`, `Linear`, `Smooth`, `Label`, a product of them,
                or a :class:`Factor` of your own.
            draws: how many to return for each example.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            method: by default `SMC()`, weighted particles, exact in the limit of many;
                `SMC(particles=256, repeats=4)` says how many. `Guided("matched")` is one of SD15's
                approximations: fast, and without evidence.
            together: the most particles that the network evaluates at once, by default
                :attr:`Model.chunk_size`: memory grows with it.

        Returns:
            A :class:`Posterior` with draws of shape (N, draws, *) and the log-evidence in nats.

        Raises:
            ValueError: if the factor does not fit the data, contradicts itself, or leaves no
                particle a weight (at which time); or a number is below 1.
        """
        model = self if given is None else self.given(given)
        return posterior(model, factor, draws, times, rng, method or SMC(), together)

    def complete(
        self,
        x: object,
        mask: object,
        draws: int = 16,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        method: PosteriorMethod | None = None,
        together: int | None = None,
    ) -> Posterior:
        """Draws of the missing values of x given the others: :meth:`posterior` with values that are
        known exactly.

        Args:
            x: raw data with shape (N, *). What it holds where a value is missing is ignored.
            mask: True where a value is missing, with the shape of x. What a masked array of NumPy
                masks is missing, too.
            draws: how many to return for each example.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            method: see :meth:`posterior`.
            together: see :meth:`posterior`.

        Returns:
            A :class:`Posterior`: whole examples, whose known values are bit-equal to those of x,
            and log p(known values) in nats.

        Raises:
            ValueError: if the mask has another shape, or a known value is not one of the space.
        """
        known, y = self._known(x, mask)
        variance = torch.where(known, 0.0, torch.inf)
        observed = Observed(y, variance)
        options: Any = {"given": given, "method": method, "together": together}
        return self.posterior(observed, draws, times, rng, **options)

    def impute(
        self,
        x: object,
        draws: int = 16,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        method: PosteriorMethod | None = None,
        together: int | None = None,
    ) -> Posterior:
        """:meth:`complete` with NaN for what is missing.

        Rows without NaN come back as they are, with the evidence log p(x) of a whole row. A row of
        NaN alone is a plain sample, and a warning says so.

        Args:
            x: raw data with shape (N, *), NaN where a value is missing.
            draws: how many to return for each row.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            method: see :meth:`posterior`.
            together: see :meth:`posterior`.

        Raises:
            ValueError: if x has another shape than the data.
        """
        array = as_tensor(x, "x")
        missing = array.isnan() if array.is_floating_point() else torch.zeros_like(array).bool()
        alone = missing.flatten(1).all(1) if missing.ndim > 1 else missing[:0]
        if alone.any():
            warnings.warn(
                f"nothing is known of {int(alone.sum())} rows, of row {int(alone.nonzero()[0])} "
                "first: they are plain samples",
                stacklevel=2,
            )
        options: Any = {"given": given, "method": method, "together": together}
        return self.complete(array, missing, draws, times, rng, **options)

    def _known(self, x: object, mask: object) -> tuple[Tensor, Tensor]:
        """Where x is known; and x, with a value of the space in place of each missing one."""
        array = as_tensor(x, "x")
        hidden = as_tensor(mask, "mask")
        if tuple(hidden.shape) != tuple(array.shape):
            raise ValueError(
                f"the mask must have the shape of x, {tuple(array.shape)}, got "
                f"{tuple(hidden.shape)}: True where a value is missing"
            )
        other = (hidden != 0) & (hidden != 1)
        if other.any():
            place = tuple(int(k) for k in other.nonzero()[0])
            raise ValueError(
                f"the mask holds {hidden[place].item():g} at {place}, and it is True (or 1) where "
                "a value is missing, and False (or 0) where it is known"
            )
        if tuple(array.shape[1:]) != tuple(self.space.shape):
            self.space.check(array.nan_to_num() if array.is_floating_point() else array)
        hidden = hidden.bool().cpu()
        if isinstance(x, np.ma.MaskedArray):
            hidden = hidden | torch.from_numpy(np.ma.getmaskarray(x))
        filled = torch.where(hidden, self.space.placeholder.to(array.dtype), array.cpu())
        return ~hidden, self.space.check(filled)
