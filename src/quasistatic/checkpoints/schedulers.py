"""A diffusers scheduler's configuration as the forward process and the head of a model, and back.

A scheduler mixes facts about the training (the noise, what the network predicts) with the choice of
a sampler. Only the facts are read: samplers are the steppers of :mod:`quasistatic.sampling`.
"""

__all__ = ["HEADS", "Training", "config_of_training", "training_of_config"]

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .._utils.naming import nearest
from ..heads import Clean, Noise, Preconditioned, Velocity
from ..heads.estimates import EstimateHead
from ..heads.variances import FixedLarge, FixedSmall, LearnedRange, Variance
from ..kernels import schedules
from ..kernels.schedules import Schedule

CLIPPING = {"DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler"}
"""Schedulers that limit x_0 where they do not say otherwise."""

OTHERS = {
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DPMSolverSDEScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
}
"""Other schedulers of the same forward process."""

EDM = {"EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"}
"""Schedulers whose network is preconditioned by the noise scale."""

REFUSED = {
    "ScoreSdeVeScheduler": "its noise grows without a limit, and its network sees the noise scale",
    "KarrasVeScheduler": "its noise grows without a limit, and its network sees the noise scale",
    "FlowMatchEulerDiscreteScheduler": "it is a flow along straight lines",
    "FlowMatchHeunDiscreteScheduler": "it is a flow along straight lines",
    "VQDiffusionScheduler": "it is a process of categories",
    "LCMScheduler": "its network is distilled and denoises in few steps",
    "TCDScheduler": "its network is distilled and denoises in few steps",
    "CMStochasticIterativeScheduler": "its network is a consistency model",
}
"""Schedulers that are no forward process of :class:`GaussianKernel`, and why."""

# Some solvers have the noise of Stable Diffusion as their default.
STABLE = {"HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"}

HEADS: dict[str, type[EstimateHead]] = {
    "epsilon": Noise,
    "v_prediction": Velocity,
    "sample": Clean,
}
"""The heads that a `prediction_type` names."""

VARIANCES: dict[str, type[Variance]] = {
    "fixed_small": FixedSmall,
    "fixed_small_log": FixedSmall,
    "fixed_large": FixedLarge,
    "learned_range": LearnedRange,
}


@dataclass(frozen=True)
class Training:
    """What a network was trained for.

    Args:
        schedule: the noise.
        head: what the network's output means.
        clip: the limit of x_0 in the draws of the scheduler; None for no limit.
        deviation: of the data, where the network is preconditioned by the noise scale (EDM); None
            where it sees the step.
    """

    schedule: Schedule
    head: EstimateHead
    clip: float | None
    deviation: float | None = None


def training_of_config(
    config: Mapping[str, Any], outputs: int, variance: Variance | None = None
) -> Training:
    """What a scheduler's configuration says about the training.

    Args:
        config: of a scheduler.
        outputs: numbers that the network returns for each value of x.
        variance: of the reverse step, in place of the scheduler's; None for that.

    Raises:
        ValueError: if the scheduler is no forward process of this library: which, and why.
    """
    name = str(config.get("_class_name", "a scheduler without a name"))
    _require_known(name, config)
    if name in EDM:
        return _edm(config, outputs, variance)
    schedule = _schedule(name, config)
    predicts = config.get("prediction_type")
    if predicts is None:  # configurations of 2022 have a flag
        predicts = "epsilon" if config.get("predict_epsilon", True) else "sample"
    if predicts not in HEADS:
        raise ValueError(
            f"the network predicts {predicts!r}, and from_diffusers knows {', '.join(HEADS)}"
        )
    if predicts == "epsilon" and schedule.alpha_bar[-1] == 0:
        raise ValueError(
            "the scheduler leaves no signal at T (rescale_betas_zero_snr), and the network "
            "predicts the noise, from which x_0 does not follow there: such a network predicts v "
            "or x_0; correct prediction_type if it does"
        )
    head = HEADS[predicts](variance or _variance(config, outputs))
    if config.get("thresholding"):
        warnings.warn(
            "the scheduler limits x_0 by a quantile of each image (thresholding), which is a part "
            "of its sampler and not of the model: draw with a stepper that has "
            "limits=DynamicThreshold() for the same draws",
            stacklevel=4,
        )
    clips = config.get("clip_sample", name in CLIPPING) and not config.get("thresholding")
    return Training(schedule, head, float(config.get("clip_sample_range", 1.0)) if clips else None)


def _edm(config: Mapping[str, Any], outputs: int, variance: Variance | None) -> Training:
    """What the configuration of an EDM scheduler says."""
    steps = int(config.get("num_train_timesteps", 1000))
    low, high = float(config.get("sigma_min", 0.002)), float(config.get("sigma_max", 80.0))
    kind = config.get("sigma_schedule", "karras")
    if kind == "karras":
        schedule = schedules.karras(steps, low, high, float(config.get("rho", 7.0)))
    elif kind == "exponential":
        schedule = schedules.linear_log_snr(steps, -2 * math.log(low), -2 * math.log(high))
    else:
        raise ValueError(
            f"the scheduler has sigma_schedule={kind!r}, and from_diffusers knows karras and "
            "exponential"
        )
    predicts = config.get("prediction_type", "epsilon")
    if predicts != "epsilon":
        raise ValueError(
            f"the scheduler is one of EDM with prediction_type={predicts!r}, and from_diffusers "
            "knows 'epsilon', the preconditioning of EDM itself"
        )
    deviation = float(config.get("sigma_data", 0.5))
    found = variance or _variance({"variance_type": "fixed_small"}, outputs)
    return Training(schedule, Preconditioned(found, deviation), None, deviation)


def _require_known(name: str, config: Mapping[str, Any]) -> None:
    """ValueError if a scheduler is no forward process of this library."""
    known = sorted(CLIPPING | OTHERS | EDM)
    if name in REFUSED:
        raise ValueError(f"{name} is no forward process that is supported: {REFUSED[name]}")
    if name not in known:
        raise ValueError(f"{name} is not a scheduler that is known: {nearest(name, known)}")
    if config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction":
        raise ValueError(f"{name} is set to a flow along straight lines, which is not supported")
    if config.get("timestep_type", "discrete") != "discrete":
        raise ValueError(
            f"{name} has timestep_type={config['timestep_type']!r}: its network sees the noise "
            "scale, and 'discrete' steps are supported"
        )


def _variance(config: Mapping[str, Any], outputs: int) -> Variance:
    """The variance of the reverse step; where a sampler says none, beta_tilde as DDIM with eta = 1
    has it."""
    said = config.get("variance_type")
    if said is None:
        said = "fixed_small" if outputs == 1 else "learned_range"
    if said not in VARIANCES:
        raise ValueError(
            f"the scheduler has variance_type={said!r}, and from_diffusers knows "
            f"{', '.join(VARIANCES)}: pass variance=FixedSmall(), for example"
        )
    made = VARIANCES[said]()
    if made.outputs + 1 != outputs:
        raise ValueError(
            f"the scheduler has variance_type={said!r}, and the network returns {outputs} "
            "numbers for each value: a learned range takes 2 and a fixed variance 1"
        )
    return made


def _schedule(name: str, config: Mapping[str, Any]) -> Schedule:
    """The noise that a scheduler's configuration describes."""
    steps = int(config.get("num_train_timesteps", 1000))
    first, last = (8.5e-4, 0.012) if name in STABLE else (1e-4, 0.02)
    first, last = float(config.get("beta_start", first)), float(config.get("beta_end", last))
    kind, betas = config.get("beta_schedule", "linear"), config.get("trained_betas")
    if betas is not None:
        made = _of_betas(torch.tensor(betas, dtype=torch.float64))
    elif kind == "linear":
        made = schedules.linear(steps, first, last)
    elif kind == "scaled_linear":
        made = schedules.quadratic(steps, first, last)
    elif kind == "squaredcos_cap_v2":
        made = schedules.cosine(steps)
    elif kind == "sigmoid":
        ramp = torch.linspace(-6, 6, steps, dtype=torch.float64)
        made = _of_betas(ramp.sigmoid() * (last - first) + first)
    else:
        raise ValueError(
            f"the scheduler has beta_schedule={kind!r}, and from_diffusers knows linear, "
            "scaled_linear, squaredcos_cap_v2, sigmoid and trained_betas"
        )
    if made.steps != steps:
        raise ValueError(
            f"the scheduler has {made.steps} trained_betas and num_train_timesteps={steps}: it is "
            "damaged"
        )
    return _without_signal(made) if config.get("rescale_betas_zero_snr") else made


def _of_betas(beta: Tensor) -> Schedule:
    """The schedule of a table of beta_1, ..., beta_T."""
    return schedules.custom(torch.log1p(-beta).cumsum(0).exp().tolist())


def _without_signal(schedule: Schedule) -> Schedule:
    """The signal shifted and scaled so that none is left at T and alpha_bar_1 stays (Lin et al.
    2024, Alg. 1)."""
    signal = schedule.alpha_bar[1:].sqrt()
    signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
    return schedules.custom((signal**2).tolist())


def config_of_training(
    schedule: Schedule, head: EstimateHead, clip: float | None
) -> dict[str, Any]:
    """The configuration of a `DDPMScheduler` that draws as a model does.

    Raises:
        ValueError: if there is none: why.
    """
    variance = head.variance
    names = {LearnedRange: "learned_range", FixedSmall: "fixed_small", FixedLarge: "fixed_large"}
    if type(variance) not in names:
        raise ValueError(
            f"DDPMScheduler has no variance {type(variance).__name__}: it has "
            f"{', '.join(each.__name__ for each in names)}"
        )
    said = {kind: name for name, kind in HEADS.items()}
    return {
        "_class_name": "DDPMScheduler",
        **_config_of_schedule(schedule),
        "num_train_timesteps": schedule.steps,
        "prediction_type": said[type(head)],
        "variance_type": names[type(variance)],
        "clip_sample": clip is not None,
        "clip_sample_range": 1.0 if clip is None else clip,
        "thresholding": False,
        "timestep_spacing": "leading",
        "steps_offset": 0,
        "rescale_betas_zero_snr": False,
    }


def _config_of_schedule(schedule: Schedule) -> dict[str, Any]:
    """The betas of a schedule: by their formula where diffusers has it, else as a table."""
    arguments = schedule.arguments
    formulas = {"linear": "linear", "quadratic": "scaled_linear"}
    if schedule.kind in formulas:
        ends = {"beta_start": arguments["first"], "beta_end": arguments["last"]}
        return {"beta_schedule": formulas[schedule.kind], **ends, "trained_betas": None}
    usual = schedules.cosine(schedule.steps)
    if schedule.kind == "cosine" and arguments == usual.arguments:
        return {"beta_schedule": "squaredcos_cap_v2", "trained_betas": None}
    beta = schedule.beta.detach()
    return {"beta_schedule": "linear", "trained_betas": beta.tolist()}
