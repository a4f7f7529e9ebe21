"""Models that come with the library, by name: small ones, so that every verb works at once."""

__all__ = ["WEIGHTS", "load_pretrained", "locate", "pack", "pretrained"]

from pathlib import Path

from .._utils import files
from .._utils.naming import nearest
from ..diffusion import Diffusion
from .locations import WEIGHTS, locate, pretrained

LIMIT = 4 * 2**20
"""The most bytes that a model's weights may take: every copy of the library holds them."""


def load_pretrained(name: str) -> Diffusion:
    """Loads a pretrained model.

    Args:
        name: one of :func:`pretrained`.

    Returns:
        The model in eval mode, ready to sample, score and complete.

    Raises:
        ValueError: if there is no model of that name: the message lists those that there are.
    """
    if name not in pretrained():
        known = nearest(str(name), pretrained())
        raise ValueError(f"there is no pretrained model {name!r}: {known}")
    return Diffusion.load(WEIGHTS / name)


def pack(run: str | Path, target: str | Path) -> int:
    """Copies a finished run with its weights rounded to float16. Loading converts them back to the
    network's own type.

    Args:
        run: the run's folder.
        target: the folder to write.

    Returns:
        The size of the weights' file in bytes.

    Raises:
        FileNotFoundError: if the run is not finished.
        ValueError: if the weights take more than 4 MiB, or one of them is beyond float16.
    """
    run, target = Path(run), Path(target)
    tensors, facts = files.load_tensors(run / "model.safetensors")
    small = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    lost = [name for name, tensor in small.items() if not tensor.isfinite().all()]
    if lost:
        raise ValueError(f"{lost[0]} of {run} holds values beyond the range of float16 (65504)")
    size = sum(tensor.numel() * tensor.element_size() for tensor in small.values())
    if size > LIMIT:
        raise ValueError(
            f"the weights of {run} take {size:,} bytes in float16, more than the {LIMIT:,} that "
            "may come with the library: train a smaller network"
        )
    for name in ("config.json", "metrics.jsonl"):
        files.write_bytes(target / name, (run / name).read_bytes())
    files.save_tensors(target / "model.safetensors", small, facts)
    return (target / "model.safetensors").stat().st_size
