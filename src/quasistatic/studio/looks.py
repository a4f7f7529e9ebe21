"""How the examples of a model are shown: as images, as points of a plane, or as curves."""

__all__ = ["Curves", "Images", "Look", "Points", "look_of"]

import abc
import base64
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..model import Model

REACH = 3.0
"""Standard deviations of x_0 that a picture of real numbers spans."""


@dataclass(frozen=True)
class Look(abc.ABC):
    """How examples are shown.

    Args:
        shape: of one example.
    """

    kind: ClassVar[str]

    shape: tuple[int, ...]

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """What a page has to know before it draws."""

    @abc.abstractmethod
    def pack(self, x: Tensor) -> dict[str, Any]:
        """Examples (n, *shape) in raw units, for a page to draw."""

    def spread(self, deviation: Tensor) -> dict[str, Any]:
        """Standard deviations (n, *shape) in raw units, for a page to draw."""
        return self.pack(deviation)

    def shares(self, share: Tensor) -> dict[str, Any]:
        """Numbers from 0 to 1 for each value (n, *shape), for a page to draw."""
        return self.pack(share)


@dataclass(frozen=True)
class Images(Look):
    """Grey images or images in three colours.

    Args:
        shape: of one example.
        height, width: in pixels.
        low, high: the values that are drawn black and white.
        levels: how many values a pixel can have; None for real numbers.
    """

    kind = "images"

    height: int
    width: int
    low: float
    high: float
    levels: int | None

    @property
    def colours(self) -> int:
        """1 or 3."""
        return math.prod(self.shape) // (self.height * self.width)

    def facts(self) -> dict[str, Any]:
        return {
            "look": self.kind,
            "height": self.height,
            "width": self.width,
            "colours": self.colours,
            "low": self.low,
            "high": self.high,
            "levels": self.levels,
        }

    def pack(self, x: Tensor) -> dict[str, Any]:
        return self._bytes((x - self.low) / (self.high - self.low))

    def spread(self, deviation: Tensor) -> dict[str, Any]:
        return self._bytes(deviation * 2 / (self.high - self.low))

    def shares(self, share: Tensor) -> dict[str, Any]:
        return self._bytes(share)

    def _bytes(self, share: Tensor) -> dict[str, Any]:
        """Shares of white (n, *shape) as bytes, colours last, in base64."""
        levels = share.detach().cpu().double().nan_to_num(0.0).mul(255).round().clamp(0, 255)
        planes = levels.byte().reshape(len(share), self.colours, self.height, self.width)
        data = planes.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
        return {"count": len(share), "data": base64.b64encode(data).decode()}


@dataclass(frozen=True)
class Points(Look):
    """Points of the plane.

    Args:
        shape: (2,).
        reach: the largest coordinate that is drawn.
    """

    kind = "points"

    reach: float

    def facts(self) -> dict[str, Any]:
        return {"look": self.kind, "reach": self.reach}

    def pack(self, x: Tensor) -> dict[str, Any]:
        return {"count": len(x), "values": _rounded(x.reshape(len(x), -1))}


@dataclass(frozen=True)
class Curves(Look):
    """Any other examples: each a curve over its values.

    Args:
        shape: of one example.
        low, high: the range of the axis.
    """

    kind = "curves"

    low: float
    high: float

    def facts(self) -> dict[str, Any]:
        return {
            "look": self.kind,
            "length": math.prod(self.shape),
            "low": self.low,
            "high": self.high,
        }

    def pack(self, x: Tensor) -> dict[str, Any]:
        return {"count": len(x), "values": _rounded(x.reshape(len(x), -1))}


def look_of(model: Model, frame: tuple[int, int] | None = None) -> Look:
    """How the examples of a model are shown.

    Args:
        model: the model.
        frame: height and width, if flat examples are images.
    """
    space = model.space
    shape: tuple[int, ...] = tuple(space.shape)
    sides = frame if len(shape) == 1 else None
    if len(shape) in (2, 3):
        sides = (shape[len(shape) - 2], shape[len(shape) - 1])
    levels = space.levels
    if levels is not None:
        low, high, count = 0.0, float(len(levels) - 1), len(levels)
    else:
        zero = model.blank(1)
        ends = space.in_raw_units(torch.cat([zero - REACH, zero + REACH]))
        low, high, count = ends.min().item(), ends.max().item(), None
    if sides is not None and math.prod(shape) // math.prod(sides) in (1, 3):
        return Images(shape, sides[0], sides[1], low, high, count)
    if shape == (2,):
        return Points(shape, max(abs(low), abs(high)))
    return Curves(shape, low, high)


def _rounded(x: Tensor) -> list[list[float]]:
    """Values to four significant digits, which a screen does not exceed."""
    return [[float(f"{each:.4g}") for each in row] for row in x.detach().cpu().double().tolist()]
