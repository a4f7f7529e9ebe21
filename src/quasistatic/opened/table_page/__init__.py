"""The sections of a fitted table's page."""

__all__ = ["data_section", "draws_sections", "filled_section", "known_section", "rows_section"]

from .data import data_section
from .draws import draws_sections
from .filled import filled_section
from .known import known_section
from .rows import rows_section
