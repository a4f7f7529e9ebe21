"""The scikit-learn face: a table in, a distribution out, with nothing to tune."""

__all__ = ["DiffusionDensity", "DiffusionImputer", "DiffusionOutliers"]

from .density import DiffusionDensity
from .imputer import DiffusionImputer
from .outliers import DiffusionOutliers
