"""MNIST, its static binarisation, and CIFAR-10, as their makers published them."""

__all__ = ["binarized_mnist", "cifar10", "cifar10_labels", "mnist", "mnist_labels"]

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pooch

from . import formats
from .published import Archive, Loose, Published
from .tables import Split

_T = TypeVar("_T")

# SHA-256 of the files as they are unzipped: a copy that was zipped anew has them too.
_MNIST_HASHES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_MNIST_SENT = {
    "train-images-idx3-ubyte": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_MNIST = Published(
    "MNIST",
    "mnist",
    tuple(_MNIST_HASHES),
    (
        Loose("https://ossci-datasets.s3.amazonaws.com/mnist/", _MNIST_SENT, ".gz"),
        Loose("https://storage.googleapis.com/cvdf-datasets/mnist/", _MNIST_SENT, ".gz"),
    ),
)

_BITS_PAGE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_BITS_PARTS = {
    "train": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    "valid": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    "test": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
}
_BITS_HASHES = {
    f"binarized_mnist_{part}.amat": f"sha256:{known}" for part, known in _BITS_PARTS.items()
}
_BITS = Published(
    "Static binarized MNIST",
    "binarized_mnist",
    tuple(_BITS_HASHES),
    (Loose(_BITS_PAGE, _BITS_HASHES),),
)

_CIFAR_HASHES = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
_CIFAR = Published(
    "CIFAR-10",
    "cifar-10-batches-bin",
    tuple(_CIFAR_HASHES),
    (
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
            pooch.Untar,
            tuple(_CIFAR_HASHES),
        ),
    ),
)


def mnist() -> Split[np.ndarray]:
    """MNIST's images, uint8 (N, 28, 28): the first 50000 training images to train on, the last
    10000 of them to choose by, and the 10000 test images.

    Raises:
        FileNotFoundError: if the files are nowhere and cannot be fetched: which to put where.
        ValueError: if a file is damaged or not the published one: its name, and the byte.
    """
    return _three(_mnist_file("train-images-idx3-ubyte"), _mnist_file("t10k-images-idx3-ubyte"))


def mnist_labels() -> Split[np.ndarray]:
    """The digits that :func:`mnist` shows, int64 (N,) from 0 to 9, in the same split."""
    train, test = _mnist_file("train-labels-idx1-ubyte"), _mnist_file("t10k-labels-idx1-ubyte")
    return _three(train.astype(np.int64), test.astype(np.int64))


def binarized_mnist() -> Split[np.ndarray]:
    """Larochelle's static binarisation of MNIST, uint8 0 or 1 (N, 28, 28): 50000 images to train
    on, 10000 to choose by, 10000 to report.

    The order is that of the files, which are not shuffled: the first 200 test images are all of
    noughts. Take a random part of the rows, and no first part, for a figure on fewer.

    Raises:
        FileNotFoundError: if the files are nowhere and cannot be fetched: which to put where.
        ValueError: if a file is damaged or not the published one: its name, the line, the byte.
    """

    def rows(content: formats.Content) -> np.ndarray:
        return formats.bits(content, 28 * 28).reshape(-1, 28, 28)

    return Split(*(_load(_BITS, name, known, rows) for name, known in _BITS_HASHES.items()))


def cifar10() -> Split[np.ndarray]:
    """CIFAR-10's images, uint8 (N, 3, 32, 32): the first 45000 training images to train on, the
    last 5000 of them to choose by, and the 10000 test images. The files are shuffled already.

    Raises:
        FileNotFoundError: if the files are nowhere and cannot be fetched: which to put where.
        ValueError: if a file is damaged or not the published one: its name, and the byte.
    """
    images, _ = _cifar_files()
    return _three(images[:-10_000], images[-10_000:], valid=5000)


def cifar10_labels() -> Split[np.ndarray]:
    """The classes of :func:`cifar10`'s images, int64 (N,) from 0 to 9, in the same split:
    airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck."""
    _, labels = _cifar_files()
    return _three(labels[:-10_000], labels[-10_000:], valid=5000)


def _three(train: np.ndarray, test: np.ndarray, valid: int = 10_000) -> Split[np.ndarray]:
    """The last rows of the published training part are to choose by."""
    return Split(train[:-valid], train[-valid:], test)


def _mnist_file(name: str) -> np.ndarray:
    return _load(_MNIST, name, f"sha256:{_MNIST_HASHES[name]}", formats.idx)


def _cifar_files() -> tuple[np.ndarray, np.ndarray]:
    """All 60000 images and labels, those of the test file last."""
    parts = [
        _load(_CIFAR, name, f"md5:{known}", formats.cifar) for name, known in _CIFAR_HASHES.items()
    ]
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels).astype(np.int64)


def _load(
    published: Published, name: str, known: str, parse: Callable[[formats.Content], _T]
) -> _T:
    """A published file's values. The format is checked first: it can say which byte is wrong."""
    content = formats.read(published.find(name))
    values = parse(content)
    content.verify(known)
    return values
