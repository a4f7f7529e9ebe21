r"""The model of a table in one call: a kernel and a head for each kind of column."""

__all__ = ["standing", "tabular"]

import math

import torch

from ..diffusion import Diffusion
from ..distributions.mixtures.latent_class import LatentClasses
from ..heads import Classes, Corrected, DenoisingHead, ProductHead, Velocity
from ..heads.variances import Interpolated
from ..kernels import CategoricalKernel, GaussianKernel, Kernel, ProductKernel
from ..kernels.schedules import erase_evenly, linear_log_snr
from ..networks import MLP, LatentMLP
from ..spaces import Table

FIRST, LAST = 9.0, -9.0
"""Log-SNR at both ends of the chain of a real value. The first is e^-4.5, a ninetieth, of noise."""

CORRECTED_LAST = -8.0
"""The last one of a chain that stands on a law."""


def tabular(
    table: Table,
    *,
    steps: int = 200,
    width: int = 128,
    depth: int = 3,
    dropout: float = 0.0,
) -> Diffusion:
    """A model of the rows of a table, to be trained with :func:`fit` on `table.read(frame)`.

    Numeric columns and integers of a wide range diffuse to a standard normal, and the network says
    their velocity and their width; classes are drawn afresh from the shares that they have
    in the data, and the network says a prior, which what x_t tells multiplies.

    Args:
        steps: T, the steps of the chain.
        width, depth, dropout: of the network, an :class:`MLP`.
    """
    kernel, head = _product(table, steps, FIRST, LAST, Velocity(Interpolated()))
    outputs = head.bind(table, kernel).outputs
    network = MLP(table.state, width, depth, outputs=outputs, dropout=dropout, holes=table.holes)
    return Diffusion(table, kernel, head, network)


def standing(
    table: Table,
    law: LatentClasses,
    *,
    steps: int = 1000,
    width: int = 128,
    depth: int = 2,
    dropout: float = 0.1,
) -> Diffusion:
    """A model of the rows of a table that starts as a law of x_0, known in closed form, and whose
    network learns what is wrong with it: before training, the chain is that of the law.

    Args:
        law: its real values, and the shares of its classes, are those of `table.blocks`.
        steps: T, the steps of the chain. It begins where the law's narrowest direction is still
            to be seen.
        width, depth, dropout: of the network, a :class:`LatentMLP`.
    """
    variance = law.normals.variance
    narrowest = variance.min().item() if variance.numel() else 1.0
    first = min(max(4 - math.log(narrowest), 7.0), 14.0)
    kernel, head = _product(table, steps, first, CORRECTED_LAST, Corrected())
    components = len(law.normals.log_weight)
    network = LatentMLP(table.state, law.sizes, components, steps, width, depth, dropout)
    schedules = linear_log_snr(steps, first, CORRECTED_LAST), erase_evenly(steps)
    lattice = torch.tensor([each for b in table.blocks for each in b.lattices]).reshape(-1, 3).T
    network.mixture.start_at(law, schedules[0].log_snr[1:], schedules[1].alpha_bar[1:], lattice)
    return Diffusion(table, kernel, head, network)


def _product(
    table: Table, steps: int, first: float, last: float, real: DenoisingHead
) -> tuple[ProductKernel, ProductHead]:
    """A kernel and a head for each block of a table, of which `real` is for real values."""
    of_real = GaussianKernel(linear_log_snr(steps, first, last)), real
    parts: list[tuple[Kernel, DenoisingHead]] = [
        (CategoricalKernel(erase_evenly(steps), block.sizes, block.shares), Classes())
        if block.sizes
        else of_real
        for block in table.blocks
    ]
    kernels, heads = zip(*parts, strict=True)
    return ProductKernel(kernels, table.widths), ProductHead(heads)
