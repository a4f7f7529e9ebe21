"""A model that diffusers saved, as a model of this library."""

__all__ = ["from_diffusers"]

from pathlib import Path

import torch

from .._utils.allocation import Misfit, require_weights
from .._utils.naming import as_path
from ..diffusion import Diffusion
from ..heads import Clipped, Head
from ..heads.variances import Variance
from ..kernels import GaussianKernel
from ..spaces import Quantized, Space
from .folders import DiffusersFolder
from .schedulers import training_of_config
from .unets import unet_of_config

BYTE_SPREAD = 256 / 255
"""Half the range of 256 cells whose middles are k / 127.5 - 1, as diffusers scales bytes."""


def from_diffusers(
    folder: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    space: Space | None = None,
    variance: Variance | None = None,
    clip: bool | None = None,
) -> Diffusion:
    """A model that diffusers trained: a `UNet2DModel` and a scheduler, with all verbs.

    The diffusers library is not needed. Of the scheduler the facts about the training are read: the
    noise, what the network predicts, the variance. Its sampler is not; see
    :mod:`quasistatic.sampling` for steppers.

    Args:
        folder: what `save_pretrained` of a pipeline wrote, with `model_index.json`, `unet` and
            `scheduler`.
        size: height and width of the images; None for those of the network's configuration.
        space: what the raw data are; by default bytes, as images have them:
            `Quantized((3, 32, 32), 256, spread=256/255)`, or `(32, 32)` where there is one channel.
        variance: of the reverse step, `FixedLarge()` for example; None for the scheduler's. Where
            that says none it is `FixedSmall()`.
        clip: whether estimates of x_0 are limited to the range of the data, as in DDPM: draws,
            scores and codes then belong to the limited model. None for what the scheduler does. A
            model that is to be trained further by the objective `Simple` needs False.

    Returns:
        The model in evaluation mode, with weights in the default type.

    Raises:
        TypeError: if `folder` is no path.
        FileNotFoundError: if a file is missing: which.
        ValueError: if the pipeline has no law of pixels, the scheduler is no forward process of
            this library, a part of the network is not supported, the weights are a pickle (how to
            convert them) or do not fit (which).
    """
    stored = DiffusersFolder(_existing(as_path("folder", folder)))
    unet, scheduler = stored.unet, stored.scheduler
    steps = int(scheduler.get("num_train_timesteps", 1000))
    try:
        with torch.device("meta"):  # the weights take memory once, when they are read
            network = unet_of_config(unet, steps, size)
        training = training_of_config(scheduler, network.outputs, variance)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{stored.path} cannot be read: {error}") from None
    tensors = stored.tensors()
    try:
        require_weights(lambda: unet_of_config(unet, steps, size), tensors, network.shape)
    except Misfit as error:
        raise ValueError(
            f"the weights in {stored.unet_folder} do not fit its config.json: {error}"
        ) from None
    network.load_state_dict(tensors, assign=True)
    head: Head = training.head
    if training.clip is not None if clip is None else clip:
        head = Clipped(training.head, training.clip or 1.0)
    space = space or Quantized(network.shape, 256, BYTE_SPREAD)
    return Diffusion(space, GaussianKernel(training.schedule), head, network).eval()


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    return folder
