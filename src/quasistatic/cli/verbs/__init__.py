"""The commands on a run and their options, one dataclass a command.

Nothing heavy is imported: a command loads PyTorch when its options are known to be good. An option
of None was not given; the verb of the opened model holds the default. The tests compare both, and
the options of each kind of model.
"""

__all__ = [
    "Budget",
    "Check",
    "Complete",
    "Compress",
    "Decompress",
    "Distill",
    "Fit",
    "Grid",
    "Impute",
    "Outliers",
    "Report",
    "Sample",
    "Sandwich",
    "Score",
]

from .coding import Compress, Decompress
from .diagnostics import Budget, Check, Grid, Report, Sandwich
from .distilling import Distill
from .fitting import Fit
from .inference import Complete, Impute, Outliers, Sample, Score
