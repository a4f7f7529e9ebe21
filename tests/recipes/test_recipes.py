"""The pictures that image recipes share are made on any chain, thinned or not."""

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.recipes.experiments import pictures


@pytest.mark.parametrize("steps", [7, 130])
@pytest.mark.parametrize("picture", [pictures.coded, pictures.grown, pictures.mixed])
def test_a_chain_is_shown_on_its_way(picture, steps):
    torch.manual_seed(0)
    model = qs.Diffusion(
        qs.Quantized((4, 4), 256, 2.0),
        qs.GaussianKernel(qs.schedules.linear_log_snr(steps, 6.0, -4.0)),
        qs.Velocity(qs.FixedLarge()),
        qs.networks.MLP((4, 4), 8, 1),
    )
    x = np.random.default_rng(0).integers(0, 256, (24, 4, 4), dtype=np.uint8)
    figure = picture(model, x, torch.Generator().manual_seed(0))
    assert figure.axes
    assert all(np.isfinite(line.get_ydata()).all() for ax in figure.axes for line in ax.lines)
