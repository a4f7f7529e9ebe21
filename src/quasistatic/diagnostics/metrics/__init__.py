r"""Measures of samples: numbers that compare draws with data, where no likelihood is at hand.

They take arrays and know no model. None of them is a likelihood: a bound (`qs.Score`) says more
wherever there is one (T16).
"""

__all__ = ["Features", "Kid", "Parzen", "fid", "kid", "parzen"]

from .distances import Kid, fid, kid
from .features import Features
from .parzen import Parzen, parzen
