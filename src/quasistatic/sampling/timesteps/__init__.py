r"""Which times a chain visits, and the variance of its steps: chosen for a trained model by what
its steps cost on held-out data. A choice serves sampling, scoring, completing and coding alike."""

from .step_costs import StepCosts, analytic_variance, measure_costs

__all__ = ["StepCosts", "analytic_variance", "measure_costs"]
