r"""Pictures and signals: a spectral law in closed form, and a network that corrects it."""

__all__ = [
    "NETWORKS",
    "SpectralChoice",
    "Weighed",
    "spectral_law_per_class",
    "spectral_law",
    "spectral_model",
    "weighed",
]

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._utils.randomness import Rng, as_generator, below
from ..conditions import ClassLabel, Condition
from ..diffusion import Diffusion
from ..distributions.mixtures import GaussianBlock, LawPerClass, Mixture, SpectralBlock
from ..distributions.mixtures.fitting import (
    LawPerClassChoice,
    LawPerClassFit,
    SpectralChoice,
    SpectralFit,
)
from ..heads import Corrected, CorrectedLevels, DenoisingHead
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..networks import DiT, Padded, SpectralResidual, UNet
from ..spaces import Continuous, Dequantized, Latent, Quantized, Space

OF_LEVELS, LAST = 12.0, -7.0
"""The log-SNR of the first time for levels, where x_t tells neighbouring levels apart, and of the
last one."""

WIDTH = 24
"""Channels of the U-Net at its finest resolution. Those of a transformer are six times as many."""

SMALL, LARGE, COARSEST = 16, 96, 8
"""The shorter side from which places are patches of 2 values an axis and of 4, and the one at which
resolutions are halved no more."""

NETWORKS: dict[str, type[UNet] | type[DiT]] = {"unet": UNet, "dit": DiT}
"""The networks by their names on the command line."""

PLACES, PATCHES = 1024, 256
"""The most places that look at each other in a U-Net, and the most patches of a transformer."""

SURE = 2.0
"""Standard errors by which a network must win on held-out examples to be kept."""

AT_ONCE = 2**20
"""Raw values that are encoded at once."""

FEWEST = 8
"""Examples that a spectral law is fitted to, at least."""


def spectral_law(
    space: Space,
    examples: object,
    *,
    axes: int | None = None,
    components: int | None = None,
    seed: int = 0,
) -> SpectralChoice:
    """Fits the spectral law of x_0 to raw data of a space, in seconds.

    Args:
        space: `Quantized` or `Dequantized` for whole numbers, which are spread evenly over their
            cells, or `Continuous`.
        examples: raw data, an array (N, *shape).
        axes: how many of the last axes are places; None for all axes of a shape of one or two axes,
            else two. A signal of several channels (C, L) needs 1.
        components: how many components the law has; None to choose by held-out examples.
        seed: of the clusters, the held-out examples and the spreading.

    Returns:
        The law, which candidate it is, and its mean log p of held-out x_0, in nats.

    Raises:
        TypeError: if the space is another one.
        ValueError: if the data do not fit the space, `axes` does not fit its shape, or there are
            fewer than 8 examples.
    """
    x_0, fit = _prepared(space, examples, axes, seed)
    return fit.best(x_0, components)


def spectral_law_per_class(
    space: Space,
    examples: object,
    y: object,
    condition: ClassLabel,
    *,
    axes: int | None = None,
    seed: int = 0,
) -> LawPerClassChoice:
    """Fits a spectral law of x_0 for each class to raw data of a space, in seconds.

    Args:
        space: see :func:`spectral_law`.
        examples: raw data, an array (N, *shape).
        y: the class of each example, by number or name.
        condition: the classes.
        axes: see :func:`spectral_law`.
        seed: of the clusters, the held-out examples and the spreading.

    Returns:
        The laws, which candidate they are, and their mean log p(x_0 | y) of held-out examples, in
        nats.

    Raises:
        TypeError: if the space is another one.
        ValueError: if the data do not fit the space, there is another number of labels than of
            examples, a label is no class, or a class has fewer than two examples.
    """
    x_0, fit = _prepared(space, examples, axes, seed)
    labels = condition.indices(y)
    if len(labels) != len(x_0):
        raise ValueError(
            f"y has {len(labels)} labels for {len(x_0)} examples: give one for each example"
        )
    return LawPerClassFit(fit, condition.classes).best(x_0, labels)


def _prepared(
    space: Space, examples: object, axes: int | None, seed: int
) -> tuple[Tensor, SpectralFit]:
    """x_0 of raw data, and what fits a spectral law to it."""
    rng = torch.Generator().manual_seed(seed)
    if isinstance(space, Quantized | Dequantized):
        spread = Dequantized(space.shape, space.count, space.spread)
        x_0 = spread.encode(space.check(examples).float(), rng)
        floor: float | None = (2 * space.spread / space.count) ** 2 / 12
    elif isinstance(space, Continuous | Latent):
        x_0, floor = _encoded(space, space.check(examples), rng), None
    else:
        raise TypeError(
            f"a spectral law is of Quantized, Dequantized, Continuous or Latent data, got "
            f"{type(space).__name__}"
        )
    if len(x_0) < FEWEST:
        raise ValueError(
            f"a spectral law needs {FEWEST} examples or more, of which some are held out, got "
            f"{len(x_0)}"
        )
    return x_0, SpectralFit(tuple(space.state), axes, floor, seed=seed)


def _encoded(space: Space, raw: Tensor, rng: torch.Generator) -> Tensor:
    """x_0 of checked raw data, a few at a time."""
    rows = torch.split(raw, max(1, AT_ONCE // space.dims))
    return torch.cat([space.encode(each.float(), rng) for each in rows])


def spectral_model(
    space: Space,
    law: Mixture | LawPerClass,
    *,
    steps: int = 1000,
    width: int = WIDTH,
    network: type[UNet] | type[DiT] = UNet,
    axes: int | None = None,
    condition: Condition | None = None,
    attention: bool = True,
) -> Diffusion:
    """A model of pictures or signals that starts as a spectral law, and whose network learns
    corrections to it: before training, the chain is that of the law.

    Args:
        space: of the raw data: `Quantized`, whose levels a logistic prior with the law's moments
            describes, or `Dequantized` or `Continuous`, for which the law's chain is exact.
        law: of x_0, as :func:`spectral_law` fits it, of one spectral block or one of full normals;
            or one for each class, as
            :func:`spectral_law_per_class` fits them.
        steps: T, the steps of the chain.
        width: channels of the network at its finest resolution, or a sixth of the width of a
            transformer.
        network: `UNet` or `DiT`.
        axes: how many of the last axes are places, as in :func:`spectral_law`.
        condition: what y of p(x | y) is, for a model whose network takes it. The law is that of
            all examples, or with a ClassLabel one for each class.
        attention: whether a U-Net has attention at its coarsest resolution, if that is small.

    Raises:
        TypeError: if the law is no spectral one.
        ValueError: if it has a law for each class, and the condition is not of as many classes.
    """
    classes = law.classes if isinstance(law, LawPerClass) else 0
    if classes and getattr(condition, "classes", None) != classes:
        raise ValueError(
            f"a law for each of {classes} classes needs condition=ClassLabel({classes}), got "
            f"{condition!r:.60}"
        )
    block = _block_of(law)
    full = isinstance(block, GaussianBlock)
    shape = tuple(space.state)
    places = min(2, len(shape)) if axes is None else axes
    if isinstance(space, Quantized):
        head: DenoisingHead = CorrectedLevels()
        first = OF_LEVELS
    else:
        head, first = Corrected(), _first_log_snr(block)
    schedule = linear_log_snr(steps, first, LAST)
    codes = 0 if condition is None else condition.width
    inner = _network(shape, places, width, network, codes, attention)
    leave_out = isinstance(head, CorrectedLevels)
    of_law = 0 if isinstance(block, GaussianBlock) else block.basis.axes
    whole = SpectralResidual(
        shape, of_law, block.components, steps, inner, leave_out, classes, full=full
    )
    denoiser: Any = whole.denoiser  # of one law, or of one for each class, as it was built
    denoiser.start_at(law, schedule.log_snr[1:])
    return Diffusion(space, GaussianKernel(schedule), head, whole, condition)


def _block_of(law: Mixture | LawPerClass) -> SpectralBlock | GaussianBlock:
    """The block of a law, of several laws that with the narrowest direction."""
    if isinstance(law, Mixture) and len(law.blocks) == 1:
        block = law.blocks[0]
        if isinstance(block, GaussianBlock):
            return block
    found = []
    for each in law.laws if isinstance(law, LawPerClass) else (law,):
        block = each.blocks[0]
        if len(each.blocks) != 1 or not isinstance(block, SpectralBlock):
            raise TypeError(
                "a spectral model stands on a law of one SpectralBlock, or of one GaussianBlock: "
                "use spectral_law"
            )
        found.append(block)
    return min(found, key=_narrowest)


def _narrowest(block: SpectralBlock | GaussianBlock) -> float:
    """The least variance of a direction."""
    if isinstance(block, SpectralBlock):
        return block.variance.min().item()
    return (block.eigen[0][block.of] * block.scale[:, None]).min().item()


@dataclass(frozen=True)
class Weighed:
    """A network weighed against the law that it corrects, on held-out examples.

    Args:
        law: mean bits per dimension of the law alone.
        network: the same of the law with the network.
        kept: whether the network won by two paired standard errors; if not, its output is zero.
        seconds: CPU time of the fit of the law, and of the training of the network.
    """

    law: float
    network: float
    kept: bool
    seconds: tuple[float, float]

    def __str__(self) -> str:
        law, network = (f"{bits:.2f}" for bits in (self.law, self.network))
        more = "" if self.kept else ", so it is left out"
        fit, training = (f"{s:.0f} s" if s >= 10 else f"{s:.1f} s" for s in self.seconds)
        return (
            f"spectral law: {law} bits per dimension after {fit}; network: {network} after "
            f"{training}{more}"
        )


def weighed(
    model: Diffusion,
    held_out: object,
    evaluations: int = 16,
    *,
    seconds: tuple[float, float] = (math.nan, math.nan),
    rng: Rng = 0,
) -> Weighed:
    """Weighs the network of a model against its law. Its output becomes zero if it does not win.

    Args:
        model: as :func:`spectral_model` builds it.
        held_out: raw data that nothing was trained on, an array (N, *shape).
        evaluations: network evaluations for each example and model. Both see the same noise.
        seconds: CPU time of the law and of the network, for the message.
        rng: a seed, a generator, or None for a random seed.
    """
    network = _residual(model)
    alone = deepcopy(model)
    _residual(alone).zero_output()
    seed = int(below(2**31 - 1, 1, as_generator(rng), torch.empty(0)))
    ours, its = (each.score(held_out, evaluations, rng=seed) for each in (model, alone))
    won = (its.bits_per_dim - ours.bits_per_dim).double()
    error = won.std().item() / len(won) ** 0.5 if len(won) > 1 else math.inf
    kept = won.mean().item() > SURE * error
    if not kept:
        network.zero_output()
    bits = its.bits_per_dim.mean().item(), ours.bits_per_dim.mean().item()
    return Weighed(*bits, kept, seconds)


def _residual(model: Diffusion) -> SpectralResidual:
    if not isinstance(model.network, SpectralResidual):
        raise TypeError(
            f"only a network that corrects a spectral law is weighed against it, got "
            f"{type(model.network).__name__}"
        )
    return model.network


def _first_log_snr(block: SpectralBlock | GaussianBlock) -> float:
    """The log-SNR of the first time: that of the narrowest direction of the law, and some more."""
    narrowest = max(_narrowest(block), 1e-300)
    return min(max(4 - math.log(narrowest), 7.0), 15.0)


def _network(
    shape: tuple[int, ...],
    places: int,
    width: int,
    kind: type[UNet] | type[DiT],
    codes: int,
    attention: bool,
) -> nn.Module:
    """The network for the four values that it sees of each value of x. Sides that do not divide are
    padded."""
    channels, sides = 4 * math.prod(shape[: len(shape) - places]), shape[len(shape) - places :]
    build, edge = _unet(sides, attention) if kind is UNet else _dit(sides)
    whole = (channels, *(-(-side // edge) * edge for side in sides))
    network = build(whole, width, codes)
    seen = (channels, *sides)
    return network if whole == seen else Padded(seen, network)


_Builder = tuple[Callable[[tuple[int, ...], int, int], nn.Module], int]
"""What builds a network for a shape, a width and the width of a condition's code; and what has to
divide its sides."""


def _unet(sides: tuple[int, ...], attention: bool) -> _Builder:
    """A U-Net whose coarsest resolution is about `COARSEST` places wide."""
    short, axes = min(sides), len(sides)
    patch = 1 + (short >= SMALL) + 2 * (short >= LARGE) if axes == 2 else 1 + (short >= LARGE)
    depth = 1 + max(0, math.ceil(math.log2(short / patch / COARSEST)))
    edge = patch * 2 ** (depth - 1)
    coarse = math.prod(-(-side // edge) for side in sides)
    with_attention = (depth - 1,) if attention and coarse <= PLACES else ()

    def build(shape: tuple[int, ...], width: int, codes: int) -> nn.Module:
        multiples = (1,) + (2,) * (depth - 1)
        return UNet(
            shape,
            width,
            multiples,
            1,
            with_attention,
            patch=patch,
            axes=axes,
            condition=codes,
        )

    return build, edge


def _dit(sides: tuple[int, ...]) -> _Builder:
    """A transformer with the smallest patches, of a power of 2, that are not too many."""
    patch = 1
    while math.prod(-(-side // patch) for side in sides) > PATCHES:
        patch *= 2

    def build(shape: tuple[int, ...], width: int, codes: int) -> nn.Module:
        return DiT(shape, 6 * width, 4, 4, patch=patch, axes=len(sides), condition=codes)

    return build, patch
