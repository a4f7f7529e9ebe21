"""Data: what the recipes train on. Raw values as NumPy arrays, or a Source of random views."""

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
    "heartbeat",
    "image_folder",
    "mnist",
    "mnist_labels",
    "roll_noise",
    "same_leaf",
    "split",
    "swiss_roll",
]

from .crops import Crops, Flips
from .folders import image_folder
from .images import binarized_mnist, cifar10, cifar10_labels, mnist, mnist_labels
from .leaves import dead_leaves, same_leaf
from .sources import Rows, Some, Source
from .synthetic import heartbeat, roll_noise, swiss_roll
from .tables import Split, digits, split
from .textures import bark, bark_images
