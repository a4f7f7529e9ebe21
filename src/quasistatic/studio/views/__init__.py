"""The views of the studio, one module each: a function answers a request about a run."""

__all__: list[str] = []
