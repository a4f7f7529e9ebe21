"""The verbs that take a table in a file or images, and which of the two they are given."""

__all__ = ["fit_", "impute_", "outliers_"]

from collections.abc import Sequence

from .image_fit import fit_images
from .images import impute_images, is_images, is_images_run, outliers_images
from .tables import fit_table, impute_table, outliers_table


def fit_(words: Sequence[str]) -> None:
    """Fit a model to a table in a file (CSV, TSV, NPY, NPZ, Parquet), or to images in a folder."""
    (fit_images if is_images(words) else fit_table)(words)


def impute_(words: Sequence[str]) -> None:
    """Fill missing values of a table in a file, or of images."""
    (impute_images if is_images_run(words) else impute_table)(words)


def outliers_(words: Sequence[str]) -> None:
    """Find the strange rows of a table in a file, or the strange ones among images."""
    (outliers_images if is_images_run(words) else outliers_table)(words)
