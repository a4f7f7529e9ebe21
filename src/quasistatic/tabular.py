r"""The model of a table in one call: a kernel and a head for each kind of column."""

__all__ = ["tabular"]

from collections.abc import Callable, Sequence
from typing import Any

from .diffusion import Diffusion
from .heads import BeliefHead, Classes, ProductHead, Velocity
from .kernels import CategoricalKernel, GaussianKernel, Kernel, ProductKernel
from .networks import MLP
from .schedules import erase_evenly, linear_log_snr
from .spaces import Integers, OneHot, Space, Table, Warped
from .variances import Interpolated

FIRST, LAST = 9.0, -9.0
"""Log-SNR at both ends of the chain of a real value. The first is e^-4.5, a ninetieth, of noise."""


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
    parts = [
        _PARTS[type(b.space)](steps, [table.columns[k] for k in b.columns]) for b in table.blocks
    ]
    kernel = ProductKernel(tuple(kernel for kernel, _ in parts), table.widths)
    head = ProductHead(tuple(head for _, head in parts))
    outputs = head.bind(table, kernel).outputs
    network = MLP(table.state, width, depth, outputs=outputs, dropout=dropout, holes=table.holes)
    return Diffusion(table, kernel, head, network)


def _real(steps: int, columns: Sequence[Any]) -> tuple[Kernel, BeliefHead]:
    return GaussianKernel(linear_log_snr(steps, FIRST, LAST)), Velocity(Interpolated())


def _classes(steps: int, columns: Sequence[Any]) -> tuple[Kernel, BeliefHead]:
    sizes = tuple(len(column.shares) for column in columns)
    shares = tuple(share for column in columns for share in column.shares)
    return CategoricalKernel(erase_evenly(steps), sizes, shares), Classes()


_PARTS: dict[type[Space], Callable[[int, Sequence[Any]], tuple[Kernel, BeliefHead]]] = {
    Warped: _real,
    Integers: _real,
    OneHot: _classes,
}
