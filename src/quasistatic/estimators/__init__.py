"""scikit-learn estimators of tables: density, imputation, outliers, classes and numbers."""

__all__ = [
    "DiffusionClassifier",
    "DiffusionDensity",
    "DiffusionImputer",
    "DiffusionOutliers",
    "DiffusionRegressor",
]

from .classifier import DiffusionClassifier
from .density import DiffusionDensity
from .imputer import DiffusionImputer
from .outliers import DiffusionOutliers
from .regressor import DiffusionRegressor
