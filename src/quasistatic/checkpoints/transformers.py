"""`DiTTransformer2DModel`'s configuration as a network of this library."""

__all__ = ["shape_of_transformer", "transformer_of_config"]

from collections.abc import Mapping
from typing import Any

from ..networks import DiffusersDiT

DEFAULTS: dict[str, Any] = {
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "in_channels": 4,
    "out_channels": None,
    "num_layers": 28,
    "dropout": 0.0,
    "attention_bias": True,
    "sample_size": 32,
    "patch_size": 2,
    "activation_fn": "gelu-approximate",
    "num_embeds_ada_norm": 1000,
    "norm_type": "ada_norm_zero",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-5,
}
"""The arguments of `DiTTransformer2DModel` and their defaults, diffusers 0.42."""

ONLY = {
    "activation_fn": "gelu-approximate",
    "norm_type": "ada_norm_zero",
    "norm_elementwise_affine": False,
}
"""Arguments that are supported with one value."""


def shape_of_transformer(
    config: Mapping[str, Any], size: int | tuple[int, int] | None = None
) -> tuple[tuple[int, ...], int]:
    """The shape of an image, (H, W) or (C, H, W), and the outputs for each of its values.

    Args:
        config: of a `DiTTransformer2DModel`.
        size: height and width of the images; None for those of the configuration.

    Raises:
        ValueError: if the configuration has a part that is not supported: which.
    """
    c = DEFAULTS | {key: value for key, value in config.items() if key in DEFAULTS}
    for key, value in ONLY.items():
        if c[key] != value:
            raise ValueError(
                f"the transformer has {key}={c[key]!r}, and from_diffusers knows {value!r}"
            )
    found = c["sample_size"] if size is None else size
    height, width = (found, found) if isinstance(found, int) else found
    channels = c["in_channels"]
    out = channels if c["out_channels"] is None else c["out_channels"]
    if out not in (channels, 2 * channels):
        raise ValueError(
            f"the transformer reads {channels} channels and returns {out}: a law of images needs "
            "as many, or twice as many with a learned variance"
        )
    shape = (height, width) if channels == 1 else (channels, height, width)
    return shape, out // channels


def transformer_of_config(
    config: Mapping[str, Any],
    steps: int,
    size: int | tuple[int, int] | None = None,
    of_noise: bool = False,
) -> DiffusersDiT:
    """The network that a configuration describes, with new weights.

    Args:
        config: of a `DiTTransformer2DModel`.
        steps: T of the training.
        size: height and width of the images; None for those of the configuration.
        of_noise: see :class:`DiffusersDiT`.

    Raises:
        ValueError: if the configuration has a part that is not supported: which.
    """
    shape, outputs = shape_of_transformer(config, size)
    c = DEFAULTS | {key: value for key, value in config.items() if key in DEFAULTS}
    return DiffusersDiT(
        shape,
        steps,
        c["num_embeds_ada_norm"],
        c["num_attention_heads"] * c["attention_head_dim"],
        c["num_layers"],
        c["num_attention_heads"],
        c["patch_size"],
        outputs,
        c["norm_eps"],
        c["attention_bias"],
        c["dropout"],
        of_noise,
    )
