"""`UNet2DModel`'s configuration as a network of this library, and back."""

__all__ = ["config_of_unet", "shape_of_config", "unet_of_config", "require_blocks"]

from collections.abc import Collection, Mapping
from typing import Any

from ..networks import DiffusersUNet

DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True, "ResnetDownsampleBlock2D": False}
UP = {"UpBlock2D": False, "AttnUpBlock2D": True, "ResnetUpsampleBlock2D": False}
"""The kinds of blocks, and whether each has attention."""

DEFAULTS: dict[str, Any] = {
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": (
        "DownBlock2D",
        "AttnDownBlock2D",
        "AttnDownBlock2D",
        "AttnDownBlock2D",
    ),
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (224, 448, 672, 896),
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
    "num_train_timesteps": None,
}
"""The arguments of `UNet2DModel` and their defaults, diffusers 0.42."""


def shape_of_config(
    config: Mapping[str, Any], size: int | tuple[int, int] | None = None
) -> tuple[tuple[int, ...], int]:
    """The shape of an image, (H, W) or (C, H, W), and the outputs for each of its values.

    Args:
        config: of a `UNet2DModel`.
        size: height and width of the images; None for those of the configuration.

    Raises:
        ValueError: if the configuration has a part that is not supported: which.
    """
    c = _whole(config)
    _require_supported(c)
    height, width = _size(c["sample_size"] if size is None else size)
    channels, out = c["in_channels"], c["out_channels"]
    if out not in (channels, 2 * channels):
        raise ValueError(
            f"the network reads {channels} channels and returns {out}: a law of images needs as "
            "many, or twice as many with a learned variance. A network that also reads another "
            "image draws images given that one"
        )
    shape = (height, width) if channels == 1 else (channels, height, width)
    return shape, out // channels


def unet_of_config(
    config: Mapping[str, Any],
    steps: int,
    size: int | tuple[int, int] | None = None,
    of_noise: bool = False,
) -> DiffusersUNet:
    """The network that a configuration describes, with new weights.

    Args:
        config: of a `UNet2DModel`.
        steps: T of the training.
        size: height and width of the images; None for those of the configuration.
        of_noise: see :class:`DiffusersUNet`.

    Raises:
        ValueError: if the configuration has a part that is not supported: which.
    """
    c, (shape, outputs) = _whole(config), shape_of_config(config, size)
    scale_shift = c["resnet_time_scale_shift"] == "scale_shift"
    middle_groups = c["attn_norm_num_groups"]
    if middle_groups is None and not scale_shift:
        middle_groups = c["norm_num_groups"]
    down, up = list(c["down_block_types"]), list(reversed(c["up_block_types"]))
    return DiffusersUNet(
        shape,
        steps,
        tuple(c["block_out_channels"]),
        c["layers_per_block"],
        _levels(down, "AttnDownBlock2D"),
        _levels(up, "AttnUpBlock2D"),
        c["attention_head_dim"],
        outputs,
        c["norm_num_groups"],
        c["norm_eps"],
        scale_shift,
        c["downsample_padding"],
        _residual(down, "ResnetDownsampleBlock2D", "AttnDownBlock2D", c["downsample_type"]),
        _residual(up, "ResnetUpsampleBlock2D", "AttnUpBlock2D", c["upsample_type"]),
        c["mid_block_type"] is not None,
        c["add_attention"],
        middle_groups,
        float(c["mid_block_scale_factor"]),
        c["time_embedding_dim"],
        c["flip_sin_to_cos"],
        float(c["freq_shift"]),
        c["act_fn"],
        c["center_input_sample"],
        c["dropout"],
        of_noise=of_noise,
        condition=c["num_class_embeds"] or 0,
    )


def config_of_unet(network: DiffusersUNet) -> dict[str, Any]:
    """The configuration of a `UNet2DModel` that is the same function.

    Raises:
        ValueError: if `UNet2DModel` has no such function: why.
    """
    n, depth = network, len(network.widths)
    if n.condition:
        raise ValueError(
            "the network draws images of a class, and DDPMPipeline draws without one: write the "
            "network itself by save()"
        )
    channels = n.shape[0] if len(n.shape) == 3 else 1
    if len(n.shape) > 3:
        raise ValueError(f"UNet2DModel is of images (H, W) or (C, H, W), got shape {n.shape}")
    if n.of_noise:
        raise ValueError(
            "the network sees the noise scale (EDM), and to_diffusers writes networks that see the "
            "step"
        )
    if n.rescaled and n.steps != 1000:
        raise ValueError(
            f"the network sees 1000 (t - 1) / T with T = {n.steps}, and UNet2DModel sees t - 1"
        )
    down, down_type = _blocks("Down", depth, n.down_attention, n.down_residual)
    up, up_type = _blocks("Up", depth, n.up_attention, n.up_residual)
    default_groups = None if n.scale_shift else n.groups
    if n.middle and n.middle_attention and n.scale_shift is False and n.middle_groups is None:
        raise ValueError("UNet2DModel has no attention without a group norm but by scale_shift")
    return DEFAULTS | {
        "_class_name": "UNet2DModel",
        "sample_size": n.shape[-1] if n.shape[-1] == n.shape[-2] else list(n.shape[-2:]),
        "in_channels": channels,
        "out_channels": channels * n.outputs,
        "center_input_sample": n.centred,
        "time_embedding_dim": n.time_width,
        "freq_shift": int(n.frequency_shift)
        if n.frequency_shift == int(n.frequency_shift)
        else n.frequency_shift,
        "flip_sin_to_cos": n.cosine_first,
        "down_block_types": down,
        "mid_block_type": "UNetMidBlock2D" if n.middle else None,
        "up_block_types": up[::-1],
        "block_out_channels": list(n.widths),
        "layers_per_block": n.blocks,
        "mid_block_scale_factor": n.middle_scale,
        "downsample_padding": n.padding,
        "downsample_type": down_type,
        "upsample_type": up_type,
        "dropout": n.dropout,
        "act_fn": n.activation,
        "attention_head_dim": _head_width(n),
        "norm_num_groups": n.groups,
        "attn_norm_num_groups": None if n.middle_groups == default_groups else n.middle_groups,
        "norm_eps": n.epsilon,
        "resnet_time_scale_shift": "scale_shift" if n.scale_shift else "default",
        "add_attention": n.middle_attention,
    }


def _head_width(n: DiffusersUNet) -> int | None:
    """Channels of an attention head; None for one head."""
    if n.heads is None or n.heads == 1:
        return n.head_width if n.heads is None else None
    places = {*n.down_attention, *n.up_attention}
    places |= {len(n.widths) - 1} if n.middle and n.middle_attention else set()
    widths = {n.widths[level] for level in places}
    if len(widths) > 1:
        raise ValueError(
            f"the network has {n.heads} attention heads at every resolution, and UNet2DModel has "
            f"heads of the same width, where the channels are {sorted(widths)}"
        )
    return widths.pop() // n.heads if widths else None


def _whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the defaults of what it does not say."""
    return DEFAULTS | {key: value for key, value in config.items() if key in DEFAULTS}


def require_blocks(
    c: Mapping[str, Any], kind: str, downs: Collection[str], ups: Collection[str]
) -> None:
    """Checks the blocks of a network of diffusers.

    Args:
        c: its configuration.
        kind: of the network, for the message.
        downs, ups: the names of the blocks that are known.

    Raises:
        ValueError: if a block is not known, or there are not as many as channels.
    """
    for key, known in (("down_block_types", downs), ("up_block_types", ups)):
        unknown = [each for each in c[key] if each not in known]
        if unknown:
            raise ValueError(
                f"the {kind} has a {unknown[0]}, and from_diffusers knows {', '.join(known)}"
            )
        if len(c[key]) != len(c["block_out_channels"]):
            raise ValueError(
                f"the configuration has {len(c[key])} {key} for "
                f"{len(c['block_out_channels'])} block_out_channels: it is damaged"
            )


def _require_supported(c: Mapping[str, Any]) -> None:
    """ValueError if a configuration has a part that is not supported."""
    require_blocks(c, "network", DOWN, UP)
    if c["class_embed_type"] is not None:
        raise ValueError(
            f"the network has class_embed_type={c['class_embed_type']!r}, and from_diffusers knows "
            "None, with num_class_embeds for a network of classes"
        )
    if c["time_embedding_type"] != "positional":
        raise ValueError(
            f"the network has the time embedding {c['time_embedding_type']!r}, and from_diffusers "
            "knows 'positional'"
        )
    if c["mid_block_type"] not in ("UNetMidBlock2D", None):
        raise ValueError(
            f"the network has a {c['mid_block_type']}, and from_diffusers knows UNetMidBlock2D"
        )
    if c["resnet_time_scale_shift"] not in ("default", "scale_shift"):
        raise ValueError(
            f"the network has resnet_time_scale_shift={c['resnet_time_scale_shift']!r}, and "
            "from_diffusers knows 'default' and 'scale_shift'"
        )
    for key in ("downsample_type", "upsample_type"):
        if c[key] not in ("conv", "resnet", None):
            raise ValueError(f"the network has {key}={c[key]!r}, known are 'conv' and 'resnet'")


def _size(size: Any) -> tuple[int, int]:
    if size is None:
        raise ValueError(
            "the configuration does not say the size of the images (sample_size): give it, as "
            "size=32 or size=(48, 64)"
        )
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _levels(blocks: list[str], kind: str) -> tuple[int, ...]:
    """The resolutions that have a kind of block."""
    return tuple(level for level, each in enumerate(blocks) if each == kind)


def _residual(blocks: list[str], always: str, attention: str, how: str | None) -> tuple[int, ...]:
    """The resolutions that a residual block halves or doubles."""
    kinds = {always, attention} if how == "resnet" else {always}
    return tuple(level for level, each in enumerate(blocks) if each in kinds)


def _blocks(
    way: str, depth: int, attention: tuple[int, ...], residual: tuple[int, ...]
) -> tuple[list[str], str]:
    """The kinds of blocks, the finest resolution first, and how those with attention resample."""
    found = []
    # The coarsest resolution is not halved, and the finest not doubled.
    resampled = range(depth - 1) if way == "Down" else range(1, depth)
    both = [level for level in attention if level in resampled]
    ways = {level in residual for level in both}
    if len(ways) > 1:
        raise ValueError(
            "UNet2DModel resamples all resolutions with attention in one way: by a residual block "
            "or by a convolution"
        )
    for level in range(depth):
        if level in attention:
            found.append(f"Attn{way}Block2D")
        elif level in residual:
            found.append(f"Resnet{way}sampleBlock2D")
        else:
            found.append(f"{way}Block2D")
    return found, "resnet" if ways == {True} else "conv"
