"""Mixtures of normals fitted to tables: where a model of a small table starts."""

__all__ = ["Stacked", "stacked"]

from .stacking import Stacked, stacked
