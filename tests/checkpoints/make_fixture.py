"""Writes tests/fixtures/diffusers and tests/fixtures/diffusers_latent: small pipelines of pixels
and of latents as diffusers saves them, and what diffusers computes with them. Needs diffusers; the
tests of the fixtures do not.

    python tests/checkpoints/make_fixture.py
"""

from pathlib import Path

import diffusers
import numpy as np
import torch

FOLDER = Path(__file__).parent.parent / "fixtures" / "diffusers"
LATENT = FOLDER.parent / "diffusers_latent"


def main() -> None:
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(4, 8),
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        downsample_padding=0,
        freq_shift=1,
        flip_sin_to_cos=False,
        norm_eps=1e-6,
    ).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.05 * torch.randn(weight.shape)
    scheduler = diffusers.DDPMScheduler(variance_type="fixed_large", clip_sample=False)
    diffusers.DDPMPipeline(unet=network, scheduler=scheduler).save_pretrained(FOLDER)
    x, t = torch.randn(4, 3, 8, 8), torch.tensor([1, 30, 500, 1000])
    ddim = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    ddim.set_timesteps(10)
    with torch.no_grad():
        output = network(x, t - 1).sample
        drawn = x
        for each in ddim.timesteps:
            drawn = ddim.step(network(drawn, each).sample, each, drawn).prev_sample
    np.savez_compressed(
        FOLDER / "expected.npz",
        x=x,
        t=t,
        output=output,
        alpha_bar=scheduler.alphas_cumprod,
        ddim_times=ddim.timesteps.numpy() + 1,
        ddim=drawn,
    )


def latent() -> None:
    """A pipeline of the latents of an `AutoencoderKL`."""
    torch.manual_seed(0)
    coder = diffusers.AutoencoderKL(
        block_out_channels=(4, 4),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=2,
        norm_num_groups=2,
        scaling_factor=0.7,
    ).eval()
    network = diffusers.UNet2DModel(
        sample_size=4,
        in_channels=2,
        out_channels=2,
        block_out_channels=(4,),
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=4,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    ).eval()
    with torch.no_grad():
        for weight in [*network.parameters(), *coder.parameters()]:
            weight += 0.05 * torch.randn(weight.shape)
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    pipeline = diffusers.LDMPipeline(coder, network, scheduler)
    pipeline.save_pretrained(LATENT)
    x = torch.rand(3, 3, 8, 8) * 2 - 1
    start = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    rng = torch.Generator().manual_seed(1)
    drawn = pipeline(2, rng, num_inference_steps=10, output_type="np").images
    with torch.no_grad():
        law = coder.encode(x).latent_dist
    np.savez_compressed(
        LATENT / "expected.npz",
        x=x,
        mean=law.mean,
        deviation=law.std,
        start=start,
        times=scheduler.timesteps.numpy() + 1,
        drawn=np.moveaxis(drawn, -1, 1),
    )


if __name__ == "__main__":
    main()
    latent()
