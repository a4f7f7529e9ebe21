"""Tables in files, read and written piece by piece: CSV, TSV, NPY, NPZ and Parquet."""

from .notation import Amount, Length, Moment, Notation, Style, moment
from .reading import Reading, open_table
from .table_file import TableFile
from .text import listed
from .writing import write_table

__all__ = [
    "Amount",
    "Length",
    "Moment",
    "Notation",
    "Reading",
    "Style",
    "TableFile",
    "listed",
    "moment",
    "open_table",
    "write_table",
]
