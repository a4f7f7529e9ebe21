r"""A spectral law of pictures and signals as a denoiser, and a network that corrects one."""

__all__ = ["PerClassDenoiser", "SpectralDenoiser", "SpectralResidual"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import whole_number, whole_numbers
from ..distributions.mixtures import (
    CosineBasis,
    LawPerClass,
    Mixture,
    NoiseLevel,
    SpectralBlock,
)
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

    def denoise(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Denoised:
        """What the law gives for x_t (B, *) at t / T (B,). It has no condition, and `given` changes
        nothing."""
        return self.denoise_with_evidence(x, time)[0]

    def denoise_with_evidence(self, x: Tensor, time: Tensor) -> tuple[Denoised, Tensor]:
        """What the law gives for x_t (B, *) at t / T (B,), and log p(x_t), with shape (B,)."""
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
        *each, log_p = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Denoised(*(part.reshape(x.shape) for part in each)), log_p

    def log_prob(self, x_0: Tensor, given: Tensor | None = None) -> Tensor:
        """log p of x_0 (B, *), with shape (B,), in nats, in its type. `given` changes nothing."""
        return self._law(x_0.dtype).log_prob(x_0.flatten(1))

    def _law(self, dtype: torch.dtype) -> Mixture:
        """The law in a type; made once, and again when a buffer has changed."""
        if torch.compiler.is_compiling() and dtype in self._kept[1]:
            return self._kept[1][dtype]  # an eager call made it; torch.compile reads no addresses
        buffers = dict(self.named_buffers())
        key = tuple((b.data_ptr(), b._version, b.dtype) for b in buffers.values())
        if self._kept[0] != key:
            self._kept = key, {}
        kept = self._kept[1]
        if dtype not in kept:
            kept[dtype] = self._made(buffers, dtype)
        return kept[dtype]

    def _made(self, buffers: dict[str, Tensor], dtype: torch.dtype) -> Mixture:
        basis = CosineBasis(self.shape, self.axes, buffers["directions"])
        block = SpectralBlock(basis, buffers["mean"], buffers["variance"])
        law = Mixture(buffers["log_weight"], (block,))
        return law.to(buffers["log_weight"].to(dtype))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": (None, {})}


def _denoised(law: Mixture, x: Tensor, level: NoiseLevel) -> tuple[Tensor, ...]:
    """What a law gives for some rows x_t (B, D), and their log p (B,)."""
    block = law.blocks[0]
    assert isinstance(block, SpectralBlock)  # as it was made
    # Not block.evidence, which looks for missing values: a GPU would wait for the answer.
    evidence = SpectralEvidence(block, x, level)
    joint = law.log_weight[:, None] + evidence.total
    return *evidence.denoised(joint), joint.logsumexp(0)


@dataclass(eq=False)
class PerClassDenoiser(nn.Module):
    r"""E[x_0 | x_t, y] and Var[x_0 | x_t, y] if each class y has a spectral law, exactly; for rows
    whose class is not given those of p(x_0 | x_t), the mixture of all classes.

    It starts with standard normal components; :meth:`start_at` gives it its laws. Its numbers are
    buffers in float64.

    Args:
        shape, axes, steps: of :class:`SpectralDenoiser`.
        components: K, the number of components of each class.
        classes: C, how many classes there are.
    """

    shape: Any
    axes: int
    components: int
    steps: int
    classes: int

    def __post_init__(self) -> None:
        super().__init__()
        whole_number("classes", self.classes, 2)
        each = self.shape, self.axes, self.components, self.steps
        self.laws = nn.ModuleList(SpectralDenoiser(*each) for _ in range(self.classes))
        self.shape = self._laws[0].shape
        even = torch.full((self.classes,), -math.log(self.classes), dtype=torch.float64)
        self.register_buffer("log_prior", even)

    @property
    def _laws(self) -> list[SpectralDenoiser]:
        return cast(list[SpectralDenoiser], list(self.laws))

    @property
    def law(self) -> LawPerClass:
        """The laws of x_0, in the type of the buffers."""
        return LawPerClass(self.get_buffer("log_prior"), tuple(each.law for each in self._laws))

    def start_at(self, law: LawPerClass, log_snr: Tensor) -> Self:
        """Takes the laws of x_0 and the schedule.

        Args:
            law: of as many classes, each with one :class:`SpectralBlock`.
            log_snr: of the times 1..T, with shape (T,).

        Raises:
            TypeError: if a law is none of a single spectral block.
            ValueError: if a shape is another, or a number is not finite.
        """
        fill_buffers(self, {"log_prior": law.log_prior})
        for each, of_class in zip(self._laws, law.laws, strict=True):
            each.start_at(of_class, log_snr)
        return self

    def level(self, time: Tensor) -> NoiseLevel:
        """The noise level at t / T (B,)."""
        return self._laws[0].level(time)

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        """The mean and the variance of x_0 given x_t (B, *) at t / T (B,): (B, *, 2)."""
        found = self.denoise(x, time, given)
        return torch.stack([found.mean, found.variance], -1)

    def denoise(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Denoised:
        """What the laws give for x_t (B, *) at t / T (B,).

        Args:
            x: x_t.
            time: t / T.
            given: the one-hot class of each row (B, C); zeros where it is not given.
        """
        possible = self._possible(x, given)
        log_joint = x.new_full((self.classes, len(x)), -math.inf)
        each = []
        for k, (law, rows) in enumerate(zip(self._laws, self._rows(possible), strict=True)):
            found, log_p = law.denoise_with_evidence(x[rows], time[rows])
            log_joint[k, rows] = log_p + self.get_buffer("log_prior")[k].to(x)
            each.append((rows, found))
        log_joint = log_joint.masked_fill(~possible.T, -math.inf)
        share = log_joint.softmax(0).reshape(self.classes, len(x), *[1] * (x.ndim - 1))
        sums = [torch.zeros_like(x) for _ in Denoised._fields]
        for k, (rows, found) in enumerate(each):
            for total, part in zip(sums, found, strict=True):
                total[rows] += share[k, rows] * part
        between = torch.zeros_like(x)
        for k, (rows, found) in enumerate(each):
            between[rows] += share[k, rows] * (found.mean - sums[0][rows]).square()
        level = self.level(time.to(torch.float64)).to(x)
        ratio = (level.signal / level.noise).reshape(-1, *[1] * (x.ndim - 1))
        mean, variance, eps, free, white = sums
        return Denoised(mean, variance + between, eps, free - between * ratio**2, white)

    def log_prob(self, x_0: Tensor, given: Tensor | None = None) -> Tensor:
        """log p(x_0 | y) of x_0 (B, *), with shape (B,), in nats, in its type; log p(x_0) where the
        class is not given.

        Args:
            x_0: the examples.
            given: see :meth:`denoise`.
        """
        each = torch.stack([law.log_prob(x_0) for law in self._laws], 1)
        prior = self.get_buffer("log_prior").to(x_0)
        if given is None:
            return (each + prior).logsumexp(1)
        chosen = given.to(x_0)
        alone = (each * chosen).sum(1)
        return torch.where(chosen.any(1), alone, (each + prior).logsumexp(1))

    def _possible(self, x: Tensor, given: Tensor | None) -> Tensor:
        """Which classes a row may have, with shape (B, C)."""
        if given is None:
            return torch.ones(len(x), self.classes, dtype=torch.bool, device=x.device)
        chosen = given > 0
        return chosen | ~chosen.any(1, keepdim=True)

    def _rows(self, possible: Tensor) -> list[Any]:
        """The rows for which each class is evaluated: on a CPU those that may have it; elsewhere,
        and in compiled code, all, so that shapes do not depend on values."""
        if possible.device.type != "cpu" or torch.compiler.is_compiling():
            return [slice(None)] * self.classes
        return [column.nonzero()[:, 0] for column in possible.T]


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
    ) -> None:
        super().__init__()
        self.denoiser: SpectralDenoiser | PerClassDenoiser
        if classes:
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
        self.silence()

    def resized(self, shape: Sequence[int]) -> "SpectralResidual":
        """This network, with its law and its weights, for examples with other sides.

        Args:
            shape: of x_0; the axes that are no places must be as long as before.

        Raises:
            TypeError: if the law is one of whole examples, or of several classes.
            RuntimeError: if the network inside has weights for each place.
        """
        shape, axes = tuple(shape), self.axes
        if not isinstance(self.denoiser, SpectralDenoiser):
            raise TypeError("a law for each class holds for examples of one size only")
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
    mean = _POOL[places](
        white.square(), WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False
    )
    return (mean + LEAST_ENERGY).log()
