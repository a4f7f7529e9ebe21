r"""A diffusion model that answers as a probability distribution: sample, score, complete, compress.

import quasistatic as qs
model = qs.Diffusion(
    space=qs.Binary(20),
    kernel=qs.BinomialKernel(qs.schedules.erase_evenly(2000), mean=0.2),
    head=qs.Clean(),
    network=qs.networks.MLP(20, width=50),
)
qs.fit(model, x_train, steps=5000)
model.sample(16)
model.score(x_test).bits_per_dim
model.complete(x, mask)
model.compress(x)
"""

__version__ = "0.1.0"

from . import data, grids, information, networks, oracles, pacing, progressive, quality, schedules
from .anomalies import Anomalies, AnomalyDetector
from .coding import Codec, LayeredCodec, StreamError
from .diffusion import Diffusion
from .estimators import DiffusionDensity, DiffusionImputer, DiffusionOutliers
from .factors import Anything, Label, Linear, Observed, Smooth
from .heads import (
    Classes,
    Clean,
    Corrected,
    Equilibrium,
    Exact,
    Levels,
    Mean,
    Natural,
    Noise,
    ProductHead,
    Spread,
    Velocity,
)
from .kernels import BinomialKernel, CategoricalKernel, GaussianKernel, ProductKernel
from .likelihood import ContinuousTime, Flow, Importance, Sandwich, Score
from .objectives import Bound, Hybrid, MinimumVariance, Simple
from .pictorial import pictorial
from .posteriors import Posterior
from .pretrained import load_pretrained, pretrained
from .references import cite
from .soundness import Report, check
from .spaces import Binary, Continuous, Dequantized, OneHot, Quantized, Table
from .tabular import tabular
from .training import Fit, NonFiniteLoss, fit
from .variances import Analytic, FixedLarge, FixedSmall, Interpolated, Sigmoid
from .warps import YeoJohnson

load = Diffusion.load

__all__ = [
    "Anomalies",
    "AnomalyDetector",
    "Analytic",
    "Anything",
    "Binary",
    "BinomialKernel",
    "Bound",
    "CategoricalKernel",
    "Classes",
    "Clean",
    "Codec",
    "Label",
    "LayeredCodec",
    "Linear",
    "Observed",
    "OneHot",
    "Posterior",
    "ProductHead",
    "ProductKernel",
    "Smooth",
    "Continuous",
    "ContinuousTime",
    "Corrected",
    "Dequantized",
    "Diffusion",
    "DiffusionDensity",
    "DiffusionImputer",
    "DiffusionOutliers",
    "Equilibrium",
    "Exact",
    "Fit",
    "FixedLarge",
    "FixedSmall",
    "Flow",
    "GaussianKernel",
    "Hybrid",
    "Importance",
    "Interpolated",
    "Levels",
    "Mean",
    "MinimumVariance",
    "Natural",
    "Noise",
    "NonFiniteLoss",
    "Quantized",
    "Report",
    "Sandwich",
    "Score",
    "Sigmoid",
    "Simple",
    "Spread",
    "StreamError",
    "Table",
    "Velocity",
    "YeoJohnson",
    "check",
    "cite",
    "data",
    "fit",
    "grids",
    "information",
    "load",
    "load_pretrained",
    "networks",
    "oracles",
    "pacing",
    "pictorial",
    "pretrained",
    "progressive",
    "quality",
    "schedules",
    "tabular",
]
