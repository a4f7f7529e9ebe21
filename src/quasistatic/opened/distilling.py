"""The verb that trains a flow map beside a model."""

__all__ = ["DistillVerb"]

import abc
from pathlib import Path
from typing import Literal

import numpy as np

from .._utils import serialization
from .._utils.randomness import Rng
from ..networks import FlowMapNetwork
from ..reporting.answer import Answer
from ..training import Fit, MeanFlow, ProgressiveDistillation, distill
from ..training.distillation import Distillation
from ..training.distillation.distill import SETTINGS
from .model import seed_of
from .trained import Data, TrainedModel


class DistillVerb(TrainedModel, abc.ABC):
    """The verb distill of a trained run."""

    def distill(
        self,
        steps: int = 8,
        *,
        by: Literal["mean-flow", "progressive"] = "mean-flow",
        density: bool = True,
        trajectories: int = 4096,
        updates: int = SETTINGS.steps,
        batch: int = SETTINGS.batch,
        data: Data | None = None,
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Trains a flow map beside the model, which draws in 1 to `steps` evaluations.

        Args:
            steps: the most evaluations of a walk: 1, 2, 4, 8, ...
            by: "mean-flow" for all of them and their density, or "progressive" for one number of
                steps.
            density: whether "mean-flow" also learns the density, which takes gradients.
            trajectories: of the model's flow, from which "mean-flow" learns.
            updates: gradient steps of the training.
            batch: steps of the flow in each of them.
            data: examples from which half of the trajectories start; by default draws of the model.
            out: the run folder to write; by default `runs/NAME-8-steps`.
            rng: a seed, a generator, or None for a random seed.
        """
        method: Distillation = (
            MeanFlow(trajectories, density=density)
            if by == "mean-flow"
            else ProgressiveDistillation()
        )
        recipe = self.run.recipe
        folder = Path(out or f"runs/{self.folder.name}-{steps}-steps")
        settings = Fit(
            steps=updates,
            batch=batch,
            lr=SETTINGS.lr,
            ema=SETTINGS.ema,
            seed=seed_of(rng),
            threads=0 if recipe is None else recipe.fit.threads,
        )
        with self.run.threads(), self.display.progress("distill") as show:
            model = distill(
                self.model,
                steps,
                None if data is None else np.asarray(self._examples(data, "valid")[0]),
                method=method,
                run=folder,
                callbacks=[show],
                device=self.device,
                settings=settings,
                about={} if recipe is None else {"recipe": serialization.describe(recipe)},
            )
        network = model.network
        assert isinstance(network, FlowMapNetwork)  # as distill made it
        counts = [int(each) for each in network.counts]
        shown: list[object] = [
            f"wrote {folder}: `sample {folder} --stepper flow-map --steps {counts[-1]}` draws from "
            f"it in {' or '.join(map(str, counts))} evaluations"
        ]
        if network.density:
            shown.append(f"`score {folder} --method flow-map` scores by it")
        facts = {"run": str(folder), "evaluations": counts, "density": network.density}
        return Answer(facts, shown)
