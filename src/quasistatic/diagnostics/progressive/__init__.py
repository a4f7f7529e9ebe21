r"""What a chain shows on its way: a code that is read in part, a sample before it is done, and two
examples mixed under noise (DDPM Sec. 4.3, 4.4)."""

__all__ = ["Coding", "Generation", "code_progressively", "generate_progressively", "interpolate"]

from .coding import Coding, code_progressively
from .generation import Generation, generate_progressively
from .interpolation import interpolate
