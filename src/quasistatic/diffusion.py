r"""A trained chain as a distribution: sample, score, complete, compress; and as two files."""

__all__ = ["Diffusion", "load"]

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import heads, kernels, networks, spaces
from ._utils import files, serialization
from ._utils.allocation import Misfit, require_weights
from ._utils.serialization import FORMAT
from ._utils.validation import as_array, as_tensor
from .coding import Codec
from .heads import variances
from .kernels import schedules
from .likelihood import Method, Sandwich, Score, bound, bound_to, sandwich
from .likelihood.terms import count_terms
from .model import Model
from .networks.earlier_classes import converted_description, converted_tensors
from .sampling import Posterior, conditioned
from .sampling.ancestral import ancestral
from .sampling.factors import Factor, Observed
from .spaces import yeo_johnson

KNOWN = {
    name: getattr(room, name)
    for room in (spaces, spaces.columns, yeo_johnson, kernels, variances, heads, networks)
    for name in room.__all__
} | {"Schedule": lambda kind, arguments: _schedule(kind, arguments)}


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
            method: another way to score, `Importance(paths)`, `Flow()` or `ContinuousTime()`,
                which has its own cost.

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
        terms = count_terms(self, times)
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

    def posterior(
        self,
        factor: Factor,
        draws: int = 16,
        times: int | Sequence[int] | Tensor | None = None,
        rng: torch.Generator | None = None,
        *,
        particles: int = 64,
        repeats: int | None = None,
        walk: str = "weighted",
        pull: float = 0.0,
        together: int | None = None,
    ) -> Posterior:
        r"""Draws from p(x) r(x) for each example that a factor is about, and its evidence.

        Particles walk from noise to data, sent by the model's belief to where r promises to be
        large, weighted and resampled (:func:`posteriors.posterior`): exact in the limit of many.

        Args:
            factor: r, about raw data: `Observed`, `Linear`, `Smooth`, `Label`, or a product.
            draws: how many to return for each example, of the particles' last state.
            particles: how many walk together. The error falls with their number.
            repeats: independent sets of them, whose spread tells the error of the evidence; by
                default 2, and as many as make two particles for each draw.
            walk: "weighted"; or by name one of SD15's approximations, which multiply r into every
                step and weigh nothing: "constant" (Eq. 23), "growing" (r^((T - t) / T)), or
                "matched" (r as x_t sees it through the noise).
            pull: how much of the promise's slope is added to the steps, see
                :func:`posteriors.posterior`.
            together: particles that the network sees at once, by default :attr:`Model.chunk_size`:
                memory grows with it.

        Raises:
            ValueError: if the factor does not fit the data, contradicts itself or leaves no
                particle a weight (at which time); or a number is below 1.
        """
        return conditioned(
            self, factor, draws, particles, repeats, walk, times, rng, together, pull
        )

    def complete(
        self,
        x: object,
        mask: object,
        draws: int = 16,
        times: int | Sequence[int] | Tensor | None = None,
        rng: torch.Generator | None = None,
        **how: Any,
    ) -> Posterior:
        """Draws of the values of x (N, *) that are missing, given the others: :meth:`posterior`
        with what is known exactly.

        Args:
            mask: True where a value is missing, with the shape of x; what x holds there (NaN,
                say) is ignored.
            how: `particles`, `repeats`, `walk`, `pull` and `together` of :meth:`posterior`.

        Raises:
            ValueError: if the mask has another shape, or a known value is not one of the space.
        """
        known, y = self._known(x, mask)
        variance = torch.where(known, 0.0, torch.inf)
        return self.posterior(Observed(y, variance), draws, times, rng, **how)

    def impute(
        self,
        x: object,
        draws: int = 16,
        times: int | Sequence[int] | Tensor | None = None,
        rng: torch.Generator | None = None,
        **how: Any,
    ) -> Posterior:
        """:meth:`complete` with NaN for what is missing. Rows without NaN come back as they are,
        with the evidence log p(x) of a whole row; a row of NaN alone is a plain sample, and a
        warning says so.

        Raises:
            ValueError: if x has another shape than the data.
        """
        array = as_tensor(x, "x")
        missing = array.isnan() if array.is_floating_point() else torch.zeros_like(array).bool()
        alone = missing.flatten(1).all(1) if missing.ndim > 1 else missing[:0]
        if alone.any():
            warnings.warn(
                f"nothing is known of {int(alone.sum())} rows, of row {int(alone.nonzero()[0])} "
                "first: they are plain samples",
                stacklevel=2,
            )
        return self.complete(array, missing, draws, times, rng, **how)

    def compress(
        self,
        x: object,
        times: int | Sequence[int] | Tensor | None = None,
        *,
        block: int = 2048,
        together: int = 64,
        workers: int | None = None,
        verify: bool = True,
        portable: bool = True,
    ) -> bytes:
        """A stream of about -K bits, from which x (N, *) is read to the last bit.

        Args:
            x: raw data, an array or a tensor on any device.
            times: of the chain; None for 50 even ones. See :class:`Codec` for all options.
            block: examples in a block.
            together: examples that the network sees at once.
            workers: blocks at work at a time; None for one for each core.
            verify: read each block before it is written.
            portable: any machine reads the stream; False is faster, and only a machine with the
                same arithmetic reads it.

        Raises:
            TypeError: if raw values are not determined by x_0, as those of `Dequantized`.
            ValueError: if x is not of the model's data, or an option is out of range.
        """
        codec = Codec(
            self,
            times,
            block=block,
            together=together,
            workers=workers,
            verify=verify,
            portable=portable,
        )
        return codec.compress(x)

    def decompress(self, stream: bytes, anyway: bool = False) -> np.ndarray:
        """The array of a stream that :meth:`compress` made.

        Args:
            stream: what :meth:`compress` gave.
            anyway: also read a stream that is not portable and was written with other arithmetic;
                wrong values are found by their checksums.

        Raises:
            StreamError: if it was altered, written by another model, or cannot be read here.
        """
        return Codec(self).decompress(stream, anyway)

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
        description = converted_description(description)
        kinds = ("space", "kernel", "head") + (() if network is not None else ("network",))
        missing = [name for name in kinds if name not in description]
        if missing:
            raise ValueError(f"the description of a model lacks {', '.join(missing)}")
        parts = {name: serialization.build(description[name], KNOWN) for name in kinds}
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
        tensors, _ = files.load_tensors(folder / "model.safetensors")
        tensors = converted_tensors(stored["model"], tensors)
        try:
            if network is None:
                _require_weights(stored["model"], tensors)
            model = cls.build(stored["model"], network)
            model.load_state_dict(tensors)
        except (RuntimeError, Misfit) as error:
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
        filled = torch.where(hidden, self.space.placeholder.to(array.dtype), array.cpu())
        return ~hidden, self.space.check(filled)


load = Diffusion.load


def _require_weights(description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Compares the network that is described with its tensors, before it takes memory."""
    if "network" not in description or "space" not in description:
        return  # `Diffusion.build` names what is missing
    state = serialization.build(description["space"], KNOWN).state
    start = "network."
    weights = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    require_weights(lambda: serialization.build(description["network"], KNOWN), weights, state)


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
    return serialization.build({"is": kind, **arguments}, makers)
