"""Words of messages."""

import pytest

from quasistatic._utils.naming import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (1234, "1,234 steps")]
)
def test_a_noun_is_plural_unless_there_is_one(count, text):
    assert counted(count, "step") == text
