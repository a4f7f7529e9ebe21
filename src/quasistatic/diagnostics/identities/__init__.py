"""Model validation: the identities that every model must satisfy, tested on one model."""

__all__ = ["Report", "Row", "check"]

from .checker import check
from .report import Report, Row
