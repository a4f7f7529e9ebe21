"""Many rows on many machines: one function for a partition, and jobs over directories of files.

:func:`partition` makes a function of a batch, for Dask, Ray Data or Spark. :func:`run` reads a
directory and writes a directory, on this machine or by Ray Data, and continues where it stopped.
"""

__all__ = [
    "BlockRows",
    "DirectoryFit",
    "Engine",
    "Finished",
    "Local",
    "OnRay",
    "Partition",
    "fit_directory",
    "partition",
    "run",
]

from .engines import Engine, Local, OnRay
from .fitting import DirectoryFit, fit_directory
from .jobs import Finished, run
from .partition import Partition, partition
from .streams import BlockRows
