"""Other packages' U-Nets, each trained as its own package does it, as models that we can score.

Each is near 1.0 M parameters and 370 MFLOP a forward image of 28x28, predicts what its package
predicts, and walks its package's schedule. Data run from -1 to 1, as all three have them.
"""

__all__ = ["PEERS", "Peer", "batches"]

import abc
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import quasistatic as qs
from quasistatic.heads import Head, Noise, Velocity
from quasistatic.heads.variances import FixedLarge, FixedSmall, Variance
from quasistatic.kernels import GaussianKernel
from quasistatic.spaces import Dequantized, Quantized

SHAPE, BATCH, T = (28, 28), 64, 1000
SPREAD = 256 / 255
"""With it the middles of the cells are 2 raw / 255 - 1, what the peers are trained on."""


class Answers(nn.Module):
    """A peer's network called as ours are: x (B, 28, 28) and t / T (B,) to (B, 28, 28, 1).

    Args:
        call: of the peer's network, x (B, 1, 28, 28) and t - 1 (B,), to (B, 1, 28, 28).
    """

    def __init__(self, peer: nn.Module, call: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.peer, self.call = peer, call

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        index = (time.double() * T).round().long() - 1
        return self.call(x[:, None], index)[:, 0, ..., None]


@dataclass(frozen=True)
class Peer(abc.ABC):
    """One package: its network, its way to train it, and how its answers are read."""

    package: str
    head: Callable[[Variance], Head]

    @property
    def version(self) -> str:
        return version(self.package)

    @abc.abstractmethod
    def network(self) -> Answers:
        """Its network, with new weights."""

    @abc.abstractmethod
    def schedule(self) -> qs.schedules.Schedule:
        """The chain that it walks."""

    @abc.abstractmethod
    def train(self, images: Tensor, steps: int) -> Answers:
        """Its network after so many steps on images (N, 28, 28) of bytes, by its own recipe."""

    def readings(self, network: nn.Module) -> dict[str, qs.Diffusion]:
        """The likelihoods that its answers allow, by name; which is best is for validation data
        to say."""
        spaces = {
            "discretised decoder": Quantized(SHAPE, 256, SPREAD),
            "dequantised": Dequantized(SHAPE, 256, SPREAD),
        }
        widths = {"beta_tilde": FixedSmall(), "beta": FixedLarge()}
        kernel = GaussianKernel(self.schedule())
        return {
            f"{space}, variance {width}": qs.Diffusion(
                spaces[space], kernel, self.head(widths[width]), network
            )
            for space in spaces
            for width in widths
        }


class Diffusers(Peer):
    """UNet2DModel by diffusers' example of unconditional generation: linear schedule, noise, AdamW
    with a warm-up and a cosine, EMA. The warm-up is cut to a tenth of a run too short for it."""

    def network(self) -> Answers:
        from diffusers import UNet2DModel

        unet = UNet2DModel(
            sample_size=28,
            in_channels=1,
            out_channels=1,
            block_out_channels=(32, 64, 64),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )
        return Answers(unet, lambda x, index: unet(x, index).sample)

    def schedule(self) -> qs.schedules.Schedule:
        return qs.schedules.linear(T, 1e-4, 0.02)

    def train(self, images: Tensor, steps: int) -> Answers:
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel

        network = self.network()
        unet, weights = network.peer, list(network.parameters())
        scheduler = DDPMScheduler(num_train_timesteps=T, beta_schedule="linear")
        ema = EMAModel(weights, decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        optimizer = torch.optim.AdamW(weights, lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
        warmup = min(500, steps // 10)
        length = {"num_warmup_steps": warmup, "num_training_steps": steps}
        rate = get_scheduler("cosine", optimizer, **length)
        for x in batches(images, steps):
            x_0, noise = 2 * x - 1, torch.randn_like(x)
            t = torch.randint(0, T, (len(x),))
            loss = F.mse_loss(unet(scheduler.add_noise(x_0, noise, t), t).sample, noise)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
            ema.step(weights)
        ema.copy_to(weights)
        return network


class Azula(Peer):
    """Azula's UNet by its MNIST tutorial: a Karras denoiser on the VP schedule, time uniform, Adam,
    no EMA; without labels, which would not be p(x)."""

    def network(self) -> Answers:
        from azula.nn.unet import UNet

        backbone = _Backbone(UNet, features=64)
        log_ratio = -self.schedule().log_snr[1:].float() / 2  # log sigma / signal
        # The denoiser is signal x_t + sigma b, and x_0 = signal x_t - sigma v: b says -v.
        return Answers(backbone, lambda x, index: -backbone(x, log_ratio[index]))

    def schedule(self) -> qs.schedules.Schedule:
        from azula.noise import VPSchedule

        signal, noise = VPSchedule()(torch.arange(1, T + 1, dtype=torch.float64) / T)
        return qs.schedules.custom((signal**2 / (signal**2 + noise**2)).tolist())

    def train(self, images: Tensor, steps: int) -> Answers:
        from azula.denoise import KarrasDenoiser
        from azula.noise import VPSchedule

        network = self.network()
        denoiser = KarrasDenoiser(backbone=network.peer, schedule=VPSchedule())
        optimizer = torch.optim.Adam(denoiser.parameters(), lr=3e-4)
        for x in batches(images, steps):
            denoiser.loss(2 * x - 1, torch.rand(len(x))).backward()
            optimizer.step()
            optimizer.zero_grad()
        return network


class _Backbone(nn.Module):
    """The network of azula's tutorial, wider, and told of the time only."""

    def __init__(self, unet: Callable[..., nn.Module], features: int) -> None:
        super().__init__()
        self.unet = unet(
            1, 1, hid_channels=(32, 64, 96), hid_blocks=(2, 2, 1), mod_features=features
        )
        self.time = nn.Sequential(nn.Linear(1, features), nn.SiLU(), nn.Linear(features, features))

    def forward(self, x_t: Tensor, log_ratio: Tensor) -> Tensor:
        return self.unet(x_t, self.time(log_ratio[..., None]))


class DenoisingDiffusionPytorch(Peer):
    """Unet by GaussianDiffusion's defaults (sigmoid schedule, velocity) and Trainer's (Adam, EMA),
    at the batch that its page shows; without mirror images, as digits have none."""

    def network(self) -> Answers:
        unet = _denoising_diffusion_pytorch().Unet(26, dim_mults=(1, 2, 2), channels=1)
        return Answers(unet, lambda x, index: unet(x, index))

    def schedule(self) -> qs.schedules.Schedule:
        beta = _denoising_diffusion_pytorch().sigmoid_beta_schedule(T)
        return qs.schedules.custom((1 - beta).cumprod(0).tolist())

    def train(self, images: Tensor, steps: int) -> Answers:
        from ema_pytorch import EMA

        network = self.network()
        package = _denoising_diffusion_pytorch()
        diffusion = package.GaussianDiffusion(network.peer, image_size=28, timesteps=T)
        optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
        ema = EMA(diffusion, beta=0.995, update_every=10)
        for x in batches(images, steps):
            diffusion(x).backward()
            nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            ema.update()
        network.peer.load_state_dict(ema.ema_model.model.state_dict())
        return network


_TORCHVISION = ("torchvision", "torchvision.transforms", "torchvision.utils")


def _denoising_diffusion_pytorch() -> types.ModuleType:
    """The package. It imports torchvision to read folders of images, which is not done here, and
    torchvision is not installed: empty modules stand in for it while the package is imported."""
    name = "denoising_diffusion_pytorch.denoising_diffusion_pytorch"
    if name not in sys.modules:
        missing = {
            each: types.ModuleType(f"torchvision.{each}") for each in ("transforms", "utils")
        }
        parent = types.ModuleType("torchvision")
        vars(parent).update(missing)
        standing = {"torchvision": parent} | {m.__name__: m for m in missing.values()}
        sys.modules.update(standing)
        try:
            importlib.import_module(name)
        finally:
            for each in standing:
                del sys.modules[each]
    return sys.modules[name]


def batches(images: Tensor, steps: int) -> Iterator[Tensor]:
    """So many batches (B, 1, 28, 28) from 0 to 1 of images of bytes, in a new order each epoch."""
    done = 0
    while done < steps:
        for rows in torch.randperm(len(images)).split(BATCH)[: steps - done]:
            yield images[rows, None].float() / 255
            done += 1


PEERS: dict[str, Peer] = {
    "diffusers": Diffusers("diffusers", Noise),
    "azula": Azula("azula", Velocity),
    "denoising-diffusion-pytorch": DenoisingDiffusionPytorch(
        "denoising-diffusion-pytorch", Velocity
    ),
}
