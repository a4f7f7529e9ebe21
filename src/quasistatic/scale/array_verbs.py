"""The verbs of arrays and images on a partition of examples: the answer for an example does not
depend on the examples beside it."""

__all__ = ["ARRAY_VERBS", "ArrayVerb", "Compress"]

import abc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from .._utils.randomness import mixed_seed
from ..coding import Codec
from ..diffusion import Diffusion
from ..estimators.network_completion import completed_by_row
from ..likelihood import ContinuousTime
from ..likelihood.row_noise import bound_by_row
from ..networks.corrects_law import CorrectsLaw
from .numbered_draws import drawn_blocks
from .table_verb import log_prob_facts

TOGETHER = 32
"""Examples that a network sees at once. A batch always has as many: the last one is filled up with
examples again, so that an example is computed alike in every batch."""

DRAWN_AT_ONCE = 32
"""Draws that share a seed: a draw is computed with all others of its block."""

Arrays = dict[str, np.ndarray]


class ArrayVerb(abc.ABC):
    """A verb of a model of arrays or images."""

    name: ClassVar[str]
    arrays_out: ClassVar[tuple[str, ...]] = ()
    """The answers that are arrays of the model's shape; the others are one number an example."""

    @abc.abstractmethod
    def __call__(self, x: np.ndarray) -> Arrays:
        """Answers examples x (N, *): arrays by name."""

    def facts(self, found: Arrays) -> dict[str, float]:
        """Sums over an answer that a job reports, by name."""
        return {}


def in_blocks(work: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """What `work` gives for examples x (N, *), which it always sees as many at once."""
    parts = []
    for first in range(0, len(x), TOGETHER):
        own = np.arange(first, min(first + TOGETHER, len(x)))
        parts.append(work(x[np.resize(own, TOGETHER)])[: len(own)])
    return np.concatenate(parts) if parts else work(np.repeat(x[:1], 0, 0))


@dataclass(frozen=True)
class Score(ArrayVerb):
    """A lower bound on log p of each example, in nats, with noise that depends on the seed and on
    the example alone.

    Args:
        model: the model.
        evaluations: network evaluations for each example.
        seed: of the noise.
    """

    name = "score"
    model: Diffusion
    evaluations: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        _require_count("evaluations", self.evaluations)

    def __call__(self, x: np.ndarray) -> Arrays:
        return {"log_prob": in_blocks(self._scored, x)}

    def _scored(self, x: np.ndarray) -> np.ndarray:
        if isinstance(self.model.network, CorrectsLaw):
            rng = torch.Generator().manual_seed(self.seed)
            method = ContinuousTime(self.evaluations, by_row=True)
            found = self.model.score(x, method=method, rng=rng).nats
        else:
            found = bound_by_row(self.model, x, self.evaluations, self.seed)
        return found.double().cpu().numpy()

    def facts(self, found: Arrays) -> dict[str, float]:
        return log_prob_facts(found["log_prob"])


@dataclass(frozen=True)
class Outliers(ArrayVerb):
    """Anomaly score, p-value and verdict of each image.

    Args:
        detector: gives the calibrated detector of the model.
        level: the share of ordinary images that may be called outliers.
    """

    name = "outliers"
    detector: Callable[[], Any]
    level: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level is a share between 0 and 1, got {self.level}")

    @cached_property
    def _detector(self) -> Any:
        return self.detector()

    def __call__(self, x: np.ndarray) -> Arrays:
        def judged(block: np.ndarray) -> np.ndarray:
            found = self._detector.score(block)
            each = (found.scores, found.p_values, found.strange(self.level))
            return np.stack([part.double().cpu().numpy() for part in each], 1)

        score, p_value, outlier = in_blocks(judged, x).T
        return {"excess": score, "p_value": p_value, "outlier": outlier.astype(np.int64)}

    def facts(self, found: Arrays) -> dict[str, float]:
        return {"found": float(found["outlier"].sum())}


@dataclass(frozen=True)
class Complete(ArrayVerb):
    """Draws of the missing values of each example, NaN, from their posterior given the known ones.
    Equal examples have equal draws.

    Args:
        model: the model.
        draws: of each example.
        particles: of the sequential Monte Carlo for each example.
        times: evenly spread time steps of the chain.
        seed: of the draws.
    """

    name = "complete"
    arrays_out = ("completed",)
    model: Diffusion
    draws: int = 16
    particles: int = 32
    times: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        _require_count("draws", self.draws)
        _require_count("particles", self.particles)

    def __call__(self, x: np.ndarray) -> Arrays:
        return {"completed": self.drawn(x)}

    def drawn(self, x: np.ndarray) -> np.ndarray:
        """The draws, with shape (N, draws, *); whole examples are copied."""
        x = np.asarray(x, dtype=np.float64)
        out = np.repeat(x[:, None], self.draws, 1)
        holed = np.flatnonzero(np.isnan(x.reshape(len(x), -1)).any(1))
        if len(holed):
            particles, times = max(self.particles, self.draws), min(self.times, self.model.steps)
            out[holed] = completed_by_row(
                self.model, x[holed], self.draws, particles, self.seed, False, times
            )
        return out


@dataclass(frozen=True)
class Impute(ArrayVerb):
    """Examples with their missing values, NaN, filled by a summary of draws.

    Args:
        model: the model.
        by: "draw" for one draw, or "mean" or "median" of the draws.
        draws: that are summarised.
        particles: of the sequential Monte Carlo for each example.
        times: evenly spread time steps of the chain.
        seed: of the draws.
    """

    name = "impute"
    arrays_out = ("imputed",)
    model: Diffusion
    by: Literal["draw", "mean", "median"] = "draw"
    draws: int = 16
    particles: int = 32
    times: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in FILLS:
            raise ValueError(f"by is one of {', '.join(FILLS)}, got {self.by!r}")
        _require_count("draws", self.draws)

    def __call__(self, x: np.ndarray) -> Arrays:
        complete = Complete(self.model, self.draws, self.particles, self.times, self.seed)
        found = FILLS[self.by](complete.drawn(x))
        found = found.round() if self.model.space.levels is not None else found
        return {"imputed": np.where(np.isnan(x), found, x)}


FILLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "draw": lambda draws: draws[:, 0],
    "mean": lambda draws: draws.mean(1),
    "median": lambda draws: np.median(draws, 1),
}


@dataclass(frozen=True)
class Sample(ArrayVerb):
    """Draws of the model. A batch names the draws by number; draw i is the same in every batch.

    Args:
        model: the model.
        times: evenly spread time steps of the chain; None for all.
        seed: of the draws.
    """

    name = "sample"
    arrays_out = ("sample",)
    model: Diffusion
    times: int | None = None
    seed: int = 0

    def __call__(self, x: np.ndarray) -> Arrays:
        parts = []
        for block, index in drawn_blocks(np.asarray(x).ravel(), DRAWN_AT_ONCE):
            whole = self.model.sample(DRAWN_AT_ONCE, self.times, mixed_seed(self.seed, block))
            parts.append(whole.cpu().numpy()[index])
        found = np.concatenate(parts) if parts else np.empty((0, *self.model.space.shape))
        return {"sample": found}


@dataclass(frozen=True)
class Compress(ArrayVerb):
    """A partition as one stream.

    Args:
        model: the model.
        times: evenly spread time steps of the chain.
        verify: whether each block is read back.
        portable: whether any machine can read the stream.
    """

    name = "compress"
    model: Diffusion
    times: int = 50
    verify: bool = True
    portable: bool = True

    @cached_property
    def codec(self) -> Codec:
        """The codec of the model's examples."""
        model = self.model
        times = min(self.times, model.steps) if model.head.jumps else model.steps
        return Codec(model, times, verify=self.verify, portable=self.portable, workers=1)

    def __call__(self, x: np.ndarray) -> Arrays:
        stream = self.codec.compress(x)
        return {"rows": np.array([len(x)]), "stream": np.array([stream], dtype=object)}

    def facts(self, found: Arrays) -> dict[str, float]:
        return {"stream_bytes": float(sum(map(len, found["stream"])))}


@dataclass(frozen=True)
class Decompress(ArrayVerb):
    """The examples of streams that `compress` wrote.

    Args:
        model: the model.
    """

    name = "decompress"
    arrays_out = ("data",)
    model: Diffusion

    def __call__(self, x: np.ndarray) -> Arrays:
        return {"data": np.concatenate([self.model.decompress(bytes(stream)) for stream in x])}


def _require_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, got {value}")


ARRAY_VERBS: dict[str, Callable[..., Any]] = {
    each.name: each for each in (Score, Outliers, Impute, Complete, Sample, Compress, Decompress)
}
"""The verbs by name; each takes the model and its options."""
