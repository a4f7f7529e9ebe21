"""A model that diffusers saved, as a model of this library."""

__all__ = ["from_diffusers"]

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .._utils.allocation import Misfit, require_weights
from .._utils.naming import as_path
from .._utils.validation import instance_of
from ..conditions import ClassLabel
from ..diffusion import Diffusion
from ..heads import Clipped, Head
from ..heads.variances import Variance
from ..hub import Repository
from ..kernels import GaussianKernel
from ..networks import NoiseScaled
from ..spaces import Latent, Quantized, Space
from .autoencoders import Scales, autoencoder_of_config, latents_of_config
from .folders import Component, DiffusersFolder, fetched
from .schedulers import training_of_config
from .transformers import shape_of_transformer, transformer_of_config
from .unets import shape_of_config, unet_of_config

_Size = int | tuple[int, int] | None

BYTE_SPREAD = 256 / 255
"""Half the range of 256 cells whose middles are k / 127.5 - 1, as diffusers scales bytes."""


def from_diffusers(
    source: str | Path,
    *,
    revision: str | None = None,
    size: int | tuple[int, int] | None = None,
    space: Space | None = None,
    variance: Variance | None = None,
    clip: bool | None = None,
    decoder_scale: float | tuple[float, ...] | None = None,
    encoder_scale: float | None = None,
) -> Diffusion:
    """A model that diffusers trained, with all verbs: a `UNet2DModel` or a `DiTTransformer2DModel`,
    and a scheduler; of pixels, or of the latents of an `AutoencoderKL` or a `VQModel`.

    The diffusers library is not needed. Of the scheduler the facts about the training are read: the
    noise, what the network predicts, the variance. Its sampler is not; see
    :mod:`quasistatic.sampling` for steppers.

    A network of classes (`num_class_embeds`) becomes a model with the condition `ClassLabel`: give
    the class to every verb, as `model.score(x, given=3)`. Such a network was trained with a class
    for every image, or with a number of its own for none. A transformer knows p(x) too: without a
    class it is given its number for none.

    A model of latents has the space `Latent`. The decoder returns an image and no distribution:
    :meth:`sample` draws that image, as diffusers does, and :meth:`score` refuses. With
    `decoder_scale`, a value has a law about what the decoder returns, and every verb answers in the
    units of the images. :func:`quasistatic.measure_decoder` finds that scale from images.

    A network that EDM's preconditioning trained (`EDMEulerScheduler`) sees the noise scale: its
    model has the head `Preconditioned`.

    Args:
        source: what `save_pretrained` of a pipeline wrote, a folder with `model_index.json`, `unet`
            and `scheduler`; or a repository of the hub, as "google/ddpm-cifar10-32", which is
            fetched into the hub's cache (needs huggingface_hub).
        revision: of the repository: a branch, a tag or a commit.
        size: height and width of the images; None for those of the network's configuration.
        space: what the raw data are; by default bytes, as images have them:
            `Quantized((3, 32, 32), 256, spread=256/255)`, or `(32, 32)` where there is one channel.
            For a model of latents, the space of the images that are encoded.
        variance: of the reverse step, `FixedLarge()` for example; None for the scheduler's. Where
            that says none it is `FixedSmall()`.
        clip: whether estimates of x_0 are limited to the range of the data, as in DDPM: draws,
            scores and codes then belong to the limited model. None for what the scheduler does. A
            model that is to be trained further by the objective `Simple` needs False.
        decoder_scale: of the law of a value about the output of the autoencoder's decoder, in units
            in which images reach from -1 to 1: one number, or one for each channel. For levels it
            is that of a discretised logistic, for real numbers a standard deviation. None where it
            is not known.
        encoder_scale: the standard deviation of latents about the output of a `VQModel`'s encoder,
            in the units of the chain's latents. None for none: images then cannot be encoded.

    Returns:
        The model in evaluation mode, with weights in the default type.

    Raises:
        TypeError: if `source` is no path, or `variance` no variance.
        FileNotFoundError: if a file is missing: which; or there is no such repository, or the hub
            cannot be reached and its cache has no copy.
        ValueError: if the pipeline has no law of images alone, the scheduler is no forward process
            of this library, a part of the network is not supported, the weights are a pickle (how
            to convert them) or do not fit (which).
    """
    if variance is not None:
        instance_of("variance", variance, Variance, "FixedLarge()")
    repository = Repository.parse(source, revision)
    folder = as_path("source", source)
    stored = DiffusersFolder(_existing(folder) if repository is None else fetched(repository))
    scales = Scales(decoder_scale, encoder_scale)
    part, coder = stored.network, stored.autoencoder
    config, scheduler = part.config, stored.scheduler
    parts = NETWORKS[config["_class_name"]]
    if coder is None:
        _require_no_scales(stored.path, scales)
    with naming(stored.path):
        if coder is not None:
            size = latents_of_config(coder.config, size)
        shape, outputs = parts.shape(config, size)
        training = training_of_config(scheduler, outputs, variance)
    of_noise = training.deviation is not None

    def build() -> nn.Module:
        return parts.network(config, training.schedule.steps, size, of_noise)

    with _uncollected():
        network = _with_weights(stored.path, part, build, shape)
        whole = _space(stored.path, coder, shape, space, scales)
    if training.deviation is not None:
        network = NoiseScaled(network, training.schedule.steps, training.deviation)
        network.start_at(training.schedule.log_snr[1:])
    clips = training.clip is not None if clip is None else clip
    head: Head = Clipped(training.head, training.clip or 1.0) if clips else training.head
    return _unchecked(whole, GaussianKernel(training.schedule), head, network).eval()


def _space(
    folder: Path,
    coder: Component | None,
    shape: tuple[int, ...],
    raw: Space | None,
    scales: Scales,
) -> Space:
    """The space of a model whose x_0 has a shape: of pixels, or of the latents of an
    autoencoder."""
    if coder is None:
        return raw or Quantized(shape, 256, BYTE_SPREAD)

    def build() -> nn.Module:
        return autoencoder_of_config(coder.config, shape, scales)

    made: Any = _with_weights(folder, coder, build, shape)
    return Latent(made, raw or Quantized(made.shape, 256, BYTE_SPREAD))


def _require_no_scales(folder: Path, scales: Scales) -> None:
    """ValueError if scales of an autoencoder are given for a model of pixels."""
    if scales != Scales():
        raise ValueError(
            f"{folder} is a model of pixels, without an autoencoder: leave out decoder_scale and "
            "encoder_scale"
        )


@dataclass(frozen=True)
class _Network:
    """How a class of networks is read.

    Args:
        shape: the shape of an image and the outputs for each value, of a configuration.
        network: the network of a configuration, with new weights.
    """

    shape: Callable[[Mapping[str, Any], _Size], tuple[tuple[int, ...], int]]
    network: Callable[[Mapping[str, Any], int, _Size, bool], nn.Module]


NETWORKS = {
    "UNet2DModel": _Network(shape_of_config, unet_of_config),
    "DiTTransformer2DModel": _Network(shape_of_transformer, transformer_of_config),
    "Transformer2DModel": _Network(shape_of_transformer, transformer_of_config),
}
"""The networks that are read, by diffusers' names."""


def _with_weights(
    folder: Path, part: Component, build: Callable[[], nn.Module], shape: tuple[int, ...]
) -> nn.Module:
    """The network with its weights, which are compared with it before they take memory."""
    tensors, made = part.tensors(), []

    def built() -> nn.Module:
        made.append(build())
        return made[0]

    with naming(folder):
        try:
            require_weights(built, tensors, shape)
        except Misfit as error:
            raise ValueError(
                f"the weights of the {part.path.name} do not fit its config.json: {error}"
            ) from None
    made[0].load_state_dict(tensors, assign=True)
    return made[0]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Leaves the collector of garbage off within the block. A network of many parts would start it,
    and to walk all objects of PyTorch takes longer than the loading."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@contextlib.contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Turns the errors of what a folder holds into one that names the folder.

    Raises:
        ValueError: in place of what the block raised.
    """
    try:
        yield
    except (KeyError, IndexError, AttributeError, TypeError, ArithmeticError) as error:
        raise ValueError(f"{folder} is damaged ({error!r}): restore a copy") from None
    except ValueError as error:
        raise ValueError(f"{folder} cannot be read: {error}") from None


def _existing(folder: Path) -> Path:
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    return folder


class _Zeros(nn.Module):
    """Zeros with the shape that a network of that many outputs returns."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        return x.new_zeros(*x.shape, self.outputs)


def _unchecked(space: Space, kernel: GaussianKernel, head: Head, network: Any) -> Diffusion:
    """A model whose network is not tried: its output has the right shape where its input has, and
    one evaluation of a large network takes longer than all of the loading."""
    if tuple(space.state) != tuple(network.shape):
        raise ValueError(
            f"the network is of images of shape {network.shape}, and {space!r} has examples of "
            f"shape {tuple(space.state)}: give a space of that shape"
        )
    condition = ClassLabel(network.condition) if network.condition else None
    model = Diffusion(space, kernel, head, _Zeros(network.outputs), condition)
    found = model.with_network(network)
    assert isinstance(found, Diffusion)  # as the model is one
    return found
