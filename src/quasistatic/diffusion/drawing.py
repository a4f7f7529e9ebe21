"""The verbs that draw: sample, guided, encode, decode and interpolate."""

__all__ = ["Drawing"]

from collections.abc import Sequence

from torch import Tensor

from .._utils.randomness import Rng
from .._utils.validation import instance_of
from ..sampling import (
    CorrectedGuidance,
    Guidance,
    GuidedDraws,
    Stepper,
    Times,
    decode,
    encode,
    interpolate,
    sample,
)
from ..training.callbacks import Callback
from .chain import Chain


class Drawing(Chain):
    """Draws from the model, and the probability flow between noise and data."""

    def sample(
        self,
        n: int,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        guidance: Guidance | CorrectedGuidance | None = None,
        stepper: Stepper | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
    ) -> Tensor:
        """n draws from the model, or from p(x | y) with `given`.

        Args:
            n: how many draws.
            times: the times to visit, see :meth:`Model.times`. By default what the stepper takes:
                all T for ancestral sampling.
            rng: a seed, a generator or None. Draw i of a seed is the same however many are drawn:
                its noise depends on the seed and on i only. `sample(4, rng=0)[:2]` equals
                `sample(2, rng=0)` bit for bit on a CPU, for examples of up to 1024 values; beyond,
                and on a GPU, to within the rounding of batches of different sizes.
            given: y of p(x | y), for a model with a condition: one value, or one for each draw;
                None (the default) for p(x), or what :meth:`given` gave.
            guidance: `Guidance(weight)` leads each step towards `given` and away from p(x), which
                gives typical draws; `CorrectedGuidance(weight)` draws from
                p(x | y)^(1 + w) p(x)^(-w) / Z by weighted walks, see :meth:`guided`.
            stepper: how a walk goes from x_t to x_s, by default `Ancestral()`, which draws from the
                law that `score` bounds.
            callbacks: functions of :class:`.Progress`, called a few times a second and at the end.
            progress: whether to show a progress bar, after a second; by default on a terminal and
                in a notebook.

        Returns:
            Raw data with shape (n, *).

        Raises:
            TypeError: if the stepper cannot serve the model: which can; or a condition is given and
                the model has none.
            ValueError: if n < 1, or the times make no chain; or `given` is no value of the
                condition, or has another number of values.
        """
        model = self.given_each(given, n)
        if isinstance(guidance, CorrectedGuidance):
            if stepper is not None:
                raise ValueError("weighted walks have steps of their own: leave the stepper out")
            return guidance.draw(model, n, self._listed(times), rng).draws
        if guidance is not None:
            weight = guidance if isinstance(guidance, int | float) else 2.0
            kinds = Guidance, CorrectedGuidance
            instance_of("guidance", guidance, kinds, f"Guidance({weight})")
            model = guidance.applied(model)
        return sample(model, n, times, rng, stepper, callbacks, progress)

    def guided(
        self,
        n: int,
        guidance: CorrectedGuidance,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
    ) -> GuidedDraws:
        """n draws from p(x | y)^(1 + w) p(x)^(-w) / Z with log Z and the effective sample size.

        Args:
            n: how many draws.
            guidance: `CorrectedGuidance(weight)`.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: the one value of y.

        Raises:
            TypeError: if nothing is given.
            ValueError: if several values are given.
        """
        instance_of("guidance", guidance, CorrectedGuidance, "CorrectedGuidance(1.0)")
        model = self if given is None else self.given(given)
        return guidance.draw(model, n, self._listed(times), rng)

    def encode(
        self,
        x: object,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        stepper: Stepper | None = None,
        tolerance: float = 1e-5,
    ) -> Tensor:
        """The noise that the probability flow carries to x: the inverse of :meth:`decode`.

        Args:
            x: raw data with shape (N, *).
            times: the times to visit; by default 50, even in log-SNR.
            rng: for spaces whose map is random (`Dequantized`).
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            stepper: without correction, by default `Multistep(2, corrected=False)`.
            tolerance: the largest change of a value of the noise that counts as none.

        Returns:
            x_T with the shape of x_0, (N, *): about standard normal for data of the model.

        Raises:
            TypeError: if the model's kernel has no flow (bits and classes jump).
            ValueError: if the steps are too long to be solved for.
        """
        return encode(self._for(given, x), x, times, rng, stepper, tolerance)

    def decode(
        self,
        noise: Tensor,
        times: Times = None,
        *,
        given: object = None,
        stepper: Stepper | None = None,
    ) -> Tensor:
        """Where the probability flow carries noise, as raw data: the same for the same noise.

        Args:
            noise: x_T with the shape of x_0, (N, *).
            times: the times to visit; by default 50, even in log-SNR.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            stepper: by default `Multistep(2, corrected=False)`; `FlowMap()` for a distilled model.

        Raises:
            TypeError: if the model's kernel has no flow (bits and classes jump).
        """
        return decode(self.given_each(given, len(noise)), noise, times, stepper)

    def interpolate(
        self,
        first: object,
        second: object,
        n: int = 8,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        stepper: Stepper | None = None,
        tolerance: float = 1e-4,
    ) -> Tensor:
        """Examples between two: the noises that the probability flow carries to them, mixed on the
        sphere (DDIM Sec. 5.3), and carried to data again.

        Args:
            first: raw examples, with shape (N, *).
            second: as many raw examples, with shape (N, *).
            n: how many for each pair, with both ends.
            times: the times to visit; by default 50, even in log-SNR.
            rng: for spaces whose map is random (`Dequantized`).
            given: y of p(x | y), for a model with a condition: one value, or one for each pair;
                None (the default) for p(x), or what :meth:`given` gave.
            stepper: of the flow, by default `Multistep(2, corrected=False)`. `FlowMap()` decodes by
                a distilled model's few steps.
            tolerance: see :meth:`encode`.

        Returns:
            Raw data with shape (N, n, *); the ends are those given, to within the tolerance.

        Raises:
            TypeError: if the model's kernel has no flow: a mix of bits is not a bit.
            ValueError: if the numbers of examples differ, or n < 2.
        """
        model = self._for(given, first)
        return interpolate(model, first, second, n, times, rng, stepper, tolerance)
