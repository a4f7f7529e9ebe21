"""Tables in files, read and written piece by piece: CSV, TSV, NPY, NPZ and Parquet."""

from .notation import Amount, Length, Moment, Notation, Style, moment
from .reading import Reading, open_table
from .table_file import FileRows, TableFile
from .text import listed
from .writing import is_text, write_table

__all__ = [
    "Amount",
    "FileRows",
    "Length",
    "Moment",
    "Notation",
    "Reading",
    "Style",
    "TableFile",
    "is_text",
    "listed",
    "moment",
    "open_table",
    "write_table",
]
