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

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import (
        checkpoints,
        coding,
        conditions,
        data,
        diagnostics,
        distributions,
        estimators,
        heads,
        kernels,
        likelihood,
        networks,
        opened,
        reporting,
        sampling,
        spaces,
        training,
    )
    from ._utils.references import cite
    from .checkpoints import (
        from_diffusers,
        from_edm,
        from_improved_diffusion,
        measure_decoder,
        to_diffusers,
    )
    from .coding import Codec, LayeredCodec, StreamError
    from .conditions import Condition
    from .diagnostics.anomalies import Anomalies, AnomalyDetector
    from .diagnostics.identities import Report, check
    from .diffusion import Diffusion, load, register
    from .estimators import (
        DiffusionClassifier,
        DiffusionDensity,
        DiffusionImputer,
        DiffusionOutliers,
        DiffusionRegressor,
    )
    from .heads import (
        Classes,
        Clean,
        Clipped,
        Corrected,
        Equilibrium,
        Exact,
        Head,
        Levels,
        Mean,
        Natural,
        Noise,
        ProductHead,
        Spread,
        Velocity,
    )
    from .heads.variances import (
        Analytic,
        FixedLarge,
        FixedSmall,
        Interpolated,
        LearnedRange,
        Sigmoid,
    )
    from .kernels import (
        BinomialKernel,
        CategoricalKernel,
        GaussianKernel,
        Kernel,
        ProductKernel,
        schedules,
    )
    from .kernels.schedules import Schedule
    from .likelihood import (
        AdaptiveBound,
        ContinuousTime,
        Elbo,
        Flow,
        FlowMapDensity,
        Importance,
        Method,
        OverClasses,
        Sandwich,
        Score,
    )
    from .model import Model
    from .opened import open
    from .recipes.image import pictorial
    from .recipes.pretrained import load_pretrained, pretrained
    from .recipes.spectral import spectral_law, spectral_law_per_class, spectral_model
    from .recipes.tabular import tabular
    from .sampling import (
        SMC,
        CorrectedGuidance,
        FlowMap,
        Guidance,
        Guided,
        Posterior,
        PosteriorMethod,
        Stepper,
    )
    from .sampling.factors import Anything, Factor, Label, Linear, Observed, Smooth
    from .spaces import Binary, Continuous, Dequantized, Latent, OneHot, Quantized, Space, Table
    from .spaces.yeo_johnson import YeoJohnson
    from .training import (
        Bound,
        Evidence,
        Fit,
        Hybrid,
        MeanFlow,
        MinimumVariance,
        NonFiniteLoss,
        Objective,
        ProgressiveDistillation,
        Simple,
        distill,
        fit,
    )

__all__ = [
    "AdaptiveBound",
    "Analytic",
    "Anomalies",
    "AnomalyDetector",
    "Anything",
    "Binary",
    "BinomialKernel",
    "Bound",
    "CategoricalKernel",
    "check",
    "checkpoints",
    "cite",
    "Classes",
    "Clean",
    "Clipped",
    "Codec",
    "coding",
    "Condition",
    "conditions",
    "Continuous",
    "ContinuousTime",
    "Corrected",
    "CorrectedGuidance",
    "data",
    "Dequantized",
    "diagnostics",
    "Diffusion",
    "DiffusionClassifier",
    "DiffusionDensity",
    "DiffusionImputer",
    "DiffusionOutliers",
    "DiffusionRegressor",
    "distill",
    "distributions",
    "Elbo",
    "Equilibrium",
    "estimators",
    "Evidence",
    "Exact",
    "Factor",
    "Fit",
    "fit",
    "FixedLarge",
    "FixedSmall",
    "Flow",
    "FlowMap",
    "FlowMapDensity",
    "from_diffusers",
    "from_edm",
    "from_improved_diffusion",
    "GaussianKernel",
    "Guidance",
    "Guided",
    "Head",
    "heads",
    "Hybrid",
    "Importance",
    "Interpolated",
    "Kernel",
    "kernels",
    "Label",
    "Latent",
    "LayeredCodec",
    "LearnedRange",
    "Levels",
    "likelihood",
    "Linear",
    "load",
    "load_pretrained",
    "Mean",
    "MeanFlow",
    "measure_decoder",
    "Method",
    "MinimumVariance",
    "Model",
    "Natural",
    "networks",
    "Noise",
    "NonFiniteLoss",
    "Objective",
    "Observed",
    "OneHot",
    "open",
    "opened",
    "OverClasses",
    "pictorial",
    "Posterior",
    "PosteriorMethod",
    "pretrained",
    "ProductHead",
    "ProductKernel",
    "ProgressiveDistillation",
    "Quantized",
    "register",
    "Report",
    "reporting",
    "sampling",
    "Sandwich",
    "Schedule",
    "schedules",
    "Score",
    "Sigmoid",
    "Simple",
    "SMC",
    "Smooth",
    "Space",
    "spaces",
    "spectral_law_per_class",
    "spectral_law",
    "spectral_model",
    "Spread",
    "Stepper",
    "StreamError",
    "Table",
    "tabular",
    "to_diffusers",
    "training",
    "Velocity",
    "YeoJohnson",
]

_PACKAGES = (
    "checkpoints",
    "coding",
    "conditions",
    "data",
    "diagnostics",
    "distributions",
    "estimators",
    "heads",
    "kernels",
    "likelihood",
    "networks",
    "opened",
    "reporting",
    "sampling",
    "spaces",
    "training",
)
_HOMES = {
    "._utils.references": "cite",
    ".checkpoints": "from_diffusers from_edm from_improved_diffusion measure_decoder to_diffusers",
    ".coding": "Codec LayeredCodec StreamError",
    ".conditions": "Condition",
    ".diagnostics.anomalies": "Anomalies AnomalyDetector",
    ".diagnostics.identities": "Report check",
    ".diffusion": "Diffusion load register",
    ".estimators": "DiffusionClassifier DiffusionDensity DiffusionImputer DiffusionOutliers "
    "DiffusionRegressor",
    ".heads": "Classes Clean Clipped Corrected Equilibrium Exact Head Levels Mean Natural Noise "
    "ProductHead Spread Velocity",
    ".heads.variances": "Analytic FixedLarge FixedSmall Interpolated LearnedRange Sigmoid",
    ".kernels": "BinomialKernel CategoricalKernel GaussianKernel Kernel ProductKernel schedules",
    ".kernels.schedules": "Schedule",
    ".likelihood": "AdaptiveBound ContinuousTime Elbo Flow FlowMapDensity Importance Method "
    "OverClasses Sandwich Score",
    ".model": "Model",
    ".opened": "open",
    ".recipes.image": "pictorial",
    ".recipes.pretrained": "load_pretrained pretrained",
    ".recipes.spectral": "spectral_law_per_class spectral_law spectral_model",
    ".recipes.tabular": "tabular",
    ".sampling": "CorrectedGuidance FlowMap Guidance Guided Posterior PosteriorMethod SMC Stepper",
    ".sampling.factors": "Anything Factor Label Linear Observed Smooth",
    ".spaces": "Binary Continuous Dequantized Latent OneHot Quantized Space Table",
    ".spaces.yeo_johnson": "YeoJohnson",
    ".training": "Bound Evidence Fit Hybrid MeanFlow MinimumVariance NonFiniteLoss Objective "
    "ProgressiveDistillation Simple distill fit",
}
"""The module of each public name. A name is imported when it is first used, so that
`import quasistatic` costs nothing, and a command pays only for what it needs."""

_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f".{name}", __name__)
    if name in _HOME:
        found = getattr(import_module(_HOME[name], __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
