"""Tables in files, read and written piece by piece: CSV, TSV, NPY, NPZ and Parquet."""

from .reading import Reading, open_table
from .table_file import TableFile
from .writing import write_table

__all__ = ["Reading", "TableFile", "open_table", "write_table"]
