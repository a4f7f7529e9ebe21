r"""Rows of mixed columns: latent classes in closed form, and a network that corrects them.

As with real numbers, a small table is won by a good start. Latent classes are normal in the real
columns and independent in the others, holes are left out of them exactly, and the forward process
keeps them: a chain that uses their E[x_0 | x_t] is the mixture. A network is kept only if rows
that it has not seen are likelier for it.
"""

__all__ = ["FittedTable", "fit_table", "plan_table"]

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..diffusion import Diffusion
from ..distributions.mixtures import StackedClasses, completed_rows, drawn_rows, stacked_classes
from ..distributions.mixtures.latent_class import LatentClasses
from ..networks import LatentMLP
from ..recipes.tabular import standing
from ..spaces import Table
from .columns import Layout, MixedColumns
from .fitted import Fitted, Plan, Story, generator, particle_sets
from .model_selection import JUDGES, TRAINED, is_kept, is_tried, words

STEPS, WALKED = 1000, 100
"""T of the chain, and the times of it that draws of what is missing visit."""


@dataclass(frozen=True, eq=False)
class FittedTable(Fitted):
    """A chain that stands on latent classes, of rows (N, C) as :meth:`Table.read` makes them.
    Where nothing is corrected, its answers are theirs, in closed form."""

    about = (
        "a lower bound on log p(x) as steps get shorter; exact where nothing is corrected, but for "
        "whole numbers of a wide range, which have the density at the middle of their cell"
    )

    @classmethod
    def layout(cls, model: Diffusion, stored: list) -> Layout:
        assert isinstance(model.space, Table)  # as it was stored
        return MixedColumns(model.space)

    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        rows = torch.from_numpy(x)
        known = _log_prob(self.table, self._network.mixture.law, rows).numpy()
        return known + self.correction(rows, evaluations, seed) if self._network.speaks else known

    def correction(self, rows: Tensor, evaluations: int, seed: int) -> np.ndarray:
        """What the network wins on each row, with shape (N,), in nats: the chain's bound with its
        word less that without it, at the same noise, which is far surer than either."""
        silent = deepcopy(self.model)
        assert isinstance(silent.network, LatentMLP)  # as it was built
        silent.network.correction.silenced()
        with_it, without = (
            model.score(rows, evaluations, rng=generator(seed)).nats.double().numpy()
            for model in (self.model, silent)
        )
        return with_it - without

    def sample(self, n: int, seed: int) -> np.ndarray:
        rng = generator(seed)
        if self._network.speaks:
            return self.model.sample(n, rng=rng).double().numpy()
        law = self._network.mixture.law.to(torch.zeros((), dtype=torch.float64))
        return self.table.decode(drawn_rows(law, n, rng)).numpy()

    def complete(self, x: np.ndarray, draws: int, particles: int, seed: int) -> np.ndarray:
        rng, rows = generator(seed), torch.from_numpy(x)
        if self._network.speaks:
            found = self.model.impute(
                rows, draws, WALKED, rng, method=particle_sets(particles, draws)
            )
            return found.draws.double().cpu().numpy()
        x_0 = self.table.encode(rows)
        filled = completed_rows(self._network.mixture.law.to(x_0), x_0, draws, rng)
        raw = self.table.decode(filled.flatten(0, 1)).reshape(len(rows), draws, -1)
        return torch.where(rows.isnan()[:, None], raw, rows[:, None]).numpy()

    @property
    def table(self) -> Table:
        space = self.model.space
        assert isinstance(space, Table)  # as it was built
        return space

    @property
    def _network(self) -> LatentMLP:
        network = self.model.network
        assert isinstance(network, LatentMLP)  # as it was built
        return network


def fit_table(rows: np.ndarray, plan: Plan, table: Table) -> FittedTable:
    """Fits rows (N, C) of a table, NaN a hole."""
    if is_tried(plan, len(rows)):
        learned = _learned(rows, plan, table)
        if learned.story.kept:
            return learned
        story = learned.story  # and the rows that judged it may be learned from
    else:
        story = Story()
    start = _start(rows, plan, table)
    model = _standing_on(start, plan, table)
    return FittedTable(model.eval(), replace(story, start=start.shares))


def plan_table(rows: int, plan: Plan, table: Table) -> str:
    """What :func:`fit_table` would do with so many rows, in a sentence."""
    start = "latent classes, normal in real columns, their number chosen by held-out rows"
    return words(plan, rows, start, _width(table, plan))


def _width(table: Table, plan: Plan) -> int:
    return plan.width or min(max(4 * table.state[0], 128), 512)


def _learned(rows: np.ndarray, plan: Plan, table: Table) -> FittedTable:
    """A model of some rows, whose network is judged by the others."""
    train, valid = plan.split(len(rows))
    start = _start(rows[train], plan, table)
    model, judges = _standing_on(start, plan, table), rows[valid[:JUDGES]]
    steps = plan.train(model, rows[train], judges, TRAINED)
    fitted = FittedTable(model.eval(), Story(start.shares))
    won = fitted.correction(torch.from_numpy(judges), 64, plan.seed)
    return FittedTable(model, Story(start.shares, *is_kept(won), steps))


def _start(rows: np.ndarray, plan: Plan, table: Table) -> StackedClasses:
    """Latent classes under which held-out rows are likeliest."""
    blocks = table.blocks
    sizes = tuple(size for block in blocks for size in block.sizes)
    share = torch.tensor([p for block in blocks for p in block.shares], dtype=torch.float64)
    cells = [cell for block in blocks for _, cell, _ in block.lattices]
    cell = torch.tensor(cells, dtype=torch.float64)
    x_0 = table.encode(torch.from_numpy(rows))
    return stacked_classes(x_0, share.log(), sizes, cell, plan.seed)


def _standing_on(start: StackedClasses, plan: Plan, table: Table) -> Diffusion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return standing(table, start.law, steps=STEPS, width=_width(table, plan))


def _log_prob(table: Table, law: LatentClasses, rows: Tensor) -> Tensor:
    """log p of what is there of rows, in raw units, with shape (N,)."""
    x_0 = table.encode(rows)
    return law.to(x_0).log_prob(x_0) + table.log_volume(x_0)
