"""Models with atoms in the folders of an earlier version, where no column of a table had parts."""

__all__ = ["FittedAtoms"]

import math
from dataclasses import replace

from ..diffusion import Diffusion
from ..spaces import Table
from ..spaces.columns import AtomColumn, CategoryColumn
from .fitted import FitSummary
from .fitted_law import FittedLaw

NONE = "none"
"""The class of rows whose number is no atom, which is the last one."""


class FittedAtoms(FittedLaw):
    """What was stored by this name. It is read as a :class:`FittedLaw`."""

    @classmethod
    def restored(cls, model: Diffusion, columns: Table | None, summary: FitSummary) -> FittedLaw:
        assert columns is not None  # as it was stored
        assert isinstance(model.space, Table)
        names = [column.name for column in columns.columns]
        found = list(model.space.columns[: len(names)])  # in the space that was chosen
        for part in model.space.columns[len(names) :]:
            assert isinstance(part, CategoryColumn)  # as it was made
            k = names.index(part.name[:-1])
            places = tuple(float(each) for each in part.classes if each != NONE)
            value, own = model.space.columns[k], columns.columns[k]
            common = own.name, own.missing, own.dtype, places, -1, (), value, part.shares
            low, high = (getattr(own, end, math.nan) for end in ("low", "high"))
            found[k] = AtomColumn(*common, low, high)
        return FittedLaw(model, replace(columns, columns=tuple(found)), summary)
