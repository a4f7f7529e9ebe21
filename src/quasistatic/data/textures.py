"""The bark textures of the UIUC database, as views to train on and fixed views to score."""

__all__ = ["bark", "bark_images"]

from collections.abc import Sequence

import numpy as np
import pooch
import torch

from .crops import Crops
from .folders import read_image
from .published import Archive, Published
from .tables import Split

CLASSES = ("T01", "T02", "T03", "T04")
_EACH = 40
_HELD_OUT = 4
_NAMES = tuple(f"{kind}_{number:02}.jpg" for kind in CLASSES for number in range(1, _EACH + 1))
_BARK = Published(
    "The UIUC bark textures T01 to T04",
    "bark",
    _NAMES,
    (
        Archive(
            # The makers' own page is gone; this is its copy in the Internet Archive.
            "https://web.archive.org/web/20070829035029/http://www-cvr.ai.uiuc.edu"
            "/ponce_grp/data/texture_database/T01-T05.zip",
            "md5:e622e4708e336d51b3bbd45503618af1",
            pooch.Unzip,
            _NAMES,
        ),
    ),
)


def bark_images(classes: Sequence[str] = CLASSES, seed: int = 0) -> Split[np.ndarray]:
    """Whole images of bark, uint8 (N, 480, 640), split by image: of the 40 of each class, in an
    order that the seed fixes, 32 are to train on, 4 to choose by and 4 to report.

    Args:
        classes: of "T01" to "T04". SD15 Sec. 3.2.1 takes all four, of which T04 is wood. What is
            taken changes nothing about how the others are split.

    Raises:
        FileNotFoundError: if the files are nowhere and cannot be fetched: which to put where.
        ValueError: if a class is not one of the four, or a file is damaged.
    """
    unknown = [kind for kind in classes if kind not in CLASSES]
    if unknown or not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes are some of {', '.join(CLASSES)}, each once, got {classes}")
    parts: list[list[np.ndarray]] = [[], [], []]
    for kind in classes:
        names = [name for name in _NAMES if name.startswith(kind)]
        order = np.random.default_rng([seed, CLASSES.index(kind)]).permutation(_EACH)
        bounds = (_EACH - 2 * _HELD_OUT, _EACH - _HELD_OUT)
        for part, numbers in zip(parts, np.split(order, bounds), strict=True):
            part += [read_image(_BARK.find(names[number])) for number in sorted(numbers)]
    train, valid, test = (np.stack(part) for part in parts)
    return Split(train, valid, test)


def bark(
    size: int = 64,
    classes: Sequence[str] = CLASSES,
    *,
    crops: int = 16,
    views: int = 32,
    seed: int = 0,
) -> Split[Crops]:
    """Views of bark: `train` is a :class:`Crops` of the 32 training images of each class, at random
    places and mirrored at random; `valid` and `test` are fixed crops, uint8 (N, size, size), of the
    4 images of each class that no view to train on shows.

    SD15 Sec. 3.2.1 names the data and not the views: size, places and reflections are ours, and a
    figure on other views is another figure. Crops of one image resemble each other, so a standard
    error over crops is too small.

    Args:
        size: height and width of a view, in pixels, at most 480.
        classes: of "T01" to "T04", as in :func:`bark_images`.
        crops: how many crops of each image `valid` and `test` hold.
        views: how many crops of each image an epoch of `train` has.
        seed: fixes the split and the crops that are held out.
    """
    whole = bark_images(classes, seed)
    rng = torch.Generator().manual_seed(seed)

    def fixed(images: np.ndarray) -> np.ndarray:
        source = Crops(images, size, flips=False, views=crops)
        return source.batch(torch.arange(len(source)), rng).numpy()

    return Split(Crops(whole.train, size, views=views), fixed(whole.valid), fixed(whole.test))
