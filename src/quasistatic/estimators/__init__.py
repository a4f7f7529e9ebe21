"""scikit-learn estimators of tables: density, imputation and outliers."""

__all__ = ["DiffusionDensity", "DiffusionImputer", "DiffusionOutliers"]

from .density import DiffusionDensity
from .imputer import DiffusionImputer
from .outliers import DiffusionOutliers
