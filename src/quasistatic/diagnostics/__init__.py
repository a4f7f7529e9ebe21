"""Checks and measurements of a trained model: identities, entropy bounds, mutual information,
anomalies, oracles with known answers, certificates of steppers, sample metrics, and
judges of drawn rows."""

__all__ = ["Certificate", "Judgement", "certify", "judge"]

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names

if TYPE_CHECKING:
    from .certificates import Certificate, certify
    from .judging import Judgement, judge

__getattr__ = lazy_names(
    __name__,
    {"certificates": "Certificate certify", "judging": "Judgement judge"},
    "anomalies bit_map entropy identities information_rate interval_coverage judging metrics "
    "mutual_information oracles progressive schedule_comparison snr_bands",
)
