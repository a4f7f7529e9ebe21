"""Tables in files, read and written piece by piece: CSV, TSV, NPY, NPZ and Parquet."""

from .reading import open_table
from .table_file import TableFile
from .writing import write_table

__all__ = ["TableFile", "open_table", "write_table"]
