"""The steppers that the studio offers, with the expression that makes each in Python."""

__all__ = ["STEPPERS", "Offered", "fitting_steppers"]

from dataclasses import dataclass

from ..model import Model
from ..sampling import DDIM, Ancestral, DPMSolver, Heun, Stepper, UniPC


@dataclass(frozen=True)
class Offered:
    """A stepper that a reader can choose.

    Args:
        stepper: the object.
        python: the expression that makes it, of names in `quasistatic.sampling`.
    """

    stepper: Stepper
    python: str


STEPPERS = {
    "ancestral": Offered(Ancestral(), "Ancestral()"),
    "ddim": Offered(DDIM(), "DDIM()"),
    "dpm": Offered(DPMSolver(2), "DPMSolver(2)"),
    "unipc": Offered(UniPC(2), "UniPC(2)"),
    "heun": Offered(Heun(), "Heun()"),
}
"""Those of `quasistatic sample --stepper`, by the same names."""


def fitting_steppers(model: Model) -> list[str]:
    """The names of the steppers that can walk a model's chain."""
    found = []
    for name, offered in STEPPERS.items():
        try:
            offered.stepper.require(model, model.times())
        except TypeError:
            continue
        found.append(name)
    return found
