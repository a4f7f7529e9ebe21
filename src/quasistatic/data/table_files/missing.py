"""Words for a missing value in a text file."""

__all__ = ["MISSING"]

MISSING = (
    *("", "?", "-", ".", "NA", "na", "N/A", "n/a", "#N/A", "<NA>"),
    *("NaN", "NAN", "nan", "NULL", "Null", "null", "None", "NONE", "none"),
)
"""Words for a missing value in a text file, without the spaces around them."""
