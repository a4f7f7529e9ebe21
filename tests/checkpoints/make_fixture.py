"""Writes tests/fixtures/diffusers: a small pipeline as diffusers saves it, and what diffusers
computes with it. Needs diffusers; the test of the fixture does not.

    python tests/checkpoints/make_fixture.py
"""

from pathlib import Path

import diffusers
import numpy as np
import torch

FOLDER = Path(__file__).parent.parent / "fixtures" / "diffusers"


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


if __name__ == "__main__":
    main()
