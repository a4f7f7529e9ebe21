"""Finds the devices of this machine by name."""

__all__ = ["describe_device", "devices", "find_device"]

import platform

import torch

ACCELERATORS = ("cuda", "mps", "xpu")
"""Kinds of device other than the CPU, in the order in which "auto" tries them."""


def devices() -> list[str]:
    """The names of the devices of this machine that can be used, the best first; "cpu" is last.

    A device without float64 is left out: log-probabilities are computed in it (MPS has none).
    """
    found = []
    for kind in ACCELERATORS:
        backend = getattr(torch, kind, None)
        if backend is None or not backend.is_available():
            continue
        try:
            torch.zeros(1, dtype=torch.float64, device=kind)
        except (RuntimeError, TypeError):
            continue
        count = backend.device_count()
        found += [kind] if count == 1 else [f"{kind}:{i}" for i in range(count)]
    return [*found, "cpu"]


def find_device(name: str | torch.device = "auto") -> torch.device:
    """The device of that name.

    Args:
        name: "auto" for the first of :func:`devices`; or "cpu", "cuda", "cuda:1", "xpu".

    Raises:
        ValueError: if this machine has no such device, or it cannot be used; the message lists the
            devices that can.
    """
    here = devices()
    if str(name) == "auto":
        return torch.device(here[0])
    known = {
        each for kind in here for each in (kind, kind.split(":")[0], f"{kind.split(':')[0]}:0")
    }
    if str(name) not in known - {"cpu:0"} | {"cpu"}:
        reason = ""
        if str(name).startswith("mps") and torch.backends.mps.is_available():
            reason = " (MPS is here, but has no float64, which log-probabilities need)"
        raise ValueError(
            f"there is no device {str(name)!r}{reason}: this machine has {', '.join(here)}"
        )
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """The model of a device, as its maker calls it: "NVIDIA H200", for example."""
    if device.type in ("cuda", "xpu"):
        return str(getattr(torch, device.type).get_device_name(device))
    return platform.processor() or platform.machine() or device.type
