r"""Builds a model of a table, with a kernel and a head for each kind of column."""

__all__ = ["tabular", "tabular_from_law"]

import math

import torch

from ..diffusion import Diffusion
from ..distributions.mixtures import GaussianBlock, Mixture
from ..heads import Classes, Corrected, CorrectedClasses, DenoisingHead, ProductHead, Velocity
from ..heads.variances import Interpolated
from ..kernels import CategoricalKernel, GaussianKernel, Kernel, ProductKernel
from ..kernels.schedules import erase_evenly, linear_log_snr
from ..networks import MLP, ResidualDenoiser
from ..spaces import Table
from ..spaces.columns import CompoundColumn

FIRST, LAST = 9.0, -9.0
"""Log-SNR at both ends of the chain of a real value. At the first, the noise scale is e^-4.5, a
ninetieth of the signal."""

CORRECTED_LAST = -8.0
"""The last log-SNR of a chain that starts as a closed-form law."""


def tabular(
    table: Table,
    *,
    steps: int = 200,
    width: int = 128,
    depth: int = 3,
    dropout: float = 0.0,
) -> Diffusion:
    """A model of the rows of a table, to be trained with :func:`fit` on `table.read(frame)`.

    Numeric columns and integers of a wide range diffuse to a standard normal, and the network
    predicts their velocity and variance. Classes are redrawn step by step from their shares in the
    data. The network predicts a prior of each class, which the head multiplies by the exact
    likelihood of x_t.

    Args:
        table: the columns.
        steps: T, the number of time steps of the chain.
        width: hidden units of the network, an :class:`MLP`.
        depth: residual blocks of the network.
        dropout: dropout probability of the network.

    Raises:
        ValueError: if columns have atoms, whose missing values would show the network their class.
    """
    if table.flat is not table:
        names = ", ".join(repr(c.name) for c in table.columns if isinstance(c, CompoundColumn))
        raise ValueError(
            f"columns {names} have atoms or missing values as a class: a network sees which of "
            "their values are missing, and would give these classes probabilities that add up to "
            "more than one. Infer the table without these types, or use DiffusionDensity, which "
            "draws such values"
        )
    kernel, head = _product(table, steps, FIRST, LAST, Velocity(Interpolated()), Classes())
    outputs = head.bind(table, kernel).outputs
    network = MLP(table.state, width, depth, outputs=outputs, dropout=dropout, holes=table.holes)
    return Diffusion(table, kernel, head, network)


def tabular_from_law(
    table: Table,
    law: Mixture,
    *,
    steps: int = 1000,
    width: int = 128,
    depth: int = 2,
    dropout: float = 0.1,
) -> Diffusion:
    """A model of the rows of a table that starts as a closed-form law of x_0. Its network learns
    corrections to the law. Before training, the model is the law.

    Args:
        table: the columns.
        law: the law of x_0, with a block for the real values of `table.blocks` and then one for
            their classes.
        steps: T, the steps of the chain. It begins where the law's narrowest direction is still
            larger than the noise.
        width: hidden units of the network, a :class:`ResidualDenoiser`.
        depth: residual blocks of the network.
        dropout: dropout probability of the network.
    """
    first, matrices = _first_log_snr(law), 1
    for block in law.blocks:
        matrices = len(block.matrix) if isinstance(block, GaussianBlock) else matrices
    kernel, head = _product(table, steps, first, CORRECTED_LAST, Corrected(), CorrectedClasses())
    sizes = tuple(size for block in table.blocks for size in block.sizes)
    counts = law.components, matrices, steps
    network = ResidualDenoiser(table.state, sizes, *counts, width, depth, dropout)
    share = torch.tensor([p for block in table.blocks for p in block.shares], dtype=torch.float64)
    lattices = [each for block in table.blocks for each in block.lattices]
    network.denoiser.start_at(
        law,
        linear_log_snr(steps, first, CORRECTED_LAST).log_snr[1:],
        erase_evenly(steps).alpha_bar[1:],
        share.log(),
        torch.tensor(lattices, dtype=torch.float64).reshape(-1, 3).T,
    )
    return Diffusion(table, kernel, head, network)


def _first_log_snr(law: Mixture) -> float:
    """The log-SNR of the first time: a few nats above that of the law's narrowest direction."""
    narrowest = 1.0
    for block in law.blocks:
        if isinstance(block, GaussianBlock):
            least = block.eigen[0].min(1).values[block.of] * block.scale
            narrowest = max(least.min().item(), 1e-300)
    return min(max(4 - math.log(narrowest), 7.0), 14.0)


def _product(
    table: Table,
    steps: int,
    first: float,
    last: float,
    real: DenoisingHead,
    classes: DenoisingHead,
) -> tuple[ProductKernel, ProductHead]:
    """A kernel and a head for each block of a table: `real` for real values, and `classes`."""
    of_real = GaussianKernel(linear_log_snr(steps, first, last)), real
    parts: list[tuple[Kernel, DenoisingHead]] = [
        (CategoricalKernel(erase_evenly(steps), block.sizes, block.shares), classes)
        if block.sizes
        else of_real
        for block in table.blocks
    ]
    kernels, heads = zip(*parts, strict=True)
    return ProductKernel(kernels, table.widths), ProductHead(heads)
