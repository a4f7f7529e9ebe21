"""Recipes: experiments as plain Python. Each is a frozen dataclass whose fields may be overridden
by name, and whose `build` makes real objects."""

__all__ = ["RECIPES", "Digits", "Experiment", "Heartbeat", "Recipe", "SwissRoll", "SwissRollModern"]

from .digits import Digits
from .experiment import Experiment, Recipe
from .heartbeat import Heartbeat
from .swiss_roll import SwissRoll, SwissRollModern

RECIPES: dict[str, type[Recipe]] = {
    "swiss-roll": SwissRoll,
    "swiss-roll-modern": SwissRollModern,
    "heartbeat": Heartbeat,
    "digits": Digits,
}
