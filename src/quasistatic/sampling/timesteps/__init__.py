r"""Which times to visit, and how wide to step: chosen for a trained model by what its steps cost on
held-out data, and good for whatever walks its chain."""

from .step_costs import Costs, analytic, measure

__all__ = ["Costs", "analytic", "measure"]
