"""Data: what the recipes train on. Each returns raw values as NumPy arrays."""

__all__ = ["Split", "digits", "heartbeat", "roll_noise", "split", "swiss_roll"]

from .synthetic import heartbeat, roll_noise, swiss_roll
from .tables import Split, digits, split
