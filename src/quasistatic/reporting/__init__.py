"""Output for people: console output, figures and HTML pages."""

__all__: list[str] = []

from .._utils.lazy import lazy_names

__getattr__ = lazy_names(__name__, {}, "answer console figures html numbers terminal")
