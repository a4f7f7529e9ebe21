r"""Features of images by the Inception network that defines FID, with a cache in a folder."""

__all__ = ["Features"]

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..._utils import files
from ..._utils.validation import as_tensor

SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
"""Checksum of `fid_inception.pt`: the Inception graph of 2015-12-05 as TorchScript, 84 MiB."""

SIDE = 299
"""Height and width of the images that the network takes."""


class Features:
    """The 2048 pooled features of the Inception network of H17, in float32.

    Args:
        path: the network's file, `fid_inception.pt`.
        cache: a folder that keeps features under a hash of the network and the images; None
            keeps nothing.
        batch: the number of images in a batch of the network.
        device: the network's device.

    Raises:
        FileNotFoundError: if there is no such file; the message names it and its checksum.
        ValueError: if it is another file.
    """

    def __init__(
        self,
        path: str | Path,
        cache: str | Path | None = None,
        batch: int = 32,
        device: str | torch.device = "cpu",
    ) -> None:
        self.path = Path(path)
        self.cache = None if cache is None else Path(cache)
        self.batch, self.device = batch, torch.device(device)
        self._network = _load(self.path, self.device)

    @torch.no_grad()
    def __call__(self, images: object) -> Tensor:
        """The features of images (N, H, W), or (N, 3, H, W), with shape (N, 2048).

        Grey images are given three equal colours. They are resized as the network's own graph
        did, on the scale from 0 to 255, and then brought to [-1, 1].

        Args:
            images: 8-bit, with shape (N, H, W) or (N, 3, H, W).

        Returns:
            float32 of shape (N, 2048), on the CPU.

        Raises:
            TypeError: if the images are not 8-bit.
            ValueError: if they have another shape, or there are none.
        """
        pixels = _checked(images)
        kept = None if self.cache is None else self.cache / f"{_name(pixels)}.safetensors"
        if kept is not None and kept.is_file():
            return files.load_tensors(kept)[0]["features"]
        parts = [
            self._some(pixels[start : start + self.batch])
            for start in range(0, len(pixels), self.batch)
        ]
        found = torch.cat(parts)
        if kept is not None:
            facts = {"images": list(pixels.shape), "network": SHA256}
            files.save_tensors(kept, {"features": found}, facts)
        return found

    def _some(self, pixels: Tensor) -> Tensor:
        x = resized(pixels.to(self.device, torch.float32), SIDE)
        return self._network((x - 128) / 128).float().cpu()


def resized(x: Tensor, side: int) -> Tensor:
    """Images (N, C, H, W) as (N, C, side, side), by the bilinear rule of TensorFlow 1, whose
    graph the network was: the corners of pixels, and not their centres, are lined up, so that
    output row i lies at input row i H / side, and past the last row is the last row."""
    down, across = (_weights(n, side).to(x) for n in x.shape[-2:])
    return down @ x @ across.T


def _weights(n: int, side: int) -> Tensor:
    """The share of each of n inputs in each of `side` outputs, with shape (side, n)."""
    # The original graph computed positions in float32. So does this code, to give the same bits.
    place = torch.arange(side, dtype=torch.float32) * torch.tensor(n / side, dtype=torch.float32)
    low, place = place.long(), place.double()
    high = (low + 1).clamp(max=n - 1)
    share = (place - low)[:, None]
    one = torch.eye(n, dtype=torch.float64)
    return (1 - share) * one[low] + share * one[high]


def _load(path: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path}: FID and KID need fid_inception.pt, the Inception network "
            f"of 2015-12-05 as TorchScript, with SHA-256 {SHA256}; put it there, or give the path "
            "where it is"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{path} has SHA-256 {found}, and fid_inception.pt has {SHA256}: it is damaged or "
            "another file, and its features would not compare with published figures"
        )
    load: Callable[..., torch.nn.Module] = torch.jit.load
    return load(str(path), map_location=device).eval()


def _checked(images: object) -> Tensor:
    """Pixels (N, 3, H, W) of 8 bits."""
    pixels = as_tensor(images, "images")
    if pixels.dtype != torch.uint8:
        raise TypeError(
            f"images must be 8-bit (uint8, 0 to 255), got {pixels.dtype}: round and convert them, "
            "as a picture that is shown or saved would be"
        )
    if pixels.ndim == 3:
        pixels = pixels[:, None].expand(-1, 3, -1, -1)
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.numel() == 0:
        raise ValueError(
            "images must have shape (N, H, W) or (N, 3, H, W) and hold at least one, got "
            f"{tuple(as_tensor(images).shape)}"
        )
    return pixels


def _name(pixels: Tensor) -> str:
    """A hash of the images and of the network."""
    digest = hashlib.sha256(f"{SHA256} {tuple(pixels.shape)} ".encode())
    for part in (pixels[start : start + 1024] for start in range(0, len(pixels), 1024)):
        digest.update(part.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
