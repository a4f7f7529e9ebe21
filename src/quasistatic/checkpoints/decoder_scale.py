"""The law of a decoder that was published without one."""

__all__ = ["measure_decoder"]

import dataclasses

import torch

from .._utils.randomness import Rng, as_generator
from .._utils.validation import instance_of
from ..diffusion import Diffusion
from ..spaces import Latent
from ..spaces.decoder_scale import measured_scale


def measure_decoder(model: Diffusion, images: object, *, rng: Rng = 0) -> Diffusion:
    """A model of latents whose decoder has the most likely scale for some images, so that raw data
    have a density.

    `AutoencoderKL` returns an image and no distribution. Here each value of an image has a law
    about it, a discretised logistic for levels or a normal distribution for real numbers, with one
    scale for each channel. This is the scale which makes E_q[log p(raw | z)] of the images highest.
    Take images that the model is not judged by.

    Args:
        model: of the latents of an `AutoencoderKL` or a `VQModel`, as :func:`from_diffusers` reads
            it.
        images: raw data, an array (N, *shape); a few hundred are enough.
        rng: of the draws of latents. Default 0.

    Returns:
        The model with that scale, `model.space.autoencoder.decoder_scale`. It shares its weights
        with the one given.

    Raises:
        TypeError: if the model is none of latents, or its decoder has scales of its own.
        ValueError: if the images are none of its space, or a `VQModel` has no `encoder_scale`.
    """
    instance_of("model", model, Diffusion, "from_diffusers(folder)")
    space = model.space
    if not isinstance(space, Latent):
        raise TypeError(
            f"measure_decoder is for a model of the latents of an autoencoder, got {space!r}"
        )
    coder = space.autoencoder
    if not hasattr(coder, "decoder_scale"):
        raise TypeError(
            f"the decoder of {type(coder).__name__} is a distribution already: train it by "
            "fit(..., objective=Evidence())"
        )
    raw = space.check(images, "images").to(next(model.parameters()).device)
    first, *others = measured_scale(space, raw, as_generator(rng))
    scale = (first, *others) if others else first
    with torch.device("meta"):  # no memory for weights that are shared
        made = dataclasses.replace(coder, decoder_scale=scale)
    made.load_state_dict(coder.state_dict(), assign=True)
    known = dataclasses.replace(space, autoencoder=made.train(coder.training))
    parts = known, model.kernel, model.head, model.network, model.condition
    return Diffusion(*parts).train(model.training)
