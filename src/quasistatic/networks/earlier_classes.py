"""Networks that earlier versions wrote, as the classes that there are now."""

__all__ = ["converted_description", "converted_tensors"]

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

NEW = {
    "MixtureDenoiser": "ClosedFormDenoiser",
    "LatentDenoiser": "ClosedFormDenoiser",
    "MixtureMLP": "ResidualDenoiser",
    "LatentMLP": "ResidualDenoiser",
}
"""The class that took the place of an earlier one."""


def converted_description(model: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a model (:meth:`Model.describe`) with the classes of this version."""
    network = model.get("network")
    name = network.get("is") if isinstance(network, Mapping) else None
    if name not in NEW:
        return dict(model)
    assert isinstance(network, Mapping)  # as it has a name
    kept = {key: value for key, value in network.items() if key not in ("is", "parts")}
    if "parts" in network:  # (components, bases) of each part
        kept["components"] = sum(count for count, _ in network["parts"])
        kept["sizes"] = []
    kept |= {"is": NEW[name], "matrices": kept["components"]}
    head = model.get("head")
    if name.startswith("Latent"):
        head = _with_corrected_classes(head)
    return dict(model) | {"network": kept, "head": head}


def _with_corrected_classes(head: Any) -> Any:
    """The description of a head, whose classes are corrected now by a head of their own."""
    if not isinstance(head, Mapping):
        return head
    if head.get("is") == "Classes":
        return {"is": "CorrectedClasses"}
    parts = head.get("parts")
    return (
        head
        if parts is None
        else dict(head) | {"parts": [_with_corrected_classes(p) for p in parts]}
    )


def converted_tensors(model: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The stored tensors of a model with that stored description, as this version names them."""
    network = model.get("network")
    name = network.get("is") if isinstance(network, Mapping) else None
    if name not in NEW:
        return dict(tensors)
    assert isinstance(network, Mapping)  # as it has a name
    prefix = "network." if NEW[name] == "ClosedFormDenoiser" else "network.mixture."
    old = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    kept = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    made = _of_latent_classes(old) if name.startswith("Latent") else _of_parts(old, network)
    new = prefix.replace("mixture", "denoiser")
    return kept | {new + key: value for key, value in made.items()}


def _of_parts(old: Mapping[str, Tensor], network: Mapping[str, Any]) -> dict[str, Tensor]:
    """The buffers of a law that was stored part by part."""
    each = [_law({k: old[f"held.{i}.{k}"] for k in _NAMES}) for i in range(len(network["parts"]))]
    law = {key: torch.cat([one[key] for one in each]) for key in each[0]}
    count, dims = law["mean"].shape
    return law | {
        "of": torch.arange(count),
        "log_p": torch.zeros(count, 0, dtype=torch.float64),
        "log_pi": torch.zeros(0, dtype=torch.float64),
        "log_snr": old["log_snr"].double(),
        "keep": torch.zeros(len(old["log_snr"]), dtype=torch.float64),
        "lattice": torch.zeros(3, dims, dtype=torch.float64),
    }


def _of_latent_classes(old: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The buffers of a law that was stored as latent classes."""
    names = ("log_pi", "log_snr", "keep", "lattice")
    law = _law(old) | {name: old[name].double() for name in names}
    return law | {"of": torch.arange(len(law["mean"])), "log_p": old["log_share"].double()}


_NAMES = ("log_weight", "mean", "variance", "basis")


def _law(old: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights, means and covariances of components that were stored by eigenvectors."""
    log_weight, mean, variance, basis = (old[name].double() for name in _NAMES)
    matrix = (basis * variance[:, None]) @ basis.mT
    scale = torch.ones(len(mean), dtype=torch.float64)
    return {"log_weight": log_weight, "mean": mean, "matrix": matrix, "scale": scale}
