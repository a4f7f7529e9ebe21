"""`AutoencoderKL`'s and `VQModel`'s configurations as networks of this library."""

__all__ = ["Scales", "autoencoder_of_config", "latents_of_config"]

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..networks import DiffusersAutoencoder, DiffusersVQ
from .unets import require_blocks

DOWN = {"DownEncoderBlock2D": False, "AttnDownEncoderBlock2D": True}
UP = {"UpDecoderBlock2D": False, "AttnUpDecoderBlock2D": True}
"""The kinds of blocks, and whether each has attention."""

COMMON: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",),
    "up_block_types": ("UpDecoderBlock2D",),
    "block_out_channels": (64,),
    "layers_per_block": 1,
    "act_fn": "silu",
    "norm_num_groups": 32,
    "scaling_factor": 0.18215,
    "mid_block_add_attention": True,
}
"""The arguments that both classes have, and their defaults, diffusers 0.42."""

OWN: dict[str, dict[str, Any]] = {
    "AutoencoderKL": {
        "latent_channels": 4,
        "shift_factor": None,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "latents_mean": None,
        "latents_std": None,
    },
    "VQModel": {
        "latent_channels": 3,
        "num_vq_embeddings": 256,
        "vq_embed_dim": None,
        "norm_type": "group",
    },
}
"""The other arguments of each class, and their defaults, diffusers 0.42."""

ONLY = {"latents_mean": None, "latents_std": None, "norm_type": "group"}
"""Arguments that are supported with one value."""


@dataclass(frozen=True)
class Scales:
    """What an autoencoder of diffusers does not state, and a law needs.

    Args:
        decoder: of a value about the output of the decoder; None for none.
        encoder: the standard deviation of latents about the output of a `VQModel`'s encoder; None
            for none.
    """

    decoder: float | tuple[float, ...] | None = None
    encoder: float | None = None


def latents_of_config(
    config: Mapping[str, Any], size: int | tuple[int, int] | None
) -> tuple[int, int] | None:
    """The height and the width of the latents of images of a size; None for None.

    Args:
        config: of an `AutoencoderKL` or a `VQModel`.
        size: height and width of the images in pixels.

    Raises:
        ValueError: if no latents have images of that size.
    """
    if size is None:
        return None
    down = 2 ** (len(_whole(config)["block_out_channels"]) - 1)
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if any(side % down for side in sides):
        near = " by ".join(f"{side // down * down or down}" for side in sides)
        raise ValueError(
            f"the autoencoder makes latents with sides that are {down} times shorter, and size="
            f"{size} is no multiple of that: {near} is near"
        )
    return sides[0] // down, sides[1] // down


def autoencoder_of_config(
    config: Mapping[str, Any], latents: tuple[int, ...], scales: Scales
) -> DiffusersAutoencoder | DiffusersVQ:
    """The autoencoder that a configuration describes, with new weights.

    Args:
        config: of an `AutoencoderKL` or a `VQModel`.
        latents: the shape of the latents, (h, w) or (C, h, w), as the network of the chain has it.
        scales: what the configuration does not state.

    Raises:
        ValueError: if the configuration has a part that is not supported, or does not fit the
            latents: which.
    """
    c, kind = _whole(config), str(config["_class_name"])
    _require_supported(c, kind)
    vq = kind == "VQModel"
    own = (c["vq_embed_dim"] or c["latent_channels"]) if vq else c["latent_channels"]
    channels = math.prod(latents[:-2])
    if own != channels:
        raise ValueError(
            f"the autoencoder has latents of {own} channels, and the network of the chain is of "
            f"{channels}: they belong to different models"
        )
    if scales.encoder is not None and not vq:
        raise ValueError(
            "encoder_scale is for a VQModel, whose encoder returns one point: an AutoencoderKL has "
            "standard deviations of its own"
        )
    down, images = 2 ** (len(c["block_out_channels"]) - 1), c["in_channels"]
    sides = tuple(side * down for side in latents[-2:])
    common = (
        sides if images == 1 else (images, *sides),
        c["latent_channels"],
        tuple(c["block_out_channels"]),
        c["layers_per_block"],
        _levels(c["down_block_types"], DOWN),
        _levels(list(reversed(c["up_block_types"])), UP),
        c["norm_num_groups"],
        c["act_fn"],
        c["mid_block_add_attention"],
        float(c["scaling_factor"]),
    )
    if vq:
        codes = c["num_vq_embeddings"], c["vq_embed_dim"], scales.encoder
        return DiffusersVQ(*common, 0.0, scales.decoder, *codes)
    shift = 0.0 if c["shift_factor"] is None else float(c["shift_factor"])
    convolutions = bool(c["use_quant_conv"]), bool(c["use_post_quant_conv"])
    return DiffusersAutoencoder(*common, shift, scales.decoder, *convolutions)


def _whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the defaults of what it does not say."""
    defaults = COMMON | OWN[str(config["_class_name"])]
    return defaults | {key: value for key, value in config.items() if key in defaults}


def _levels(blocks: Any, kinds: Mapping[str, bool]) -> tuple[int, ...]:
    """The resolutions with attention."""
    return tuple(level for level, each in enumerate(blocks) if kinds[each])


def _require_supported(c: Mapping[str, Any], kind: str) -> None:
    """ValueError if a configuration has a part that is not supported."""
    require_blocks(c, kind, DOWN, UP)
    for key, value in ONLY.items():
        if c.get(key, value) != value:
            raise ValueError(f"the {kind} has {key}={c[key]!r}, and from_diffusers knows {value!r}")
    if c["in_channels"] != c["out_channels"]:
        raise ValueError(
            f"the {kind} reads {c['in_channels']} channels and returns {c['out_channels']}: a law "
            "of images needs as many"
        )
