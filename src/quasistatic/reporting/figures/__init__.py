"""Figures of a model: its process, its draws, its bound and its completions.

Each function returns a matplotlib Figure and uses no global state. The label of a figure is a name
for its file. Its title states what the figure shows.
"""

__all__ = [
    "anomaly_scores",
    "bit_trajectories",
    "bits_by_time",
    "completion_from_draws",
    "completion_panel",
    "entropy_budget",
    "generation_panel",
    "image_grid",
    "interpolation_panel",
    "layered_stream",
    "marginals",
    "plane_trajectories",
    "posterior_from_draws",
    "rate_distortion",
    "schedule_comparison",
    "score_histogram",
    "signal_completions",
    "signal_draws",
    "training_curve",
]

from .anomalies import anomaly_scores
from .curves import bits_by_time, score_histogram, training_curve
from .entropy import entropy_budget
from .images import completion_from_draws, completion_panel, image_grid, posterior_from_draws
from .marginals import marginals
from .progressive import generation_panel, interpolation_panel, layered_stream, rate_distortion
from .schedules import schedule_comparison
from .signals import signal_completions, signal_draws
from .trajectories import bit_trajectories, plane_trajectories
