"""Estimators in the folders of earlier versions."""

__all__ = ["restored_first_format"]

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..diffusion import Diffusion
from ..heads import ProductHead
from ..kernels import ProductKernel
from ..spaces import Continuous, Space, Table
from ..spaces.columns import Column, ConstantColumn, IntegerColumn, NumericColumn, PowerColumn
from ..spaces.yeo_johnson import YeoJohnson
from .closed_form import FittedLaw
from .fitted import FitSummary, Fitted
from .levels import FittedLevels

DEVIATIONS = 3.0
"""How far from its middle the range of a column reaches, where none was stored."""


def restored_first_format(folder: Path, stored: Mapping[str, Any]) -> Fitted:
    """What format 1 held: a mixture of numbers, levels, or a table of mixed columns."""
    model, summary = Diffusion.load(folder), FitSummary(**stored["story"])
    if isinstance(model.space, Table):
        return FittedLaw(model, replace(model.space, incomplete=True), summary)
    values = stored["columns"]
    names = stored["names"] or [str(k) for k in range(len(values))]
    if stored["fitted"] == "FittedLevels":
        levels = len(model.space.levels) if model.space.levels is not None else 0
        columns = [
            IntegerColumn(name, 0.0, "<f8", 0, levels - 1, 0.0, 1.0)
            if value is None
            else ConstantColumn(name, 0.0, "<f8", value)
            for name, value in zip(names, values, strict=True)
        ]
        return FittedLevels(model, Table(tuple(columns), incomplete=True), summary)
    table = Table(tuple(_columns(names, values, model.space)), incomplete=True)
    kernel = ProductKernel((model.kernel,), table.widths)
    whole = Diffusion(table, kernel, ProductHead((model.head,)), model.network)  # type: ignore[arg-type]
    return FittedLaw(whole.eval(), table, summary)


def _columns(names: list[str], values: list[Any], space: Space) -> list[Column]:
    """The columns of numbers by their one value, None where they vary, and by the space of those
    that vary."""
    place = 0
    columns: list[Column] = []
    for name, value in zip(names, values, strict=True):
        if value is not None:
            columns.append(ConstantColumn(name, 0.0, "<f8", value))
            continue
        columns.append(_column(name, space, place))
        place += 1
    return columns


def _column(name: str, space: Space, place: int) -> Column:
    fields = ("shift", "scale", "power", "centre", "spread")
    number = {
        field: float(np.broadcast_to(getattr(space, field), space.shape)[place])
        for field in fields
        if hasattr(space, field)
    }
    shift, scale = number["shift"], number["scale"]
    low, high = shift - DEVIATIONS * scale, shift + DEVIATIONS * scale
    if isinstance(space, YeoJohnson):
        power, centre, spread = number["power"], number["centre"], number["spread"]
        return PowerColumn(name, 0.0, "<f8", power, shift, scale, centre, spread, low, high)
    assert isinstance(space, Continuous)  # no other space was offered
    return NumericColumn(name, 0.0, "<f8", (shift - scale, shift + scale), (-1.0, 1.0), low, high)
