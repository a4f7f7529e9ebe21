"""When a network that was trained for a little while is trained to its end."""

import numpy as np
import pytest

from quasistatic.estimators.model_selection import RISEN, is_promising

NOISE = np.tile([-1.0, 1.0], 500)
BEHIND = np.full(1000, 0.4)


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize(
    ("mean", "spread", "promising", "with_more_rows"),
    [
        (1.1 * RISEN * 0.4, 0.1, True, True),  # a share of what is needed
        (0.5 * RISEN * 0.4, 0.1, False, True),  # less, but sure: 0.03 with an error of 0.003
        (0.5 * RISEN * 0.4, 1.0, False, False),  # not sure
        (-0.1, 0.1, False, False),
    ],
)
def test_a_small_but_sure_gain_counts_where_the_network_sees_more_rows(
    more: bool, mean: float, spread: float, promising: bool, with_more_rows: bool
) -> None:
    gain = mean + spread * NOISE
    assert is_promising(gain, BEHIND, more) == (with_more_rows if more else promising)
