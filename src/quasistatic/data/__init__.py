"""Data sets, images and table files: raw values as NumPy arrays, or a Source of random views."""

__all__ = [
    "Crops",
    "Flips",
    "Rows",
    "Some",
    "Source",
    "Split",
    "bark",
    "bark_images",
    "binarized_mnist",
    "cifar10",
    "cifar10_labels",
    "dead_leaves",
    "digits",
    "digits_labels",
    "heartbeat",
    "image_folder",
    "mnist",
    "mnist_labels",
    "roll_noise",
    "same_leaf",
    "split",
    "swiss_roll",
]

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names

if TYPE_CHECKING:
    from .crops import Crops, Flips
    from .folders import image_folder
    from .images import binarized_mnist, cifar10, cifar10_labels, mnist, mnist_labels
    from .leaves import dead_leaves, same_leaf
    from .sources import Rows, Some, Source
    from .synthetic import heartbeat, roll_noise, swiss_roll
    from .tables import Split, digits, digits_labels, split
    from .textures import bark, bark_images

__getattr__ = lazy_names(
    __name__,
    {
        "crops": "Crops Flips",
        "folders": "image_folder",
        "images": "binarized_mnist cifar10 cifar10_labels mnist mnist_labels",
        "leaves": "dead_leaves same_leaf",
        "sources": "Rows Some Source",
        "synthetic": "heartbeat roll_noise swiss_roll",
        "tables": "Split digits digits_labels split",
        "textures": "bark bark_images",
    },
)
