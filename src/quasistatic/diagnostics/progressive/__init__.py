r"""Progressive decoding, intermediate estimates, and interpolation (DDPM Sec. 4.3, 4.4)."""

__all__ = [
    "Generation",
    "RateDistortion",
    "code_progressively",
    "generate_progressively",
    "interpolate",
]

from .coding import RateDistortion, code_progressively
from .generation import Generation, generate_progressively
from .interpolation import interpolate
