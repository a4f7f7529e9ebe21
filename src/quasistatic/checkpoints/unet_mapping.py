"""This library's U-Net as `UNet2DModel`: the same function with diffusers' names of the weights."""

__all__ = ["as_diffusers_unet"]

import torch
from torch import Tensor, nn

from ..networks import DiffusersUNet, UNet

STEPS_OF_FEATURES = 1000
"""The T at which the features of the time of both networks have the same frequencies."""


def as_diffusers_unet(network: nn.Module, steps: int) -> DiffusersUNet:
    """A network with the same outputs, whose weights have diffusers' names.

    Args:
        network: a `DiffusersUNet`, or a `UNet` of which `UNet2DModel` has all parts.
        steps: T of the model.

    Raises:
        ValueError: if `UNet2DModel` has no such function: why.
    """
    if isinstance(network, DiffusersUNet):
        return network
    if not isinstance(network, UNet):
        raise ValueError(
            f"{type(network).__name__} is no UNet2DModel: DiffusersUNet is, and a UNet whose group "
            "norms have 32 groups (a width that is a multiple of 128)"
        )
    groups = _require_expressible(network, steps)
    width_of_head = network.multiples[0] * network.width // network.heads
    made = DiffusersUNet(
        network.shape,
        steps,
        tuple(multiple * network.width for multiple in network.multiples),
        network.blocks,
        network.attention,
        network.attention,
        None if network.heads == 1 else width_of_head,
        network.outputs,
        groups,
        scale_shift=True,
        middle_attention=len(network.multiples) - 1 in network.attention,
        middle_groups=groups,
        cosine_first=False,
        time_width=4 * network.width,
        dropout=network.dropout,
    )
    made.load_state_dict(_renamed(network))
    return made.to(next(network.parameters())).train(network.training)


def _require_expressible(network: UNet, steps: int) -> int:
    """The number of groups of all group norms; ValueError if `UNet2DModel` has no such network."""
    beginning = f"{network!r:.60}... is no UNet2DModel"
    if network.framed or network.patch > 1 or network.grid.sizes != network.shape[-2:]:
        raise ValueError(
            f"{beginning}: that is of images, without offsets (framed) and patches; "
            "train with framed=False, patch=1"
        )
    if steps != STEPS_OF_FEATURES:
        raise ValueError(
            f"{beginning}: its features of the time have the same frequencies at T = "
            f"{STEPS_OF_FEATURES} only, and the model has T = {steps}"
        )
    groups = {each.num_groups for each in network.modules() if isinstance(each, nn.GroupNorm)}
    if len(groups) > 1:
        raise ValueError(
            f"{beginning}: that has the same number of groups in every group norm, and these have "
            f"{', '.join(map(str, sorted(groups)))}; a width of a multiple of 128 gives 32 "
            "everywhere, or train a DiffusersUNet"
        )
    widths = {network.multiples[level] for level in network.attention}
    if network.heads > 1 and widths != {network.multiples[0]}:
        raise ValueError(
            f"{beginning}: that has attention heads of the same width at every resolution; train "
            "with heads=1"
        )
    return groups.pop()


def _renamed(network: UNet) -> dict[str, Tensor]:
    """The weights of a network by the names of diffusers."""
    own = {name: weight.detach() for name, weight in network.state_dict().items()}
    names = {"time.2": "time_embedding.linear_2", "read_in": "conv_in", "norm": "conv_norm_out"}
    names["read_out"] = "conv_out"
    depth, blocks = len(network.multiples), network.blocks
    place = 0
    for level in range(depth):
        for number in range(blocks):
            names |= _level(f"down.{place}", f"down_blocks.{level}", number)
            place += 1
        if level < depth - 1:
            names[f"down.{place}"] = f"down_blocks.{level}.downsamplers.0.conv"
            place += 1
    names |= _level("middle", "mid_block", 0) | _level("last", "mid_block", 1)
    place = 0
    for level in range(depth):
        for number in range(blocks + 1):
            names |= _level(f"up.{place}", f"up_blocks.{level}", number)
            place += 1
        if level < depth - 1:
            names[f"up.{place}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
            place += 1
    found: dict[str, Tensor] = {}
    for old, new in names.items():
        for kind in ("weight", "bias"):
            if f"{old}.{kind}" in own:
                found |= _tensors(new, kind, own[f"{old}.{kind}"])
    first = own["time.0.weight"]
    found["time_embedding.linear_1.weight"] = _one_step_later(first, network.width)
    found["time_embedding.linear_1.bias"] = own["time.0.bias"]
    return found


def _level(old: str, new: str, number: int) -> dict[str, str]:
    """The names of a residual block and the attention after it."""
    residual, attention = f"{new}.resnets.{number}", f"{new}.attentions.{number}"
    return {
        f"{old}.residual.first_norm": f"{residual}.norm1",
        f"{old}.residual.first": f"{residual}.conv1",
        f"{old}.residual.told": f"{residual}.time_emb_proj",
        f"{old}.residual.norm": f"{residual}.norm2",
        f"{old}.residual.second": f"{residual}.conv2",
        f"{old}.residual.skip": f"{residual}.conv_shortcut",
        f"{old}.attention.norm": f"{attention}.group_norm",
        f"{old}.attention.read": f"{attention}.to_qkv",
        f"{old}.attention.write": f"{attention}.to_out.0",
    }


def _tensors(name: str, kind: str, tensor: Tensor) -> dict[str, Tensor]:
    """A tensor by its new name; those of attention as matrices, one for queries, keys and
    values each."""
    if ".attentions." in name and kind == "weight" and "norm" not in name:
        tensor = tensor.flatten(1)
    if not name.endswith("to_qkv"):
        return {f"{name}.{kind}": tensor}
    parts = zip(("to_q", "to_k", "to_v"), tensor.chunk(3), strict=True)
    return {f"{name.removesuffix('to_qkv')}{part}.{kind}": each for part, each in parts}


def _one_step_later(weight: Tensor, width: int) -> Tensor:
    """The weights (out, width) that read features of t - 1 as `weight` reads those of t: sin(w (t -
    1) + w) and cos(w (t - 1) + w) by the sums of angles."""
    half = width // 2  # of an odd width the last feature is zero
    w = 1e-4 ** (torch.arange(half, dtype=torch.float64) / half)
    cos, sin = (each.to(weight.device) for each in (w.cos(), w.sin()))
    of_sin, of_cos = weight.double()[:, :half], weight.double()[:, half : 2 * half]
    rest = weight.double()[:, 2 * half :]
    turned = [of_sin * cos - of_cos * sin, of_sin * sin + of_cos * cos, rest]
    return torch.cat(turned, 1).to(weight.dtype)
