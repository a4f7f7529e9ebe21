"""Data: what the recipes train on. Each returns raw values as NumPy arrays."""

__all__ = ["Split", "digits", "heartbeat", "split", "swiss_roll"]

from .synthetic import heartbeat, swiss_roll
from .tables import Split, digits, split
