"""Weights that the code of IDDPM (improved-diffusion) or its successor guided-diffusion saved, as
a model of this library."""

__all__ = ["from_improved_diffusion"]

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from .._utils.allocation import Misfit, require_weights
from .._utils.naming import as_path
from .._utils.validation import instance_of, whole_number
from ..conditions import ClassLabel
from ..diffusion import Diffusion
from ..heads import Clipped, Noise
from ..heads.estimates import EstimateHead
from ..heads.variances import FixedLarge, LearnedRange
from ..kernels import GaussianKernel, schedules
from ..kernels.schedules import Schedule
from ..networks import DiffusersUNet
from ..spaces import Quantized
from .reading import BYTE_SPREAD
from .state_dicts import read_tensors

GROUPS, EPSILON = 32, 1e-5


def from_improved_diffusion(
    file: str | Path,
    *,
    size: int | tuple[int, int],
    heads: int = 4,
    head_width: int | None = None,
    schedule: Schedule | None = None,
    head: EstimateHead | None = None,
    clip: bool = True,
    rescaled: bool = True,
) -> Diffusion:
    """A model that the code of IDDPM trained (`improved-diffusion`), or that of ADM
    (`guided-diffusion`), with all verbs.

    The widths, the blocks, the places of attention, the classes, whether the variance is learned
    and whether residual blocks resample (`resblock_updown`) follow from the weights. What does not
    is an argument, with the default of the first of the two.

    Args:
        file: the state dict as safetensors. That code writes pickles, which are never loaded; the
            error says how to convert one.
        size: height and width of the images (`image_size`).
        heads: of attention (`num_heads`). Default 4.
        head_width: channels of an attention head, in place of `heads` (`num_head_channels` of
            guided-diffusion, which is 64 for its published models); None for `heads`.
        schedule: the noise, of T steps (`noise_schedule`, `diffusion_steps`). That code's cosine
            is `schedules.cosine(T)`, its linear `schedules.linear(T, 0.1 / T, 20 / T)`; the default
            is the latter with T = 1000.
        head: what the network predicts; by default `Noise(LearnedRange())` if the variance is
            learned (`learn_sigma`), else `Noise(FixedLarge())`. `Noise(FixedSmall())` is
            `sigma_small`, `Clean(...)` is `predict_xstart`.
        clip: whether estimates of x_0 are limited to the range of the data, as that code draws and
            scores. Default True.
        rescaled: whether the network sees 1000 (t - 1) / T in place of t - 1 (`rescale_timesteps`).
            Default True. The models that guided-diffusion published need False if T is not 1000.

    Returns:
        The model in evaluation mode.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a pickle, is damaged, or holds another network: which tensor.
    """
    path = as_path("file", file)
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path} is no safetensors file, and a pickle can run any code when it is read: it is "
            "never loaded. Where you trust it, convert it: `save_file(torch.load("
            f"{str(path)!r}, weights_only=True), {str(path.with_suffix('.safetensors'))!r})` with "
            "save_file of safetensors.torch"
        )
    tensors = read_tensors(path)
    plan = _Plan.of(tensors)
    each = _Heads(heads, head_width)
    height, width = (size, size) if isinstance(size, int) else size
    shape = (height, width) if plan.channels == 1 else (plan.channels, height, width)
    schedule = schedule or schedules.linear(1000)
    if head is None:
        head = Noise(FixedLarge() if plan.outputs == 1 else LearnedRange())
    instance_of("head", head, EstimateHead, "Noise(FixedLarge())")
    made: list[DiffusersUNet] = []

    def build() -> DiffusersUNet:
        made.append(plan.network(shape, schedule.steps, each, rescaled))
        return made[0]

    renamed = plan.renamed(tensors, each)
    try:
        require_weights(build, renamed, shape)
    except Misfit as error:
        raise ValueError(f"{path} does not hold a network of improved-diffusion: {error}") from None
    made[0].load_state_dict(renamed, assign=True)
    condition = ClassLabel(plan.classes) if plan.classes else None
    space = Quantized(shape, 256, BYTE_SPREAD)
    whole = Clipped(head) if clip else head
    return Diffusion(space, GaussianKernel(schedule), whole, made[0], condition).eval()


@dataclass(frozen=True)
class _Heads:
    """How attention is split.

    Args:
        count: heads at every resolution.
        width: channels of a head, in place of `count`; None for that.
    """

    count: int
    width: int | None

    def __post_init__(self) -> None:
        whole_number("heads", self.count)
        if self.width is not None:
            whole_number("head_width", self.width)

    def of(self, channels: int, place: str) -> int:
        """How many heads so many channels have.

        Raises:
            ValueError: if they do not divide the channels.
        """
        if self.width is None:
            if channels % self.count:
                raise ValueError(
                    f"{self.count} heads do not divide the {channels} channels of {place}"
                )
            return self.count
        if channels % self.width:
            raise ValueError(
                f"heads of {self.width} channels do not divide the {channels} channels of {place}"
            )
        return channels // self.width


@dataclass(frozen=True)
class _Plan:
    """What the names and the shapes of the weights say of the network.

    Args:
        channels: of an image.
        outputs: numbers for each value.
        widths: of each resolution.
        blocks: residual blocks at each resolution.
        attention: the resolutions with attention.
        scale_shift: whether the time scales and shifts.
        classes: of a network of classes; 0 for none.
        residual: whether residual blocks resample, and not convolutions.
    """

    channels: int
    outputs: int
    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    scale_shift: bool
    classes: int
    residual: bool

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "_Plan":
        """The plan of a state dict.

        Raises:
            ValueError: if a tensor that every such network has is missing.
        """
        try:
            first, last = tensors["input_blocks.0.0.weight"], tensors["out.2.weight"]
            emb = tensors["input_blocks.1.0.emb_layers.1.weight"]
            width = tensors["input_blocks.1.0.in_layers.2.weight"].shape[0]
        except KeyError as error:
            raise ValueError(
                f"the weights have no tensor {error}: they are of another network than that of "
                "improved-diffusion"
            ) from None
        levels: list[list[int]] = [[]]
        attention = set()
        number, resampling = 1, _resampling_blocks(tensors)
        while any(name.startswith(f"input_blocks.{number}.") for name in tensors):
            block = f"input_blocks.{number}"
            if f"{block}.0.op.weight" in tensors or number in resampling:
                levels.append([])
            elif f"{block}.0.in_layers.2.weight" in tensors:
                levels[-1].append(tensors[f"{block}.0.in_layers.2.weight"].shape[0])
                if f"{block}.1.qkv.weight" in tensors:
                    attention.add(len(levels) - 1)
            number += 1
        label = tensors.get("label_emb.weight")
        channels = first.shape[1]
        return cls(
            channels,
            last.shape[0] // channels,
            tuple(level[-1] if level else 0 for level in levels),
            len(levels[0]),
            tuple(sorted(attention)),
            emb.shape[0] == 2 * width,
            0 if label is None else label.shape[0],
            bool(resampling),
        )

    def network(
        self, shape: tuple[int, ...], steps: int, heads: _Heads, rescaled: bool
    ) -> DiffusersUNet:
        """The network, with new weights."""
        resampled = len(self.widths) - 1 if self.residual else 0
        return DiffusersUNet(
            shape,
            steps,
            self.widths,
            self.blocks,
            self.attention,
            self.attention,
            outputs=self.outputs,
            groups=GROUPS,
            epsilon=EPSILON,
            scale_shift=self.scale_shift,
            down_residual=tuple(range(resampled)),
            up_residual=tuple(range(1, resampled + 1)),
            middle_groups=GROUPS,
            head_width=heads.width,
            heads=heads.count if heads.width is None else None,
            rescaled=rescaled,
            condition=self.classes,
        )

    def renamed(self, tensors: Mapping[str, Tensor], heads: _Heads) -> dict[str, Tensor]:
        """The weights by the names of :class:`DiffusersUNet`; those of unknown modules keep their
        names."""
        found: dict[str, Tensor] = {}
        places = self._places()
        for name, tensor in tensors.items():
            module, rest = _module(name)
            if module not in places:
                found[name] = tensor
                continue
            place = places[module]
            if rest.startswith("qkv."):
                found |= _heads_first(place, rest.removeprefix("qkv."), tensor, heads)
                continue
            new = ".".join(part for part in (place, _within(rest)) if part)
            found[new] = tensor.flatten(1) if rest == "proj_out.weight" else tensor
        return found

    def _places(self) -> dict[str, str]:
        """The new name of each module."""
        depth, blocks = len(self.widths), self.blocks
        found = {
            "time_embed.0": "time_embedding.linear_1",
            "time_embed.2": "time_embedding.linear_2",
            "label_emb": "class_embedding",
            "input_blocks.0.0": "conv_in",
            "middle_block.0": "mid_block.resnets.0",
            "middle_block.1": "mid_block.attentions.0",
            "middle_block.2": "mid_block.resnets.1",
            "out.0": "conv_norm_out",
            "out.2": "conv_out",
        }
        number = 1
        for level in range(depth):
            for block in range(blocks):
                found[f"input_blocks.{number}.0"] = f"down_blocks.{level}.resnets.{block}"
                found[f"input_blocks.{number}.1"] = f"down_blocks.{level}.attentions.{block}"
                number += 1
            if level < depth - 1:
                kind = "" if self.residual else ".conv"
                found[f"input_blocks.{number}.0"] = f"down_blocks.{level}.downsamplers.0{kind}"
                number += 1
        number = 0
        for level in range(depth):
            attends = depth - 1 - level in self.attention
            for block in range(blocks + 1):
                found[f"output_blocks.{number}.0"] = f"up_blocks.{level}.resnets.{block}"
                if attends:
                    found[f"output_blocks.{number}.1"] = f"up_blocks.{level}.attentions.{block}"
                if block == blocks:
                    up = f"output_blocks.{number}.{1 + attends}"
                    found[up] = f"up_blocks.{level}.upsamplers.0"
                number += 1
        return found


_MODULE = re.compile(
    r"((?:input|output)_blocks\.\d+\.\d+|(?:middle_block|out|time_embed)\.\d+|label_emb)\.(.+)"
)
_WITHIN = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "norm": "group_norm",
    "proj_out": "to_out.0",
    "op": "",
}


def _module(name: str) -> tuple[str, str]:
    """The module of a tensor's name, and the rest of the name."""
    match = _MODULE.fullmatch(name)
    return ("", name) if match is None else (match[1], match[2])


def _within(rest: str) -> str:
    """The name of a tensor within its module."""
    part, _, kind = rest.rpartition(".")
    new = _WITHIN.get(part, part)
    return f"{new}.{kind}" if new else kind


def _resampling_blocks(tensors: Mapping[str, Tensor]) -> set[int]:
    """The numbers of the input blocks that halve the resolution by a residual block, where no
    convolution does. They have no names of their own: the levels follow from the output blocks,
    which end with a second or third module where they double the resolution."""
    names = list(tensors)
    if any(re.fullmatch(r"input_blocks\.\d+\.0\.op\.weight", name) for name in names):
        return set()
    up = {
        match[1]
        for name in names
        if (match := re.fullmatch(r"output_blocks\.(\d+)\.[12]\.in_layers\.2\.weight", name))
    }
    last = max(int(m[1]) for name in names if (m := re.match(r"input_blocks\.(\d+)\.", name)))
    blocks, rest = divmod(last + 1, len(up) + 1)  # of a level, with the one that halves
    return set() if rest or not up else {blocks * (k + 1) for k in range(len(up))}


def _heads_first(place: str, kind: str, tensor: Tensor, split: _Heads) -> dict[str, Any]:
    """The three matrices of attention from one, whose rows are (head, query or key or value,
    channel of the head)."""
    width = len(tensor) // 3
    heads = split.of(width, place)
    each = tensor.reshape(heads, 3, width // heads, -1)
    parts = (each[:, i].reshape(width, -1) for i in range(3))
    names = ("to_q", "to_k", "to_v")
    return {
        f"{place}.{name}.{kind}": part.contiguous() if kind == "weight" else part.flatten()
        for name, part in zip(names, parts, strict=True)
    }
