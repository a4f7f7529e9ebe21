"""Configurations of small networks and of schedulers, one for each part that is read."""

SMALL = {
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 4,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}
RESNETS = {
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "block_out_channels": (8, 16, 16),
}
UNETS = {
    "plain": {},
    "scale and shift": {"resnet_time_scale_shift": "scale_shift"},
    "of google": {
        "downsample_padding": 0,
        "freq_shift": 1,
        "flip_sin_to_cos": False,
        "norm_eps": 1e-6,
        "attention_head_dim": None,
        "layers_per_block": 2,
    },
    "residual sampling": RESNETS | {"downsample_type": "resnet", "upsample_type": "resnet"},
    "residual sampling without attention": RESNETS,
    "a scaled middle": {"mid_block_scale_factor": 2**0.5, "attn_norm_num_groups": 2},
    "a normed middle": {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 8},
    "no attention in the middle": {"add_attention": False},
    "no middle": {"mid_block_type": None},
    "a learned range": {"out_channels": 6},
    "one channel": {"in_channels": 1, "out_channels": 1},
    "not square, mish": {
        "sample_size": (8, 12),
        "act_fn": "mish",
        "center_input_sample": True,
        "time_embedding_dim": 24,
        "block_out_channels": (8, 8, 12),
        "down_block_types": ("AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    },
}
"""What each `UNet2DModel` has beside :data:`SMALL`."""

SCHEDULES = {
    "linear": {},
    "other ends": {"beta_start": 8.5e-4, "beta_end": 0.012},
    "short": {"num_train_timesteps": 50, "beta_end": 0.2},
    "scaled_linear": {"beta_schedule": "scaled_linear"},
    "squaredcos_cap_v2": {"beta_schedule": "squaredcos_cap_v2"},
    "sigmoid": {"beta_schedule": "sigmoid"},
    "trained_betas": {
        "num_train_timesteps": 20,
        "trained_betas": [0.001 * (k + 1) ** 1.7 for k in range(20)],
    },
    "zero terminal SNR": {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
}
"""What each scheduler says of the noise."""
