"""The work from both ends: log p of the model's draws from below and from above."""

__all__ = ["bracket"]

import math

from ..asked import Asked
from ..jobs import Event, Job
from ..snippets import Snippet, command, opening
from ..subjects import Trained
from ..watching import watched


def bracket(subject: Trained, asked: Asked, job: Job) -> Event:
    """The two estimates of `Diffusion.sandwich`, and the weights of all paths."""
    n, paths = asked.whole("n", 16, 2, 128), asked.whole("paths", 8, 1, 64)
    seed = asked.whole("seed", 0, 0, 2**31 - 1)
    times = asked.perhaps("times", 2, subject.model.steps)
    grid = subject.model.times(times)
    batch = max(1, subject.model.chunk_size // paths)
    model, _ = watched(subject.model, job, 2 * (len(grid) + 1) * math.ceil(n / batch))
    found = model.sandwich(n, paths, times, seed)
    middle = (found.lower + found.upper) / 2
    high, low = found.bits_per_dim[1], found.bits_per_dim[0]
    lines = opening(subject.word)
    lines.append(f"found = model.sandwich({n}, {paths}, {times}, rng={seed})")
    options = [("--n", n), ("--paths", paths), ("--times", times), ("--seed", seed)]
    snippet = Snippet("\n".join(lines), command("sandwich", subject.word, options=options))
    return {
        "forward": (found.log_weights - middle[:, None]).flatten().tolist(),
        "reverse": (found.own - middle).tolist(),
        "lower": found.lower.mean().item(),
        "upper": found.upper.mean().item(),
        "lower_bits": high,
        "upper_bits": low,
        "gap": found.gap.mean().item(),
        "gap_stderr": found.stderr(),
        "snippet": snippet.facts(),
    }
