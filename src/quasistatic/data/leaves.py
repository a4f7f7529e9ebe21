"""Dead leaves: disks of all sizes that hide one another, as the objects of a scene do."""

__all__ = ["dead_leaves", "same_leaf"]

import math
from dataclasses import dataclass

import numpy as np

# Images are drawn in lots of about so many pixels, each lot from a generator of its own.
_PIXELS = 1 << 16
# Leaves laid at a time: fewer waste none on pixels that are covered, more spare Python's loop.
_LAID = 32


def dead_leaves(
    n: int,
    size: int = 32,
    *,
    smallest: float = 2.0,
    largest: float = 32.0,
    noise: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Images of leaves, float32 (n, size, size), with mean 0 and variance 1 a pixel.

    A leaf is a disk. Its radius r, in pixels, has the density of r**-3 between the bounds, which
    makes the law the same at every scale between them; its centre is anywhere in the plane; its
    grey is uniform. Leaves are laid from the front to the back until the square is covered, and a
    pixel takes the grey of the first leaf that holds its centre: exact draws (Lee, Mumford and
    Huang 2001, the data of SD15 Sec. 3.2.1).

    Greys are uniform on ±sqrt(3 (1 - noise²)), ±1.723 by default, and Gaussian noise of standard
    deviation `noise` makes the law a density. So the variance is 1 exactly, and the covariance of
    two pixels is (1 - noise²) times :func:`same_leaf`. A bound in bits depends on the noise and on
    both radii: state them beside it. No published figure is on these images.

    Args:
        smallest, largest: the bounds of the radius, in pixels.
        noise: in units of the result, 0 to less than 1.
        seed: fixes the images; more of them begin with the same ones.
    """
    if n < 0 or size < 1:
        raise ValueError(f"n must be 0 or more and size 1 or more, got {n} and {size}")
    if not 0 <= noise < 1:
        raise ValueError(f"the noise is part of a variance of 1: give 0 <= noise < 1, got {noise}")
    law = _Leaves(size, smallest, largest)
    images = np.empty((n, size, size), np.float32)
    # A lot is always drawn whole, so that more images begin with the same ones.
    lot = max(1, _PIXELS // max(size, 16) ** 2)
    for number, start in enumerate(range(0, n, lot)):
        rng = np.random.default_rng([seed, number])
        grey = law.images(lot, rng) * np.float32(math.sqrt(3 * (1 - noise**2)))
        grey += np.float32(noise) * rng.standard_normal(grey.shape, np.float32)
        images[start : start + lot] = grey[: n - start]
    return images


def same_leaf(
    distance: float | np.ndarray, smallest: float = 2.0, largest: float = 32.0
) -> np.ndarray:
    """The probability that two points at a distance, in pixels, are on one leaf.

    The first leaf from the front that holds either holds both with probability A / (2 B - A):
    B is the mean area of a leaf, and A the mean area that it shares with itself shifted by the
    distance.
    """
    _check_bounds(smallest, largest)
    # By log-radius, where the density of area is flat, with the midpoint rule.
    nodes = 4000
    ratio = (largest / smallest) ** ((np.arange(nodes) + 0.5) / nodes)
    radius = smallest * ratio
    weight = 1 / radius**2  # r**-3 dr is r**-2 d(log r)
    half = np.minimum(np.asarray(distance, float)[..., None] / (2 * radius), 1)
    shared = 2 * radius**2 * (np.arccos(half) - half * np.sqrt(1 - half**2))
    both, one = (weight * shared).sum(-1), (weight * math.pi * radius**2).sum()
    return np.asarray(both / (2 * one - both))


def _check_bounds(smallest: float, largest: float) -> None:
    if not 0 < smallest < largest < math.inf:
        raise ValueError(
            f"radii are between two bounds, 0 < smallest < largest, got {smallest} and {largest}"
        )


@dataclass(frozen=True)
class _Leaves:
    """The law of the leaves that can touch a square of `size` pixels a side.

    Those that cannot are not drawn, which changes no picture: a leaf of radius r can only if its
    centre is in the square enlarged by r, of area (L + 2 r)² with L = size - 1 from the first
    pixel's centre to the last one's. Its radius then has the density
    r**-3 (L + 2 r)² = L² r**-3 + 4 L r**-2 + 4 r**-1, a mixture of three powers.
    """

    size: int
    smallest: float
    largest: float

    def __post_init__(self) -> None:
        _check_bounds(self.smallest, self.largest)

    def images(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Greys, uniform on -1 to 1, float32 (count, size, size)."""
        grid = np.arange(self.size, dtype=np.float32)
        greys = np.empty(count * self.size**2, np.float32)
        # The pixels that no leaf holds yet: where they are, and of which image.
        bare = np.arange(len(greys))
        while len(bare):
            image, place = np.divmod(bare, self.size**2)
            shown, image = np.unique(image, return_inverse=True)
            y, x, radius, grey = self.leaves(len(shown), rng)
            row, column = grid[place // self.size, None], grid[place % self.size, None]
            held = (row - y[image]) ** 2 + (column - x[image]) ** 2 <= radius[image] ** 2
            first = held.argmax(1)
            covered = held[np.arange(len(bare)), first]
            greys[bare[covered]] = grey[image[covered], first[covered]]
            bare = bare[~covered]
        return greys.reshape(count, self.size, self.size)

    def leaves(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Some leaves for each of `count` images, from the front to the back: the rows and columns
        of their centres, their radii and greys, float32 (4, count, leaves)."""
        which, along, y, x, grey = rng.random((5, count, _LAID))
        radius = self.radius(which, along)
        span = self.size - 1 + 2 * radius
        leaves = np.stack([span * y - radius, span * x - radius, radius, 2 * grey - 1])
        return leaves.astype(np.float32)

    def radius(self, which: np.ndarray, along: np.ndarray) -> np.ndarray:
        """Radii by two uniforms: of which power one is, and where on its cumulative sum."""
        a, b, side = self.smallest, self.largest, self.size - 1
        cube, square, plain = a**-2 - b**-2, 1 / a - 1 / b, math.log(b / a)
        parts = np.cumsum([side**2 * cube / 2, 4 * side * square, 4 * plain])
        inverses = (
            (a**-2 - along * cube) ** -0.5,
            1 / (1 / a - along * square),
            a * np.exp(along * plain),
        )
        power = np.searchsorted(parts / parts[-1], which, side="right").clip(max=2)
        return np.choose(power, inverses)
