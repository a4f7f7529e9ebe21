"""Tables in files, read and written piece by piece: CSV, TSV, NPY, NPZ and Parquet."""

from .notation import Amount, Length, Moment, Notation, Style, moment
from .options import Reading, separator_named
from .reading import open_table, open_with
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
    "open_with",
    "separator_named",
    "write_table",
]
