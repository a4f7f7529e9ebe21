"""Whether drawn rows of a table can be distinguished from real ones."""

__all__ = [
    "Auc",
    "Copying",
    "Dependence",
    "Giveaway",
    "Judgement",
    "Usefulness",
    "judge",
]

from .classifiers import Auc
from .giveaways import Dependence, Giveaway
from .judge import Judgement, judge
from .neighbours import Copying
from .usefulness import Usefulness
