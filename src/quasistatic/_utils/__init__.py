"""Validation, serialization, files and random draws: used by every room."""
