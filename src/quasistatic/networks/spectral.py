r"""A spectral law of pictures and signals as a denoiser, and a network that corrects one."""

__all__ = ["SpectralDenoiser", "SpectralResidual"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import whole_number, whole_numbers
from ..distributions.mixtures import CosineBasis, Mixture, NoiseLevel, SpectralBlock
from ..distributions.mixtures.spectral_block import Denoised, SpectralEvidence
from .buffers import fill_buffers
from .padded import Padded

ON_HOST, ON_DEVICE = 2**18, 2**26
"""Numbers of a table over rows, components and values that are computed at once: on a CPU so few
that they stay in its cache."""

WINDOW, LEAST_ENERGY = 5, 0.1
"""The edge of the window in which the energy of the whitened x_t is averaged, and what is added to
that energy before its logarithm."""

_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d}


@dataclass(eq=False)
class SpectralDenoiser(nn.Module):
    r"""E[x_0 | x_t] and Var[x_0 | x_t] if x_0 has a spectral law, exactly: a mixture of normals
    that are diagonal in a basis of cosines.

    It starts with standard normal components; :meth:`start_at` gives it its law. It has no weights
    to train: its numbers are buffers in float64, which are saved with a model.

    Args:
        shape: of x_0. A whole number means one axis.
        axes: how many of the last axes have cosines; 0 for a basis of whole examples.
        components: K, the number of components.
        steps: T of the schedule.
    """

    shape: Any
    axes: int
    components: int
    steps: int

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        for name in ("components", "steps"):
            whole_number(name, getattr(self, name))
        count, dims, double = self.components, math.prod(self.shape), torch.float64
        buffers = {
            "log_weight": torch.full((count,), -math.log(count), dtype=double),
            "mean": torch.zeros(count, dims, dtype=double),
            "variance": torch.ones(count, dims, dtype=double),
            "directions": CosineBasis.plain(self.shape, self.axes).directions,
            "log_snr": torch.zeros(self.steps, dtype=double),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self._kept: tuple[Any, dict[torch.dtype, Mixture]] = (None, {})

    @property
    def law(self) -> Mixture:
        """The law of x_0, in the type of the buffers."""
        return self._law(self.get_buffer("log_weight").dtype)

    def start_at(self, law: Mixture, log_snr: Tensor) -> Self:
        """Takes the law of x_0 and the schedule.

        Args:
            law: with one block, a :class:`SpectralBlock`.
            log_snr: of the times 1..T, with shape (T,).

        Raises:
            TypeError: if the law is none of a single spectral block.
            ValueError: if a shape is another, or a number is not finite.
        """
        if len(law.blocks) != 1 or not isinstance(law.blocks[0], SpectralBlock):
            kinds = ", ".join(type(block).__name__ for block in law.blocks)
            raise TypeError(f"a law of one SpectralBlock is needed, got blocks {kinds}")
        block = law.blocks[0]
        found = {
            "log_weight": law.log_weight,
            "mean": block.mean,
            "variance": block.variance,
            "directions": block.basis.directions,
            "log_snr": log_snr,
        }
        fill_buffers(self, found)
        return self

    def level(self, time: Tensor) -> NoiseLevel:
        """The noise level at t / T (B,)."""
        index = (time * self.steps).round().long() - 1
        log_snr = self.get_buffer("log_snr")[index, None]
        signal, noise = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
        return NoiseLevel(signal, noise, torch.ones_like(signal), log_snr.new_zeros(0))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The mean and the variance of x_0 given x_t (B, *) at t / T (B,): (B, *, 2)."""
        found = self.denoise(x, time)
        return torch.stack([found.mean, found.variance], -1)

    def denoise(self, x: Tensor, time: Tensor) -> Denoised:
        """What the law gives for x_t (B, *) at t / T (B,)."""
        level = self.level(time.to(self.get_buffer("log_snr"))).to(x)
        law, flat = self._law(x.dtype), x.flatten(1)
        on_host = x.device.type == "cpu" and not torch.compiler.is_compiling()
        at_once = ON_HOST if on_host else ON_DEVICE
        rows = max(1, at_once // (self.components * flat.shape[1]))
        with torch.autocast(x.device.type, enabled=False):
            found = [
                _denoised(law, flat[i : i + rows], level.rows(slice(i, i + rows)))
                for i in range(0, max(len(flat), 1), rows)
            ]
        each = (torch.cat(parts).reshape(x.shape) for parts in zip(*found, strict=True))
        return Denoised(*each)

    def log_prob(self, x_0: Tensor) -> Tensor:
        """log p of x_0 (B, *), with shape (B,), in nats, in its type."""
        return self._law(x_0.dtype).log_prob(x_0.flatten(1))

    def _law(self, dtype: torch.dtype) -> Mixture:
        """The law in a type; made once, and again when a buffer has changed."""
        buffers = dict(self.named_buffers())
        key = tuple((b.data_ptr(), b._version, b.dtype) for b in buffers.values())
        if self._kept[0] != key:
            self._kept = key, {}
        kept = self._kept[1]
        if dtype not in kept:
            basis = CosineBasis(self.shape, self.axes, buffers["directions"])
            block = SpectralBlock(basis, buffers["mean"], buffers["variance"])
            law = Mixture(buffers["log_weight"], (block,))
            kept[dtype] = law.to(buffers["log_weight"].to(dtype))
        return kept[dtype]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": (None, {})}


def _denoised(law: Mixture, x: Tensor, level: NoiseLevel) -> Denoised:
    """What a law gives for some rows x_t (B, D)."""
    block = law.blocks[0]
    assert isinstance(block, SpectralBlock)  # as it was made
    # Not block.evidence, which looks for missing values: a GPU would wait for the answer.
    evidence = SpectralEvidence(block, x, level)
    return evidence.denoised(law.log_weight[:, None] + evidence.total)


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

    # Not a dataclass __init__: nn.Module.__init__ has to run before a submodule is assigned.
    def __init__(
        self,
        shape: Any,
        axes: int,
        components: int,
        steps: int,
        network: Any,
        leave_out: bool = False,
    ) -> None:
        super().__init__()
        self.denoiser = SpectralDenoiser(shape, axes, components, steps)
        self.shape, self.axes = self.denoiser.shape, axes
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
        needed = (4 * math.prod(own), *self.shape[len(self.shape) - self.places :])
        if self.places not in _POOL or inner != needed:
            raise ValueError(
                f"a network that corrects a law of shape {self.shape} is for examples of shape "
                f"{needed}, got {inner}"
            )
        self.silence()

    def resized(self, shape: Sequence[int]) -> "SpectralResidual":
        """This network, with its law and its weights, for examples with other sides.

        Args:
            shape: of x_0; the axes that are no places must be as long as before.

        Raises:
            TypeError: if the law is one of whole examples.
            RuntimeError: if the network inside has weights for each place.
        """
        shape, axes = tuple(shape), self.axes
        law, sides = self.denoiser.law, shape[len(shape) - self.places :]
        block = law.blocks[0]
        assert isinstance(block, SpectralBlock)  # as in start_at
        inner = _inner(self.network)
        other = replace(inner, shape=(*inner.shape[: len(inner.shape) - self.places], *sides))
        other.load_state_dict(inner.state_dict())
        made = SpectralResidual(shape, axes, self.components, self.steps, other, self.leave_out)
        made.network.load_state_dict(inner.state_dict())  # its last layer was set to zero
        wide = Mixture(law.log_weight, (block.resized(shape[len(shape) - axes :]),))
        made.denoiser.start_at(wide, self.denoiser.get_buffer("log_snr"))
        return made.to(next(self.parameters()))

    @property
    def condition(self) -> int:
        """Numbers of the condition's code that the network takes; 0 for none. The law has no
        condition."""
        return int(getattr(self.network, "condition", 0))

    def silence(self) -> Self:
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
        law = self.denoiser.denoise(x, time)
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
    mean = _POOL[places](
        white.square(), WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False
    )
    return (mean + LEAST_ENERGY).log()
