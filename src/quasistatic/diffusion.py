r"""A trained chain as a distribution: sample, score, complete; and as two files on disk."""

__all__ = ["Completion", "Diffusion"]

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor, nn

from . import config, files, heads, kernels, networks, schedules, spaces, variances
from .checkpoints import FORMAT
from .checks import as_array, as_tensor
from .factors import Observed
from .likelihood import Method, Sandwich, Score, bound, bound_to, sandwich
from .model import Model
from .posteriors import posterior
from .samplers import ancestral

KNOWN = {
    name: getattr(room, name)
    for room in (spaces, kernels, variances, heads, networks)
    for name in room.__all__
} | {"Schedule": lambda kind, arguments: _schedule(kind, arguments)}


@dataclass(frozen=True)
class Completion:
    """Draws of whole examples given their known values.

    Args:
        draws: raw data with shape (N, draws, *), the known values bit-equal in each.
        log_evidence: log p(known values), with shape (N,), in nats of the raw data's units.
    """

    draws: Tensor
    log_evidence: Tensor

    @property
    def mean(self) -> Tensor:
        """The posterior mean, with shape (N, *)."""
        return self.draws.mean(1)

    @property
    def deviation(self) -> Tensor:
        """The posterior standard deviation, with shape (N, *)."""
        return self.draws.std(1, correction=0)


class Diffusion(Model):
    r"""A diffusion model that answers as a probability distribution; see :class:`Model` for the
    four parts that make it. Its verbs take NumPy arrays or tensors of raw data."""

    def sample(
        self,
        n: int,
        times: int | Sequence[int] | Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """n exact draws as raw data, with shape (n, *), along all T steps or those of `times`."""
        return ancestral(self, n, times, rng)

    def score(
        self,
        x: object,
        evaluations: int | EllipsisType | None = ...,
        times: int | Sequence[int] | Tensor | None = None,
        rng: torch.Generator | None = None,
        *,
        stderr: float | None = None,
        each: bool = False,
        method: Method | None = None,
    ) -> Score:
        """log p(x) for each example of x (N, *), with its terms, units, standard error and cost.

        By default the bound, from below: `evaluations` of the network are spent on each example,
        spread evenly over the steps, and what they leave open is in the standard error.

        Args:
            evaluations: of the network, for each example; 64 if left out. None, or as many as
                there are steps, sums every term. With `stderr` it is the most that may be spent.
            times: the chain to score, see :meth:`Model.times`; by default all T steps.
            stderr: of the mean over the examples, in bits a value, for as few evaluations as it
                takes; they are allotted to where the noise is (:func:`likelihood.bound_to`).
            each: `stderr` is that of each example's own value.
            method: another way to score, `Importance(paths)` or `Flow()`, which has its own cost.

        Raises:
            TypeError: if the model's kernel cannot serve the method: which can.
            ValueError: if the times make no chain, a budget is out of range, or a method is given
                a budget that it has no use for.
        """
        budget = None if isinstance(evaluations, EllipsisType) else evaluations
        if method is not None:
            if stderr is not None or not isinstance(evaluations, EllipsisType):
                raise ValueError(
                    f"evaluations and stderr are for the bound, and {method} has a cost of its "
                    "own: leave them out, or leave the method out"
                )
            return method(self, x, times, rng)
        if stderr is not None:
            return bound_to(self, x, stderr, each, budget, times, rng)
        terms = len(self.times(times)) - self.space.first_term
        shares = 64 if isinstance(evaluations, EllipsisType) else evaluations
        return bound(self, x, None if shares is None or shares >= terms else shares, times, rng)

    def sandwich(
        self,
        n: int = 256,
        paths: int = 1,
        times: int | Sequence[int] | Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Sandwich:
        """log p from below and from above, for n draws of the model, by that many weighted paths
        each: how far its bound can be from the truth."""
        return sandwich(self, n, paths, times, rng)

    def complete(
        self,
        x: object,
        mask: object,
        draws: int = 16,
        times: int | Sequence[int] | Tensor | None = None,
        rng: torch.Generator | None = None,
        particles: int = 8,
    ) -> Completion:
        """Draws of the values of x (N, *) that are missing, given the others.

        Each draw has a set of particles of its own, which walk from noise to data, weighted by
        what the known values say of each step and resampled (:func:`posterior`), and is one of
        them: draws are independent, and exact in the limit of many particles.

        Args:
            mask: True where a value is missing, with the shape of x; what x holds there (NaN,
                say) is ignored.
            draws: how many to return for each example.
            particles: how many walk for each draw; draws x particles rows for each example.

        Raises:
            ValueError: if the mask has another shape, or a known value is not one of the space.
        """
        if draws < 1 or particles < 1:
            raise ValueError(f"draws and particles must be 1 or more, got {draws} and {particles}")
        known, y = self._known(x, mask)
        x_0 = self.space.encode(y.to(self.blank(1)), rng)
        variance = torch.where(known.to(x_0.device), 0.0, torch.inf).to(x_0)
        rows = draws * particles
        factor = Observed(x_0.repeat_interleave(rows, 0), variance.repeat_interleave(rows, 0))
        found, log_evidence = posterior(self, factor, len(y) * draws, particles, times, rng)
        chosen = torch.randint(particles, (len(found),), generator=rng)
        x_0 = found[torch.arange(len(found)), chosen]
        raw = self.space.decode(x_0).unflatten(0, (len(y), draws)).cpu()
        raw = torch.where(known[:, None], y[:, None], raw.to(y.dtype))
        evidence = log_evidence.reshape(len(y), draws).logsumexp(1) - math.log(draws)
        return Completion(raw, evidence)

    def resized(self, shape: int | tuple[int, ...]) -> "Diffusion":
        """This model for examples of another shape, with its weights: what a convolutional
        network learned of small textures holds for large ones.

        Raises:
            TypeError: if the network or the space has parts of their own for each place.
        """
        sizes = [shape] if isinstance(shape, int) else list(shape)
        description = self.describe()
        for name in ("space", "network"):
            description[name] = description[name] | {"shape": sizes}
        try:
            model = type(self).build(description)
            model.load_state_dict(self.state_dict())
        except (RuntimeError, ValueError) as error:
            raise TypeError(
                f"the model cannot be moved to data of shape {tuple(sizes)}: {error}"
            ) from None
        return model.to(self.blank(1)).train(self.training)

    def save(self, folder: str | Path, **facts: Any) -> None:
        """Writes `config.json` and `model.safetensors` to a folder, whole or not at all."""
        folder = Path(folder)
        files.save_tensors(folder / "model.safetensors", self.state_dict(), facts)
        text = json.dumps({"format": FORMAT, "model": self.describe()}, indent=2)
        files.write_text(folder / "config.json", text + "\n")

    @classmethod
    def build(cls, description: dict, network: nn.Module | None = None) -> "Diffusion":
        """The model that :meth:`describe` described, with new weights; a network of your own
        class has to be given."""
        kinds = ("space", "kernel", "head") + (() if network is not None else ("network",))
        missing = [name for name in kinds if name not in description]
        if missing:
            raise ValueError(f"the description of a model lacks {', '.join(missing)}")
        parts = {name: config.build(description[name], KNOWN) for name in kinds}
        return cls(**({"network": network} | parts))

    @classmethod
    def load(cls, folder: str | Path, network: nn.Module | None = None) -> "Diffusion":
        """The model in a folder that :meth:`save` or a training run wrote.

        Raises:
            FileNotFoundError: if the folder or one of its two files is missing.
            ValueError: if they are damaged, from another version, or do not fit together.
        """
        folder = Path(folder)
        stored = read_config(folder)
        model = cls.build(stored["model"], network)
        tensors, _ = files.load_tensors(folder / "model.safetensors")
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(
                f"the weights in {folder} do not fit its config.json: {error}"
            ) from None
        return model.eval()

    def _known(self, x: object, mask: object) -> tuple[Tensor, Tensor]:
        """Where x is known, and x with what is missing replaced by something the space holds."""
        array = as_tensor(x, "x")
        hidden = as_array(mask, self.space.shape, "mask")
        if tuple(hidden.shape) != tuple(array.shape):
            raise ValueError(
                f"the mask must have the shape of x, {tuple(array.shape)}, got "
                f"{tuple(hidden.shape)}: True where a value is missing"
            )
        hidden = hidden.bool().cpu()
        filled = torch.where(hidden, torch.zeros((), dtype=array.dtype), array.cpu())
        return ~hidden, self.space.check(filled)


def read_config(folder: Path) -> dict:
    """The `config.json` of a folder, checked for its version."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no config.json: it is not a run, or was cut short")
    try:
        stored = json.loads(path.read_text())
        version = stored["format"]
        stored["model"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): restore it or train again") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}, and this version of quasistatic reads {FORMAT}: "
            "use the version that wrote it, or train again"
        )
    return stored


def _schedule(kind: str, arguments: dict) -> schedules.Schedule:
    makers = {name: getattr(schedules, name) for name in schedules.__all__ if name != "Schedule"}
    return config.build({"is": kind, **arguments}, makers)
