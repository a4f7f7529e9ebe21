r"""A network that corrects a spectral law of pictures or signals."""

__all__ = ["PerClassDenoiser", "SpectralDenoiser", "SpectralResidual"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import whole_numbers
from ..distributions.mixtures import Mixture, SpectralBlock
from ..distributions.mixtures.spectral_block import Denoised
from .normals_denoiser import NormalsDenoiser
from .padded import Padded
from .spectral_denoiser import SpectralDenoiser
from .spectral_per_class import PerClassDenoiser

WINDOW, LEAST_ENERGY = 5, 0.1
"""The edge of the window in which the energy of the whitened x_t is averaged, and what is added to
that energy before its logarithm."""

_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d}


@dataclass(eq=False)
class SpectralResidual(nn.Module):
    r"""A spectral law, and a network that corrects its estimate of x_0.

    It gives (B, *, 4): two numbers of the law and two corrections, as the head :class:`Corrected`
    or :class:`CorrectedLevels` takes them. The network sees four values for each value of x: the
    law's means of x_0 and of the noise in x_t, x_t whitened by the law, and the logarithm of the
    local energy of that. Its last layer starts at zero: before training, the model is the law.

    Args:
        shape: of x_0. A whole number means one axis.
        axes, components, steps: of :class:`SpectralDenoiser`.
        network: :class:`UNet`, :class:`DiT` or another, which has a last layer `read_out`; for
            examples of shape (4 C, *places), where C values of x are at each place.
        leave_out: which two numbers of the law are given: False for the mean and the variance of
            each value of x_0 given x_t (:class:`Corrected`), and True for the linear coefficient
            and the precision of its law given the other values of x_t (:class:`CorrectedLevels`).
        classes: of a condition, each of which has a law of its own (:class:`PerClassDenoiser`), so
            that the class changes the model before training; 0 for one law of all examples.
        full: whether the law is a mixture of normals with full covariance matrices
            (:class:`NormalsDenoiser`), and not one of normals that share a basis. It has no axes of
            cosines and no classes.

    Raises:
        TypeError: if the network has no field `shape` or no layer `read_out`.
        ValueError: if the network is for another shape; the message says which is needed.
    """

    shape: Any
    axes: int
    components: int
    steps: int
    network: Any
    leave_out: bool = False
    classes: int = field(default=0, metadata={"added": True})
    full: bool = field(default=False, metadata={"added": True})

    # Not a dataclass __init__: nn.Module.__init__ has to run before a submodule is assigned.
    def __init__(
        self,
        shape: Any,
        axes: int,
        components: int,
        steps: int,
        network: Any,
        leave_out: bool = False,
        classes: int = 0,
        full: bool = False,
    ) -> None:
        super().__init__()
        if full and (classes or axes):
            raise ValueError(
                f"a law of full normals has no classes and no axes of cosines, got {classes} and "
                f"{axes}"
            )
        self.full = full
        self.denoiser: SpectralDenoiser | PerClassDenoiser | NormalsDenoiser
        if full:
            self.denoiser = NormalsDenoiser(shape, components, steps)
        elif classes:
            self.denoiser = PerClassDenoiser(shape, axes, components, steps, classes)
        else:
            self.denoiser = SpectralDenoiser(shape, axes, components, steps)
        self.shape, self.axes, self.classes = self.denoiser.shape, axes, classes
        self.components, self.steps, self.network = components, steps, network
        self.leave_out = leave_out
        if not isinstance(network, nn.Module) or not hasattr(network, "shape"):
            raise TypeError(
                "a network with a field `shape` is needed, such as UNet or DiT, got "
                f"{network!r:.80}"
            )
        if not isinstance(getattr(_inner(network), "read_out", None), nn.Module):
            raise TypeError(
                f"{type(network).__name__} has no last layer `read_out` to start at zero: use UNet "
                "or DiT"
            )
        inner = whole_numbers("the network's shape", network.shape)
        self.places = len(inner) - 1
        own = self.shape[: len(self.shape) - self.places]
        if classes and self.condition != classes:
            raise ValueError(
                f"laws of {classes} classes need a network with condition={classes}, got "
                f"condition={self.condition}"
            )
        needed = (4 * math.prod(own), *self.shape[len(self.shape) - self.places :])
        if self.places not in _POOL or inner != needed:
            raise ValueError(
                f"a network that corrects a law of shape {self.shape} is for examples of shape "
                f"{needed}, got {inner}"
            )
        self.zero_output()

    def resized(self, shape: Sequence[int]) -> "SpectralResidual":
        """This network, with its law and its weights, for examples with other sides.

        Args:
            shape: of x_0; the axes that are no places must be as long as before.

        Raises:
            TypeError: if the law is one of whole examples, of full normals or of several classes.
            RuntimeError: if the network inside has weights for each place.
        """
        shape, axes = tuple(shape), self.axes
        if not isinstance(self.denoiser, SpectralDenoiser):
            raise TypeError(
                "a law for each class, or of full normals, holds for examples of one size only"
            )
        law, sides = self.denoiser.law, shape[len(shape) - self.places :]
        block = law.blocks[0]
        assert isinstance(block, SpectralBlock)  # as in start_at
        inner = _inner(self.network)
        other = replace(inner, shape=(*inner.shape[: len(inner.shape) - self.places], *sides))
        other.load_state_dict(inner.state_dict())
        made = SpectralResidual(shape, axes, self.components, self.steps, other, self.leave_out)
        made.network.load_state_dict(inner.state_dict())  # its last layer was set to zero
        wide = Mixture(law.log_weight, (block.resized(shape[len(shape) - axes :]),))
        assert isinstance(made.denoiser, SpectralDenoiser)  # as it was built without classes
        made.denoiser.start_at(wide, self.denoiser.get_buffer("log_snr"))
        return made.to(next(self.parameters()))

    @property
    def condition(self) -> int:
        """Numbers of the condition's code that the network takes; 0 for none."""
        return int(getattr(self.network, "condition", 0))

    def zero_output(self) -> Self:
        """Sets the network's last layer to zero, so that the model is the law. Returns itself."""
        with torch.no_grad():
            for weight in self._last_weights():
                weight.zero_()
        return self

    @property
    def corrects(self) -> bool:
        """Whether the correction can be anything but zero; it is zero before training."""
        return any(bool(weight.any()) for weight in self._last_weights())

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        """Two numbers of the law for each value of x_t (B, *) at t / T (B,), and two corrections:
        (B, *, 4)."""
        law = self.denoiser.denoise(x, time, given)
        own = (len(x), -1, *self.shape[len(self.shape) - self.places :])
        energy = _local_energy(law.white.reshape(own), self.places)
        seen = [each.reshape(own) for each in (law.mean, law.eps, law.white)]
        codes = () if given is None else (given,)
        out = self.network(torch.cat([*seen, energy], 1), time, *codes)[..., 0]
        shift, widening = (each.reshape(x.shape) for each in out.to(x).chunk(4, 1)[:2])
        first, second = self._given_others(law, time) if self.leave_out else law[:2]
        return torch.stack([first, second, shift, widening], -1)

    def _given_others(self, law: Denoised, time: Tensor) -> tuple[Tensor, Tensor]:
        """The linear coefficient and the precision of the normal law of each value given the other
        values: that given all, divided by the likelihood of the value's own x_t."""
        level = self.denoiser.level(time.to(torch.float64)).to(law.mean)
        ratio = (level.signal / level.noise).reshape(-1, *[1] * (law.mean.ndim - 1))
        precision = law.free / law.variance
        return law.mean * precision - ratio * law.eps, precision

    def _last_weights(self) -> list[Tensor]:
        inner = _inner(self.network)
        own = getattr(inner, "bias", None)  # of a framed network
        return [*inner.read_out.parameters(), *([own] if isinstance(own, Tensor) else [])]


def _inner(network: Any) -> Any:
    """The network inside a margin, or the network itself."""
    return network.network if isinstance(network, Padded) else network


def _local_energy(white: Tensor, places: int) -> Tensor:
    """The logarithm of the mean square of white (B, C, *sizes) in a window about each place."""
    square = white.square()
    if places == 2:  # a CPU averages many channels at once where they come last
        square = square.contiguous(memory_format=torch.channels_last)
    mean = _POOL[places](square, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)
    return (mean + LEAST_ENERGY).log()
