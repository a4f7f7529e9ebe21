"""The types of a table's columns: each maps raw values to numbers and back."""

from .column import Column
from .named import BinaryColumn, CategoryColumn, ConstantColumn
from .numbers import IntegerColumn, NumericColumn, PowerColumn

__all__ = [
    "BinaryColumn",
    "CategoryColumn",
    "Column",
    "ConstantColumn",
    "IntegerColumn",
    "NumericColumn",
    "PowerColumn",
]
