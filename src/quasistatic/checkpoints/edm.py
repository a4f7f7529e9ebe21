"""A network that EDM's preconditioning trained, as a model of this library."""

__all__ = ["from_edm"]

from collections.abc import Mapping

from torch import nn

from .._utils.validation import instance_of, whole_numbers
from ..conditions import Condition
from ..diffusion import Diffusion
from ..heads import Preconditioned
from ..heads.variances import FixedSmall, Variance
from ..kernels import GaussianKernel
from ..kernels.schedules import karras
from ..networks import NoiseScaled
from ..spaces import Quantized, Space
from .reading import BYTE_SPREAD


def from_edm(
    network: nn.Module,
    shape: int | tuple[int, ...],
    *,
    deviation: float = 0.5,
    lowest: float = 0.002,
    highest: float = 80.0,
    rho: float = 7.0,
    steps: int = 1000,
    space: Space | None = None,
    condition: Condition | Mapping[str, Condition] | None = None,
    variance: Variance | None = None,
) -> Diffusion:
    r"""A model of a network that was trained by EDM's preconditioning (EDM22 Tab. 1), with all
    verbs.

    Its estimate of x_0 from x = x_0 + sigma eps is c_skip x + c_out F(c_in x, ln(sigma) / 4), and
    the network is F. EDM's own code saves pickles with code in them, which are never loaded: where
    you trust one, build its network by that code, load the weights, and pass the module inside the
    preconditioning (`net.model` of an `EDMPrecond`).

    Args:
        network: F, a module of c_in x (B, *), of the numbers ln(sigma) / 4 (B,), and with a
            condition of codes (B, width); a class is one-hot. It returns (B, *).
        shape: of one example, (C, H, W) or (H, W).
        deviation: of the data (sigma_data). Default 0.5.
        lowest: sigma at t = 1 (sigma_min). Default 0.002.
        highest: sigma at t = T (sigma_max). Default 80.
        rho: of the time steps. Default 7.
        steps: T. Default 1000.
        space: what the raw data are; by default bytes, `Quantized(shape, 256, spread=256/255)`.
        condition: what y of p(x | y) is, such as `conditions.ClassLabel(10)`; None for none.
        variance: of the reverse step; by default `FixedSmall()`.

    Returns:
        The model in evaluation mode. :func:`quasistatic.load` of its folder takes
        `network=networks.NoiseScaled(F, steps, deviation)` where F is of a class of your own.

    Raises:
        TypeError: if `network` is no module, or does not fit the shape or the condition.
        ValueError: if a number is out of its range.
    """
    instance_of("network", network, nn.Module, "net.model of an EDMPrecond")
    sides = whole_numbers("shape", shape)
    schedule = karras(steps, lowest, highest, rho)
    whole = NoiseScaled(network, steps, deviation).start_at(schedule.log_snr[1:])
    head = Preconditioned(FixedSmall() if variance is None else variance, deviation)
    space = Quantized(sides, 256, BYTE_SPREAD) if space is None else space
    return Diffusion(space, GaussianKernel(schedule), head, whole, condition).eval()
