"""Tables in files, read and written piece by piece: CSV, TSV, NPY, NPZ and Parquet."""

from .notation import Amount, Length, Moment, Notation, Style
from .reading import Reading, open_table
from .table_file import TableFile
from .writing import write_table

__all__ = [
    "Amount",
    "Length",
    "Moment",
    "Notation",
    "Reading",
    "Style",
    "TableFile",
    "open_table",
    "write_table",
]
