"""Sampling: draws from a model by steppers, and from p(x) r(x) / Z for a factor r, by sequential
Monte Carlo (exact in the limit of many particles) or by guided walks (approximate)."""

__all__ = [
    "DDIM",
    "SMC",
    "Adaptive",
    "Ancestral",
    "Clip",
    "CorrectedGuidance",
    "DPMSolver",
    "Drawn",
    "DynamicThreshold",
    "EvenLogSNR",
    "EvenTimes",
    "FlowMap",
    "Guidance",
    "Guided",
    "GuidedDraws",
    "Heun",
    "Karras",
    "Kept",
    "Limits",
    "Multistep",
    "Parallel",
    "Posterior",
    "PosteriorMethod",
    "Quadratic",
    "Stepper",
    "TimeGrid",
    "Times",
    "UniPC",
    "WeightedParticles",
    "decode",
    "encode",
    "interpolate",
    "posterior",
    "sample",
    "timesteps",
    "walk",
]

from . import timesteps
from .classifier_free import Guidance
from .corrected_guidance import CorrectedGuidance, GuidedDraws
from .encoding import decode, encode
from .guidance import Guided
from .interpolation import interpolate
from .method import Drawn, PosteriorMethod
from .particles import WeightedParticles
from .posterior import Posterior, posterior
from .sampler import Times, sample, walk
from .smc import SMC
from .steppers import (
    DDIM,
    Adaptive,
    Ancestral,
    Clip,
    DPMSolver,
    DynamicThreshold,
    FlowMap,
    Heun,
    Kept,
    Limits,
    Multistep,
    Parallel,
    Stepper,
    UniPC,
)
from .time_grids import EvenLogSNR, EvenTimes, Karras, Quadratic, TimeGrid
