"""A trained chain as a distribution, with the verbs sample, score, posterior, complete, impute and
compress; save and load it as two files."""

__all__ = ["KNOWN", "Diffusion", "load", "read_config", "register"]

from .completing import Completing
from .compressing import Compressing
from .drawing import Drawing
from .registry import KNOWN, register
from .scoring import Scoring
from .sharing import Sharing
from .storing import read_config


class Diffusion(Drawing, Scoring, Completing, Compressing, Sharing):
    r"""A diffusion model that answers as a probability distribution; see :class:`Model` for its
    parts.

    The verbs take NumPy arrays or tensors of raw data and return tensors on the model's device.
    `rng` is a seed, a `torch.Generator`, which moves on, or None for PyTorch's global generator.
    The same seed gives the same answer. Verbs leave the model in the mode that it has (train or
    eval), and threads may share a model."""


load = Diffusion.load
