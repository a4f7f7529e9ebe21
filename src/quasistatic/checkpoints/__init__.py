"""Models in the formats of other libraries: read from diffusers' folders, and written as such.

The diffusers library itself is not needed. A name is imported when it is first used, so that the
command line can ask :func:`is_diffusers` before it loads PyTorch.
"""

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names

if TYPE_CHECKING:
    from .decoder_scale import measure_decoder
    from .edm import from_edm
    from .folders import is_diffusers
    from .improved_diffusion import from_improved_diffusion
    from .reading import from_diffusers
    from .writing import to_diffusers

__all__ = [
    "from_diffusers",
    "from_edm",
    "from_improved_diffusion",
    "is_diffusers",
    "measure_decoder",
    "to_diffusers",
]

__getattr__ = lazy_names(
    __name__,
    {
        "decoder_scale": "measure_decoder",
        "edm": "from_edm",
        "folders": "is_diffusers",
        "improved_diffusion": "from_improved_diffusion",
        "reading": "from_diffusers",
        "writing": "to_diffusers",
    },
)
