r"""What a stream's floats depend on: the model, to the last bit, and who computes with it."""

__all__ = ["fingerprint", "platform_facts", "reproducible_floats"]

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterator
from importlib.metadata import version

import torch

from .._utils.eval_mode import evaluating
from ..model import Model


def fingerprint(model: Model) -> str:
    """The first half of SHA-256 of a model's description and weights, in hexadecimal."""
    text = json.dumps(model.describe(), sort_keys=True, separators=(",", ":"))
    found = hashlib.sha256(text.encode())
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()[:32]


def platform_facts(model: Model) -> dict[str, str]:
    """What the floats that this machine computes with a model depend on, by name."""
    blank = model.blank(1)
    return {
        "torch": torch.__version__,
        "constriction": version("constriction"),
        "machine": platform.machine(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "device": blank.device.type,
        "type": str(blank.dtype).removeprefix("torch."),
        "threads": "1",
    }


@contextlib.contextmanager
def reproducible_floats(model: Model) -> Iterator[None]:
    """Evaluation mode and one thread, so that floats repeat; both are restored afterwards."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with evaluating(model):
            yield
    finally:
        torch.set_num_threads(before)
