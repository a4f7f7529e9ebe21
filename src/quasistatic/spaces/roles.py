"""The role of each column of a table: it is modelled, it identifies rows, or it is left out."""

__all__ = ["Roles"]

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from .._utils.naming import nearest
from .frames import ARRAY, Frame, Series

LEAST = 10
"""The least number of rows by which a column can be recognised as an identity."""

NEARLY = 0.9
"""The share of distinct values from which on a column of names or numbers has no classes."""

IDENTITY = re.compile(
    r"(^|[^a-z])(id|ids|uid|uuid|guid|pk|key|keys|index|idx|rowid|serial|nr|no|number)$"
)
"""Names of columns that hold identities, in lower case with words parted by spaces."""


@dataclass(frozen=True)
class Roles:
    """The role of each column. A model takes the modelled columns alone. The others are carried:
    each row of an output has their values beside it.

    Args:
        modelled: columns of the model, in the order of the table.
        identity: columns that identify rows: ids, keys, unique names.
        left_out: other columns that the model leaves out.
        reasons: for carried columns that the user did not name, why they are carried.
    """

    modelled: tuple[str, ...]
    identity: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def carried(self) -> tuple[str, ...]:
        """Columns that are kept beside the rows: identities first."""
        return self.identity + self.left_out

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence for each carried column that the user did not name."""
        return tuple(
            f"{name}: {reason}; it is kept beside each row and is not modelled "
            f"(--types {name}=categorical models it)"
            for name, reason in self.reasons.items()
        )

    @classmethod
    def infer(
        cls,
        data: object,
        identity: Sequence[str] = (),
        leave_out: Sequence[str] = (),
        modelled: Collection[str] = (),
    ) -> "Roles":
        """The roles of the columns of some data. Identities are recognised by their values:
        distinct names; whole numbers that count the rows from 0 or 1; distinct whole numbers in a
        column that is called id, key or the like. An array without names has none.

        Args:
            data: a data frame or an array, as for :meth:`Frame.of`.
            identity: columns that identify rows, whatever their values.
            leave_out: columns that the model leaves out.
            modelled: columns that are modelled, whatever their values.

        Raises:
            ValueError: if there is no such column, a column has two roles, or no column is left to
                model.
        """
        frame = Frame.of(data)
        names = [series.name for series in frame.columns]
        for name in (*identity, *leave_out):
            if name not in names:
                raise ValueError(f"there is no column {name!r}: {nearest(name, names)}")
        twice = sorted(set(identity) & set(leave_out))
        if twice:
            raise ValueError(f"column {twice[0]!r} is both an identity and left out: choose one")
        given = {*identity, *leave_out, *modelled}
        found: dict[str, tuple[str, str]] = {}
        if frame.source != ARRAY:
            for series in frame.columns:
                role = None if series.name in given else _carried(series)
                if role is not None:
                    found[series.name] = role
        ids = {name for name, (role, _) in found.items() if role == "identity"} | set(identity)
        out = {name for name, (role, _) in found.items() if role == "left out"} | set(leave_out)
        roles = cls(
            tuple(name for name in names if name not in ids | out),
            tuple(name for name in names if name in ids),
            tuple(name for name in names if name in out),
            {name: reason for name, (_, reason) in found.items()},
        )
        if not roles.modelled:
            listed = "; ".join(f"{name}: {why}" for name, why in roles.reasons.items())
            raise ValueError(
                f"no column is left to model ({listed or 'all are left out'}): model one by its "
                f"type, types={{{names[0]!r}: 'categorical'}} for example"
            )
        return roles

    def select(self, frame: Frame) -> Frame:
        """The modelled columns of a frame, and none that is not there."""
        own = set(self.modelled)
        return Frame(frame.source, tuple(s for s in frame.columns if s.name in own))


def _carried(series: Series) -> tuple[str, str] | None:
    """The role of a column that is carried and why; None for one that is modelled."""
    missing, rows = series.missing, len(series.missing)
    if rows < LEAST or series.is_category:
        return None
    for recognise in _RECOGNISED:
        found = recognise(series, missing, rows)
        if found is not None:
            return found
    return None


def _of_names(series: Series, missing: np.ndarray, rows: int) -> tuple[str, str] | None:
    """Of a column of texts."""
    names = [each for each in series.names or [] if each is not None]
    if series.numbers is not None or not any(isinstance(each, str) for each in names):
        return None
    distinct = len(set(names))
    if distinct == rows:
        return "identity", f"each of the {rows:,} rows has its own text"
    if len(names) >= LEAST and distinct >= NEARLY * len(names):
        return "left out", f"{distinct:,} of {len(names):,} texts are distinct"
    return None


def _of_numbers(series: Series, missing: np.ndarray, rows: int) -> tuple[str, str] | None:
    """Of a column of whole numbers."""
    numbers = series.numbers
    if numbers is None or series.is_temporal:
        return None
    known = numbers[~missing]
    if len(known) < LEAST or not (known == np.round(known)).all():
        return None
    if len(known) == rows and known[0] in (0, 1) and (np.diff(known) == 1).all():
        return "identity", f"it counts the rows from {known[0]:.0f}"
    if not IDENTITY.search(_words(series.name)):
        return None
    distinct = len(np.unique(known))
    if distinct == rows:
        return "identity", "its whole numbers are distinct, and its name is one of identities"
    if distinct >= NEARLY * len(known):
        return "left out", f"{distinct:,} of {len(known):,} numbers are distinct"
    return None


def _words(name: str) -> str:
    """A name in lower case, with spaces where camelCase begins a word."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name)).lower().strip()


_RECOGNISED: tuple[Callable[[Series, np.ndarray, int], tuple[str, str] | None], ...] = (
    _of_names,
    _of_numbers,
)
