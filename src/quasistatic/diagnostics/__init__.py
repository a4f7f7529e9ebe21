"""Checks and measurements of a trained model: identities, entropy bounds, mutual information,
anomalies, oracles with known answers, certificates of steppers, and sample metrics."""

__all__ = ["Certificate", "certify"]

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .certificates import Certificate, certify


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import certificates  # only when asked for, as it imports the samplers

        return getattr(certificates, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
