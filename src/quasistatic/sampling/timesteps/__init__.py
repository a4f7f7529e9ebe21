r"""Which times a chain visits, and the variance of its steps: chosen for a trained model by what
its steps cost on held-out data, for sampling, scoring, completing and coding alike; or, for a
stepper that follows the flow, by trying them."""

from .flow_path import FlowPath, flow_path
from .step_costs import StepCosts, analytic_variance, measure_costs

__all__ = ["FlowPath", "StepCosts", "analytic_variance", "flow_path", "measure_costs"]
