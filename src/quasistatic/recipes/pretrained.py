"""Models that come with the library, by name: small ones, so that every verb works at once."""

__all__ = ["WEIGHTS", "load_pretrained", "locate", "pack", "pretrained"]

from pathlib import Path

from .._utils import files
from .._utils.validation import nearest
from ..diffusion import Diffusion

WEIGHTS = Path(__file__).parent.parent / "weights"
"""A folder for each model, a run's `config.json`, `model.safetensors` and `metrics.jsonl`;
`README.md` says which command made it, and what it reached."""

LIMIT = 4 * 2**20
"""Bytes that the weights of a model may take: they are in every copy of the library."""


def pretrained() -> list[str]:
    """The names of the models that come with the library."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/model.safetensors"))


def load_pretrained(name: str) -> Diffusion:
    """The model of that name, ready to sample, score and complete.

    Raises:
        ValueError: if there is none of that name: which there are.
    """
    if name not in pretrained():
        raise ValueError(f"there is no pretrained model {name!r}: {nearest(name, pretrained())}")
    return Diffusion.load(WEIGHTS / name)


def locate(run: str | Path) -> Path:
    """The folder of a run: `run` itself if there is such a folder, else that of the pretrained
    model with this name.

    Raises:
        FileNotFoundError: if there is neither.
    """
    folder, name = Path(run), str(run)
    if folder.exists():
        return folder
    if name not in pretrained():
        raise FileNotFoundError(
            f"there is no folder {folder}, and no pretrained model of that name: "
            f"{nearest(name, pretrained())}"
        )
    return WEIGHTS / name


def pack(run: str | Path, target: str | Path) -> int:
    """Copies a finished run to a folder `target`, its weights rounded to float16; how many bytes
    they take. They are loaded into the network's own type.

    Raises:
        FileNotFoundError: if the run is not finished.
        ValueError: if the weights take more than 4 MiB, or a float16 cannot hold one of them.
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
