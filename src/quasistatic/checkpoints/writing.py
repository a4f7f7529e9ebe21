"""A model of this library as a folder that diffusers opens."""

__all__ = ["to_diffusers"]

import json
from pathlib import Path

import safetensors.torch
import torch

from .._utils import files
from .._utils.naming import as_path
from .._utils.validation import instance_of
from ..diffusion import Diffusion
from ..heads import Clipped
from ..heads.estimates import EstimateHead
from ..kernels import GaussianKernel
from ..spaces import Dequantized, Latent, Quantized
from .folders import CONFIG, INDEX, SCHEDULER, WEIGHTS
from .schedulers import HEADS, config_of_training
from .unet_mapping import as_diffusers_unet
from .unets import config_of_unet

PIPELINE = {
    "_class_name": "DDPMPipeline",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
}


def to_diffusers(model: Diffusion, folder: str | Path) -> Path:
    """Writes a model as a folder that `DDPMPipeline.from_pretrained` of diffusers opens, and that
    :func:`from_diffusers` reads.

    What can be written: a :class:`DiffusersUNet`, or a :class:`UNet` whose group norms all have the
    same number of groups (a width of a multiple of 128), with T = 1000, without `framed` and
    `patch`; the head `Noise`, `Velocity` or `Clean`, also `Clipped`, with the variance
    `FixedSmall`, `FixedLarge` or `LearnedRange`; a Gaussian kernel with any schedule; images of 256
    levels.

    Args:
        model: to be written.
        folder: where; it is created.

    Returns:
        The folder.

    Raises:
        TypeError: if the model is no `Diffusion`.
        ValueError: if diffusers has no such model: which part, and what it has.
        OSError: if a file cannot be written.
    """
    instance_of("model", model, Diffusion, "qs.load(folder)")
    path = as_path("folder", folder)
    whole = model.head
    clip = whole.largest if isinstance(whole, Clipped) else None
    head = whole.inner if isinstance(whole, Clipped) else whole
    if not isinstance(head, EstimateHead) or type(head) not in HEADS.values():
        raise ValueError(
            f"diffusers has no head {type(head).__name__}: its networks predict the noise, v or "
            "x_0 (Noise, Velocity, Clean)"
        )
    if not isinstance(model.kernel, GaussianKernel):
        raise ValueError(
            f"diffusers' pipelines of images have Gaussian noise, got {type(model.kernel).__name__}"
        )
    space = model.space
    if isinstance(space, Latent):
        raise ValueError(
            "to_diffusers writes models of pixels, and this one is of the latents of an "
            "autoencoder: share it by save_pretrained or push_to_hub"
        )
    # Cells of either spread round to the same bytes in diffusers.
    if not (
        isinstance(space, Quantized | Dequantized)
        and space.count == 256
        and 1 <= space.spread <= 256 / 255
    ):
        raise ValueError(
            f"diffusers' images have 256 levels from -1 to 1, got {space!r}: that is "
            "Quantized(shape, 256, spread=256/255)"
        )
    scheduler = config_of_training(model.kernel.schedule, head, clip)
    network = as_diffusers_unet(model.network, model.steps)
    config = config_of_unet(network)
    # As float32: diffusers sets the type when it loads.
    tensors = {
        name: tensor.detach().to("cpu", torch.float32).contiguous()
        for name, tensor in network.state_dict().items()
    }
    data = safetensors.torch.save(tensors, metadata={"format": "pt"})
    files.write_bytes(path / "unet" / WEIGHTS, data)
    for name, stored in (
        (Path("unet") / CONFIG, config),
        (Path("scheduler") / SCHEDULER, scheduler),
        (Path(INDEX), PIPELINE),  # the last: a folder without it is no pipeline
    ):
        files.write_text(path / name, json.dumps(stored, indent=2) + "\n")
    return path
