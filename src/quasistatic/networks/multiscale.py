"""SD15's network for images: convolutions at several scales, and bump functions of the time."""

__all__ = ["Multiscale", "bump_functions"]

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import whole_number, whole_numbers
from .given import condition_field
from .image_layout import Grid

_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@dataclass(eq=False)
class Multiscale(nn.Module):
    """Multi-scale convolutions beside dense layers over the whole example, then layers on each
    place alone, then coefficients of bump functions of the time (SD15 App. D.2.1).

    Only the output layer depends on the time: z_i = sum_j y_ij g_j(t), with y_ij for each value i
    and output, and :func:`bump_functions` g_j (SD15 Eq. 62). The paper gives no sizes: the defaults
    are those of its authors' published program, where the convolutions have one scale.

    Args:
        shape: of one example: (L,), (H, W), or with channels first (C, H, W); a whole number means
            one axis. Sizes are not restricted.
        width: features of each multi-scale convolution. Default 20.
        depth: multi-scale convolutions; with 0 there are dense layers only. Default 4.
        scales: of each convolution: means over cells with edges 1, 2, ..., 2^(scales - 1). Default
            3.
        kernel: the edge of the convolutions' kernels, in cells; odd. Default 3.
        dense: units of each hidden layer over the whole example; with () there are convolutions
            only, and the number of weights does not depend on the size of the data. Default (500,
            500, 500).
        dense_features: of each place that the dense layers compute. Default 2.
        local: units of each hidden layer on a place alone (1x1 convolutions). Default (20,).
        bumps: J, the number of bump functions. Default 10.
        outputs: numbers for each value of x, as the head needs. Default 1.
        axes: how many of the last axes are spatial and not channels; None for all axes of a shape
            of one or two axes, else two. Default None.
        condition: numbers of the condition's code, `condition.width`, which the dense layers and
            the layers on each place take as further inputs; 0 for a model of p(x) alone. Default 0.

    Raises:
        ValueError: if no layer connects different places, the kernel's edge is even, the cells of
            the coarsest scale are larger than the data, or a size is not a positive whole number.
    """

    shape: Any
    width: int = 20
    depth: int = 4
    scales: int = 3
    kernel: int = 3
    dense: Any = (500, 500, 500)
    dense_features: int = dataclasses.field(default=2, metadata={"stored": "told"})
    local: Any = (20,)
    bumps: int = 10
    outputs: int = 1
    axes: int | None = None
    condition: int = condition_field()

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        self.dense = whole_numbers("dense", self.dense)
        self.local = whole_numbers("local", self.local)
        for name in ("width", "kernel", "dense_features", "bumps", "outputs"):
            whole_number(name, getattr(self, name))
        whole_number("depth", self.depth, 0)
        whole_number("condition", self.condition, 0)
        self.grid = grid = Grid.of(self.shape, self.axes)
        self._check()
        self.pathways = nn.ModuleList()
        features = 0
        if self.depth:
            widths = (grid.own, *[self.width] * self.depth)
            self.pathways.append(_convolutions(grid, widths, self.scales, self.kernel))
            features += self.width
        if self.dense:
            self.pathways.append(_Dense(grid, self.dense, self.dense_features, self.condition))
            features += self.dense_features
        features += self.condition
        self.pixelwise = _pixelwise(grid, (features, *self.local))
        inside = (features, *self.local)[-1]
        read_out: Any = grid.conv(inside, self.bumps * self.outputs * grid.own, 1)
        with torch.no_grad():  # training starts near z = 0
            read_out.weight *= 0.1
            read_out.bias.zero_()
        self.read_out = read_out
        self.to(memory_format=grid.memory_format)  # type: ignore[call-overload]

    def _check(self) -> None:
        if not self.depth and not self.dense:
            raise ValueError(
                "depth = 0 and dense = () leave no layer that sees more than one place: set one "
                "of them"
            )
        if self.kernel % 2 == 0:
            raise ValueError(f"a kernel has a middle, so its edge is odd, got {self.kernel}")
        most = max(self.grid.sizes).bit_length()
        if not 1 <= self.scales <= most:
            sizes = " by ".join(map(str, self.grid.sizes))
            raise ValueError(
                f"data of {sizes} have 1 to {most} scales, got scales={self.scales}: the cells of "
                f"the coarsest have an edge of {2.0 ** (self.scales - 1):g}"
            )

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        h, codes = self.grid.gather(x), () if given is None else (given,)
        found = [
            pathway(h, *codes) if isinstance(pathway, _Dense) else pathway(h)
            for pathway in self.pathways
        ]
        found += [
            code[(...,) + (None,) * (h.ndim - 2)].expand(-1, -1, *h.shape[2:]) for code in codes
        ]
        h = torch.cat(found, 1)
        y = self.read_out(self.pixelwise(h)).unflatten(1, (self.bumps, -1))
        z = torch.einsum("bj,bj...->b...", bump_functions(time, self.bumps), y)
        return self.grid.scatter(z, self.outputs).reshape(*x.shape, self.outputs)


def bump_functions(time: Tensor, count: int) -> Tensor:
    """g_j(t) = exp(-(t - tau_j)^2 / (2 w^2)), divided by its sum over j (SD15 Eq. 63). The centres
    tau_j are the middles of `count` equal parts of (0, 1), and w is the distance between them.

    Args:
        time: t / T in (0, 1], shape (B,).
        count: J, the number of functions.

    Returns:
        Shape (B, count).
    """
    w = 1 / count
    tau = w * (torch.arange(count, device=time.device, dtype=time.dtype) + 0.5)
    return (-((time[:, None] - tau) ** 2) / (2 * w**2)).softmax(-1)


class _MultiscaleConvolution(nn.Module):
    """The sum of one convolution at each scale. The coarse scales act on means over cells, and
    their results are repeated over the cells."""

    def __init__(self, grid: Grid, inside: int, outside: int, scales: int, kernel: int) -> None:
        super().__init__()
        self.pool = _POOL[len(grid.sizes)]
        convs: list[Any] = [grid.conv(inside, outside, kernel) for _ in range(scales)]
        # The softplus that follows has a slope of 1/2 at 0: weights of twice the usual size keep
        # the variance of the signal, over all scales together.
        for conv in convs:
            nn.init.normal_(conv.weight, std=2 / math.sqrt(scales * conv.weight[0].numel()))
            nn.init.zeros_(conv.bias)
        self.convs = nn.ModuleList(convs)

    def forward(self, h: Tensor) -> Tensor:
        scaled: list[Tensor] = [conv(self._cells(h, 2**k)) for k, conv in enumerate(self.convs)]
        # Cells are nested: each coarse result is doubled once for each finer scale.
        found = scaled.pop()
        while scaled:
            fine: Tensor = scaled.pop()
            found = fine + F.interpolate(found, fine.shape[2:])
        return found

    def _cells(self, h: Tensor, edge: int) -> Tensor:
        """Means over cells; a cell that the border cuts is the mean of its part inside."""
        if edge == 1:
            return h
        return self.pool(h, [min(edge, size) for size in h.shape[2:]], ceil_mode=True)


class _Dense(nn.Module):
    """Layers over the whole example, which give each place some features."""

    def __init__(self, grid: Grid, widths: Sequence[int], features: int, condition: int) -> None:
        super().__init__()
        places = math.prod(grid.sizes)
        self.features = (*grid.sizes, features)
        self.layers = nn.Sequential(nn.Flatten())
        sizes = (grid.own * places + condition, *widths, features * places)
        for inside, outside in itertools.pairwise(sizes):
            self.layers.extend([nn.Linear(inside, outside), nn.Tanh()])

    def forward(self, h: Tensor, *codes: Tensor) -> Tensor:
        if codes:
            h = torch.cat([h.flatten(1), *codes], 1)
        # Channels last in memory, as the convolutions have them.
        found: Tensor = self.layers(h).unflatten(1, self.features).movedim(-1, 1)
        return found


def _convolutions(grid: Grid, widths: Sequence[int], scales: int, kernel: int) -> nn.Sequential:
    layers = nn.Sequential()
    for inside, outside in itertools.pairwise(widths):
        layers.append(_MultiscaleConvolution(grid, inside, outside, scales, kernel))
        layers.append(nn.Softplus())
    return layers


def _pixelwise(grid: Grid, widths: Sequence[int]) -> nn.Sequential:
    layers = nn.Sequential()
    for inside, outside in itertools.pairwise(widths):
        layers.extend([grid.conv(inside, outside, 1), nn.Tanh()])
    return layers
