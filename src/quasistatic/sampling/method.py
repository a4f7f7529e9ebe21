"""What every method for a posterior is: model and factor in, draws and their evidence out."""

__all__ = ["Drawn", "PosteriorMethod"]

import abc
from dataclasses import dataclass

from torch import Tensor

from .._utils.randomness import Rng
from ..model import Model
from .factors import Factor
from .sampler import Times


@dataclass(frozen=True)
class Drawn:
    """What a method found for each example.

    Args:
        x_0: the draws, with shape (examples, draws, *).
        log_evidence: log E_p[r], with shape (examples,), in nats; NaN if the method knows none.
        evidence_stderr: its standard error, with shape (examples,), in nats; NaN if unknown.
        effective: the smallest effective sample size on the way, as a share of the particles, with
            shape (examples,); NaN without particles.
        ancestors: how many particles of the first state the last ones come from, with shape
            (examples,); 0 without particles.
        repeats: the independent sets of particles behind `evidence_stderr`; 0 without particles.
        raw: raw data of each draw, with shape (examples, draws, *shape), where the factor drew
            them; None where x_0 determines them.
    """

    x_0: Tensor
    log_evidence: Tensor
    evidence_stderr: Tensor
    effective: Tensor
    ancestors: Tensor
    repeats: int
    raw: Tensor | None = None


class PosteriorMethod(abc.ABC):
    """A way to draw from p(x) r(x) / Z: `model.posterior(factor, method=SMC(particles=256))`."""

    @abc.abstractmethod
    def __call__(
        self,
        model: Model,
        factor: Factor,
        examples: int,
        draws: int,
        times: Times,
        rng: Rng,
        together: int,
    ) -> Drawn:
        """Draws for each example.

        Args:
            model: p.
            factor: r, about x_0 (:meth:`Factor.on` makes it so).
            examples: how many examples the factor is about.
            draws: how many to return for each.
            times: the chain, see :meth:`Model.times`.
            rng: a seed, a generator or None.
            together: the most examples that the network evaluates at once.
        """
