"""The work from both ends: log p of the model's draws from below and from above."""

__all__ = ["bracket"]

import math

import torch
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...likelihood.path_weights import forward_weight, reverse_weight
from ..asked import Asked
from ..jobs import Event, Job
from ..snippets import Snippet, command, opening
from ..subjects import Trained
from ..watching import watched


@torch.no_grad()
def bracket(subject: Trained, asked: Asked, job: Job) -> Event:
    """Weights of paths from both ends. Their means are those of `Diffusion.sandwich`."""
    n, paths = asked.whole("n", 16, 2, 128), asked.whole("paths", 8, 1, 64)
    seed, times = (
        asked.whole("seed", 0, 0, 2**31 - 1),
        asked.perhaps("times", 2, subject.model.steps),
    )
    grid = subject.model.times(times)
    batch = max(1, subject.model.chunk_size // paths)
    model, _ = watched(subject.model, job, 2 * (len(grid) + 1) * math.ceil(n / batch))
    rng = torch.Generator().manual_seed(seed)
    parts: list[tuple[Tensor, Tensor]] = []
    with evaluating(model):
        for part, rows in model.chunks(torch.empty(n), paths):
            x_0, path = reverse_weight(part, len(rows), grid, rng)
            several = x_0.repeat_interleave(paths, 0)
            there = forward_weight(part.repeated(paths), several, grid, rng).log
            parts.append((path.log, there.reshape(len(rows), paths)))
    own, forward = (torch.cat(each) for each in zip(*parts, strict=True))
    with_own = torch.cat([own[:, None], forward[:, 1:]], 1)
    lower, upper = (each.logsumexp(1) - math.log(paths) for each in (forward, with_own))
    middle = (lower + upper) / 2
    unit = subject.model.space.dims * math.log(2)
    gap = upper - lower
    lines = opening(subject.word)
    lines.append(f"found = model.sandwich({n}, {paths}, {times}, rng={seed})")
    options = [("--n", n), ("--paths", paths), ("--times", times), ("--seed", seed)]
    return {
        "forward": (forward - middle[:, None]).flatten().tolist(),
        "reverse": (own - middle).tolist(),
        "lower": lower.mean().item(),
        "upper": upper.mean().item(),
        "lower_bits": -lower.mean().item() / unit,
        "upper_bits": -upper.mean().item() / unit,
        "gap": gap.mean().item(),
        "gap_stderr": (gap.std() / n**0.5).item(),
        "snippet": Snippet(
            "\n".join(lines), command("sandwich", subject.word, options=options)
        ).facts(),
    }
