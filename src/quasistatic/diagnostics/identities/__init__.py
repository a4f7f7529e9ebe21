"""Whether a user's own model keeps the identities that every model has to keep."""

__all__ = ["Report", "Row", "check"]

from .checker import check
from .report import Report, Row
