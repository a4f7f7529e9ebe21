"""Training a network that corrects a law: for how long, and whether it is kept."""

__all__ = ["BATCH", "MINUTES", "against_law", "begun", "require_positive", "settings_for"]

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path

from .._utils import files, serialization
from .._utils.naming import counted
from ..diffusion import Diffusion, read_config
from ..recipes.experiments.experiment import Experiment
from ..recipes.locations import naming_damage, result_path
from ..recipes.spectral import Weighed, weighed
from ..reporting.console import Display
from ..training.config import Fit
from ..training.fitting import fit

MINUTES = 10.0
"""Default training time in minutes, if no number of steps is given."""

BATCH, VALIDATIONS = 32, 10
"""The number of examples in each step, and how often those for validation are scored in a run."""

LOOKS = 512
"""The total number of network evaluations of each scoring of the validation examples."""

OF_EVALUATION = 1 / 3
"""The cost of a validation evaluation, in units of a training evaluation."""

OF_TIME = 0.25
"""The share of the time that these scorings may take; where they would take more, there are fewer
of them, and then fewer evaluations in each."""


def against_law(
    model: Diffusion,
    experiment: Experiment,
    seconds: tuple[float, float],
    folder: Path,
    how: Fit,
) -> Weighed:
    """Weighs the trained network against the law, on the validation examples, once; the weights of
    one that does not win are set to zero in the folder too."""
    path = result_path(folder, "law.json")
    if path.is_file():
        with naming_damage(path, "delete it, and it is measured again"):
            stored = json.loads(path.read_text(encoding="utf-8"))
            return Weighed(**stored | {"seconds": tuple(stored["seconds"])})
    found = weighed(model, experiment.data.valid, how.evaluations, seconds=seconds)
    if not found.kept:
        weights = folder / "model.safetensors"
        files.save_tensors(weights, model.state_dict(), files.load_tensors(weights)[1])
    files.write_text(path, json.dumps(asdict(found), indent=2) + "\n")
    return found


def begun(folder: Path) -> Fit | None:
    """The settings of the run in a folder, with its number of steps; None if there is no run."""
    if not (folder / "config.json").is_file():
        return None
    stored = read_config(folder).get("fit", {})
    found = serialization.build(stored, {"Fit": Fit}) if stored else None
    return found if isinstance(found, Fit) else None


def require_positive(minutes: float | None, steps: int | None) -> None:
    """Raises ValueError if the limit of a training is not positive."""
    for name, value in (("minutes", minutes), ("steps", steps)):
        if value is not None and not value > 0:
            raise ValueError(f"--{name} must be positive, got {value}")


def settings_for(
    how: Fit,
    minutes: float | None,
    steps: int | None,
    experiment: Experiment,
    device: str,
    display: Display,
    looks: int | None = None,
) -> Fit:
    """The settings for a number of steps, or for as many steps as fit into the minutes; with so
    many evaluations of each validation example, if `looks` says how many."""
    valid, times = len(experiment.data.valid), VALIDATIONS
    if looks is None:
        looks = min(64, max(2, -(-LOOKS // valid)))
    if steps is None or minutes is not None:
        minutes = minutes or MINUTES
        batch = min(how.batch, len(experiment.data.train))
        examples = _examples_in(minutes, how, experiment, device)
        times, looks = _affordable(examples, valid, looks)
        left = examples - times * looks * valid * OF_EVALUATION
        steps = min(max(1, int(left / batch)), steps or 10**9)
        display.say(f"{minutes:g} min allow about {counted(steps, 'step')} of {how.batch} images")
        if steps < 100:
            display.say("these are very few steps: give more --minutes, or a smaller --size")
    return replace(
        how,
        steps=steps,
        warmup=min(100, steps // 10),
        ema=max(0.0, 1 - 10 / steps),  # the running mean covers about the last tenth
        validations=min(times, steps),
        # A model that starts at a law is good at once, and better again when the rate has fallen.
        patience=3 if experiment.law is None else VALIDATIONS // 2,
        evaluations=looks,
    )


def _affordable(examples: float, valid: int, looks: int) -> tuple[int, int]:
    """How often the validation examples are scored, and by how many evaluations each, where so many
    examples could be trained on in the whole time."""
    most = OF_TIME * examples / (OF_EVALUATION * valid)  # evaluations of each in the whole run
    times = min(VALIDATIONS, max(1, int(most / looks)))
    return times, min(looks, max(1, int(most / times)))


def _examples_in(minutes: float, how: Fit, experiment: Experiment, device: str) -> float:
    """The number of examples that can be trained on in some minutes, from the speed of a few steps
    of a copy of the model."""
    probe = replace(how, steps=6, validations=0)
    run = fit(
        copy.deepcopy(experiment.model),
        experiment.data.train,
        objective=experiment.objective,
        settings=probe,
        device=device,
        progress=False,
    )
    speed: float = run.speed["examples_per_second"]
    return 60 * minutes * speed
