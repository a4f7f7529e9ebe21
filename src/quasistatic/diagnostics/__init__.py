"""Checks and measurements of a trained model: identities, entropy bounds, mutual information,
anomalies, oracles with known answers, certificates of steppers, and sample metrics."""

__all__ = ["Certificate", "certify"]

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names

if TYPE_CHECKING:
    from .certificates import Certificate, certify

__getattr__ = lazy_names(
    __name__,
    {"certificates": "Certificate certify"},
    "anomalies entropy identities information_rate interval_coverage metrics mutual_information "
    "oracles progressive schedule_comparison snr_bands",
)
