r"""Builds a model of images of any size: grey, in colours, or black and white."""

__all__ = ["megaflops", "pictorial"]

import math

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .._utils.eval_mode import evaluating
from ..diffusion import Diffusion
from ..heads import Levels
from ..kernels import BinomialKernel, GaussianKernel
from ..kernels.schedules import erase_evenly, linear_log_snr
from ..networks import Padded, UNet
from ..spaces import Binary, Quantized
from .spectral import spectral_law, spectral_model

FIRST, LAST, SPREAD = 12.0, -6.0, 2.0
"""Log-SNR at both ends of the chain of grey levels, and half the range of x_0."""

WIDTH = 24
"""Channels of the network at its finest resolution; twice as many at the others."""

SMALL, LARGE, COARSEST = 16, 96, 8
"""The shorter sides of an image, in pixels, from which the network works on patches of 2x2 and of
4x4 pixels; and the shorter side, in patches, below which the resolution is not halved again."""

PLACES = 1024
"""The largest number of patches for which the network has self-attention."""


COLOURS = (1, 3, 4)
"""How many values the pixels of images have."""


def pictorial(
    shape: tuple[int, ...],
    levels: int = 256,
    *,
    images: object | None = None,
    share: Tensor | None = None,
    steps: int = 1000,
    width: int = WIDTH,
) -> Diffusion:
    """A model of images, to be trained with :func:`fit` on their bytes (N, *shape).

    Levels of grey or of a colour diffuse to a standard normal, and the network predicts a logistic
    distribution for each. Black-and-white pixels are erased step by step, and the network predicts
    a probability for each. The head multiplies the prediction by the exact likelihood of x_t at the
    pixel. The network is a U-Net on patches of pixels, whose size follows from that of the images.
    Inside the network, sides that do not divide evenly are padded.

    Args:
        shape: (H, W), or (C, H, W) with the colours first.
        levels: how many values a pixel can have, from 0; 2 for black and white.
        images: training images (N, *shape). With them, the model of grey levels or colours starts
            as their spectral law (:func:`spectral_law`), which is fitted in seconds, and the
            network learns corrections to it.
        share: for black-and-white images, the share of white of each pixel, with shape `shape`: the
            network starts with it as its prediction. By default 0.5.
        steps: T, the number of time steps of the chain.
        width: channels of the network at the finest resolution.

    Raises:
        ValueError: if the shape is not that of an image, or a number is out of its range.
    """
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(
            f"an image has shape (height, width) or (colours, height, width), got {shape}"
        )
    if len(shape) == 3 and shape[2] in COLOURS and shape[0] not in COLOURS:
        raise ValueError(
            f"an image has its colours first, (colours, height, width), and {shape} has them last: "
            f"pass {(shape[2], *shape[:2])}, and arrays as x.transpose(0, 3, 1, 2)"
        )
    if levels == 2:
        return _of_bits(shape, share, steps, width)
    space = Quantized(shape, levels, spread=SPREAD)
    if images is not None:
        law = spectral_law(space, images).law
        return spectral_model(space, law, steps=steps, width=width)
    kernel = GaussianKernel(linear_log_snr(steps, FIRST, LAST))
    return Diffusion(space, kernel, Levels(mixtures=1), _network(shape, width, 3))


def _of_bits(shape: tuple[int, ...], share: Tensor | None, steps: int, width: int) -> Diffusion:
    white = torch.full(shape, 0.5) if share is None else share.clamp(1e-3, 1 - 1e-3)
    start = torch.stack([torch.zeros_like(white), white.logit()], -1)
    kernel = BinomialKernel(erase_evenly(steps))
    network = _network(shape, width, 2, start)
    return Diffusion(Binary(shape), kernel, Levels(), network)


def _network(
    shape: tuple[int, ...], width: int, outputs: int, start: Tensor | None = None
) -> nn.Module:
    """A U-Net whose coarsest resolution is about `COARSEST` patches wide, with padding if the sides
    need it. With a `start` (*shape, outputs), it has its own bias for each pixel."""
    short, sides = min(shape[-2:]), shape[-2:]
    patch = 1 + (short >= SMALL) + 2 * (short >= LARGE)
    depth = 1 + max(0, math.ceil(math.log2(short / patch / COARSEST)))
    edge = patch * 2 ** (depth - 1)
    whole = (*shape[:-2], *(-(-side // edge) * edge for side in sides))
    coarse = math.prod(side // edge for side in whole[-2:])
    network = UNet(
        whole,
        width,
        (1,) + (2,) * (depth - 1),
        1,
        attention=(depth - 1,) if coarse <= PLACES else (),
        outputs=outputs,
        patch=patch,
        framed=start is not None,
    )
    if start is not None:
        rest = [pad for a, b in zip(shape[::-1], whole[::-1], strict=True) for pad in (0, b - a)]
        network.start_at(nn.functional.pad(start, [0, 0, *rest]))
    return network if whole == shape else Padded(shape, network)


def megaflops(model: Diffusion) -> float:
    """Millions of operations that the network takes for one image."""
    with FlopCounterMode(display=False) as counter, evaluating(model), torch.no_grad():
        model.output(model.blank(1), torch.ones(1, dtype=torch.long))
    return float(counter.get_total_flops()) / 1e6
