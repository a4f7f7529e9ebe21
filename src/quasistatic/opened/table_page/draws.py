"""Draws beside data: figures, and a judge who tries to tell them apart."""

__all__ = ["draws_sections"]

import polars as pl
import torch

from ...diagnostics.judging import Judgement, judge
from ...reporting.figures import marginals
from ...reporting.html import Section, Table
from ...reporting.numbers import figure_text
from ...spaces import Table as TableSpace

LEAST = 20
"""Rows of data from which on draws are judged."""

WORST = 8
"""Columns, pairs and correlations that are listed."""

GOOD, FAIR = 0.6, 0.75
"""AUCs below which draws are hard to tell from data, and below which they are fairly so."""


def draws_sections(rows: pl.DataFrame, drawn: pl.DataFrame, name: str, seed: int) -> list[Section]:
    """Draws beside data, by eye and by a judge."""
    space = TableSpace.infer(rows)
    sides = [torch.as_tensor(space.read_with_unknowns(side)) for side in (rows, drawn)]
    data, draws = (torch.where(side.isinf(), torch.nan, side) for side in sides)
    picture = marginals(space, data, draws)
    figures = Section(
        "Draws beside data",
        [
            f"{len(drawn):,} rows were drawn from the model. Blue is {name}, orange the draws. "
            "Where the two agree in all panels, single columns are right. The last panel shows the "
            "correlations of all pairs, which lie on the line where they are right."
        ],
        figures=[("Each column, and the correlations of pairs of columns", picture)],
    )
    if len(rows) < LEAST:
        return [figures]
    return [figures, _judged(judge(rows, drawn, rng=seed))]


def _judged(found: Judgement) -> Section:
    auc = found.boosted
    if auc.value - 3 * auc.error < 0.5:
        said = "the judge cannot tell them apart"
    elif auc.value < GOOD:
        said = "they are hard to tell apart"
    else:
        said = "they can be distinguished" if auc.value < FAIR else "they are easy to distinguish"
    worst = ", ".join(each.columns[0] for each in found.telling[:3])
    text = [
        f"Two classifiers learned to tell {found.rows:,} drawn rows from as many rows of data, and "
        f"were tested on rows that they had not seen. AUC is 0.5 if nothing tells them apart and 1 "
        f"if everything does. Boosted trees reach {found.boosted}, a linear model {found.linear}: "
        f"{said}.",
        f"Columns that give draws away by themselves: {worst or 'none'}."
        + (
            f" The pair that does most: {' and '.join(found.pairs[0].columns)}."
            if found.pairs
            else ""
        ),
        f"Copies: {found.copying}.",
    ]
    cells: list[tuple[object, ...]] = [
        ("column", each.columns[0], str(each.auc), figure_text(each.distance))
        for each in found.columns[:WORST]
    ]
    cells += [
        ("pair", " and ".join(each.columns), str(each.auc), figure_text(each.distance))
        for each in found.pairs[: WORST // 2]
    ]
    more = [
        (
            "correlation",
            f"{each.columns[0]} and {each.columns[1]}",
            f"{each.real:.2f}",
            f"{each.drawn:.2f}",
        )
        for each in found.dependences[:WORST]
    ]
    more += [
        (f"prediction, {each.measure}", each.target, f"{each.real:.3f}", f"{each.drawn:.3f}")
        for each in found.useful
    ]
    return Section(
        "Can draws be distinguished from data?",
        text,
        Table(("what", "columns", "AUC by itself", "distance"), cells),
        settings=Table(("what", "columns", "in data", "in draws"), more),
        settings_name="Correlations that differ most, and what is learned from draws",
        result=f"draws beside data: AUC {auc} of a judge, where 0.5 is perfect; {said}",
    )
