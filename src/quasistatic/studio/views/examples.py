"""Examples to begin with: draws of the model, test rows of its run, or a file."""

__all__ = ["read", "show"]

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..asked import Asked
from ..files import read_examples
from ..jobs import Event, Job
from ..looks import Images
from ..subjects import Trained
from ..watching import watched

STEPS = 50
"""Steps of the draws, where the chain may skip times."""


def show(subject: Trained, asked: Asked, job: Job) -> Event:
    """Some examples: draws of the model, or test rows of its run."""
    source = asked.choice("source", ("draws", "test"), "draws")
    count, seed = asked.whole("count", 12, 1, 64), asked.whole("seed", 0, 0, 2**31 - 1)
    if source == "test":
        rows = subject.run.experiment.data.test
        some = np.random.default_rng(seed).permutation(len(rows))[:count]
        return _examples(subject, torch.as_tensor(np.asarray(rows[np.sort(some)])))
    model = subject.model
    steps = min(STEPS, model.steps) if model.head.jumps else model.steps
    return _examples(subject, watched(model, job, steps)[0].sample(count, steps, seed))


def read(subject: Trained, asked: Asked, job: Job) -> Event:
    """The examples in a file that a reader dropped."""
    found = read_examples(subject.look, asked.uploads(), asked.flag("invert"))
    subject.model.space.check(found.x)
    return _examples(subject, torch.as_tensor(found.x)) | {
        "names": list(found.names),
        "note": found.note,
    }


def _examples(subject: Trained, x: Tensor) -> dict[str, Any]:
    """Examples to draw, with their values unless the picture holds them."""
    look = subject.look
    exact = isinstance(look, Images) and look.levels is not None and look.levels <= 256
    values = None if exact else x.reshape(len(x), -1).double().tolist()
    return {"images": look.pack(x.double()), "values": values}
