"""The scikit-learn face of tables."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import quasistatic as qs

pytestmark = pytest.mark.usefixtures("float32")


@parametrize_with_checks([qs.DiffusionDensity(), qs.DiffusionImputer(draws=2), qs.DiffusionOutliers()])
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)
