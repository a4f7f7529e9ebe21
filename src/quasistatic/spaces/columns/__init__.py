"""The types of a table's columns: each maps raw values to numbers and back."""

from .atoms import AtomColumn
from .column import Column
from .compound import CompoundColumn, PartEvent
from .holes import HoledColumn
from .named import BinaryColumn, CategoryColumn, ConstantColumn
from .numbers import IntegerColumn, NumericColumn, PowerColumn, QuantileColumn

__all__ = [
    "AtomColumn",
    "BinaryColumn",
    "CategoryColumn",
    "Column",
    "CompoundColumn",
    "ConstantColumn",
    "HoledColumn",
    "IntegerColumn",
    "NumericColumn",
    "PartEvent",
    "PowerColumn",
    "QuantileColumn",
]
