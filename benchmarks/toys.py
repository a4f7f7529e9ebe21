"""SD15's two toys against their truths: K with its standard error, training time, valid samples.

    python benchmarks/toys.py [heartbeat] [swiss-roll] [swiss-roll-modern]

Trains each recipe into runs/toys (a run that is there is only scored), prints K, the truth and
K - L_null in bits an example, and keeps benchmarks/results/toys.json.
"""

import json
import sys
import time
from pathlib import Path

import torch

import quasistatic as qs
from quasistatic.opened.run_report import assess
from quasistatic.recipes import RECIPES
from quasistatic.recipes.runs import open_run, train

NAMES = ("heartbeat", "swiss-roll", "swiss-roll-modern")
EVALUATIONS = 400


def valid_share(model: qs.Diffusion, n: int = 10_000) -> float:
    """The share of n heartbeat draws that are one of the five sequences."""
    drawn = torch.cat([model.sample(2000) for _ in range(n // 2000)])
    return (
        qs.diagnostics.oracles.HeartbeatOracle().log_prob(drawn).isfinite().double().mean().item()
    )


def main() -> None:
    path = Path(__file__).parent / "results" / "toys.json"
    path.parent.mkdir(exist_ok=True)
    rows = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or NAMES:
        folder = Path("runs") / "toys" / name
        fresh, started = not folder.exists(), time.perf_counter()
        train(RECIPES[name](), folder)
        seconds = time.perf_counter() - started if fresh else rows.get(name, {}).get("seconds")
        opened = open_run(folder)
        torch.manual_seed(0)
        with opened.threads():
            rng, test = torch.Generator().manual_seed(0), opened.experiment.data.test
            facts = assess(opened, opened.model.score(test, EVALUATIONS, rng=rng)).facts()
            if name == "heartbeat":
                facts["valid_share"] = valid_share(opened.model)
        row = {"seconds": seconds, "threads": RECIPES[name]().fit.threads or None}
        row |= {key: facts[key] for key in ("bits", "bits_stderr", "above_null_bits")}
        row |= {"gap_to_truth_bits": facts["gap_to_truth_bits"]}
        row |= {key: facts[key] for key in ("valid_share",) if key in facts}
        rows[name] = row
        print(name, json.dumps(row, indent=2))
    path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
