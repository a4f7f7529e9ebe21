"""Validation, serialization, files and random draws: used by every package."""
