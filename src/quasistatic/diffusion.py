"""A trained chain as a distribution, with the verbs sample, score, posterior, complete, impute and
compress; save and load it as two files."""

__all__ = ["Diffusion", "load", "register"]

import dataclasses
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from . import conditions, heads, kernels, networks, spaces
from ._utils import files, serialization
from ._utils.allocation import Misfit, require_weights
from ._utils.naming import as_path
from ._utils.randomness import Rng, as_generator
from ._utils.serialization import FORMAT
from ._utils.validation import as_array, as_tensor, instance_of
from .coding import Codec
from .heads import variances
from .hub import Card, Repository, publish, write_pretrained
from .kernels import schedules
from .likelihood import Classification, Method, Sandwich, Score, bound, bound_to, classify, sandwich
from .likelihood.terms import count_terms
from .model import Model
from .networks.earlier_classes import converted_description, converted_tensors
from .sampling import (
    SMC,
    CorrectedGuidance,
    Guidance,
    GuidedDraws,
    Multistep,
    Posterior,
    PosteriorMethod,
    Stepper,
    Times,
    decode,
    encode,
    posterior,
    sample,
)
from .sampling.factors import Factor, Observed
from .sampling.time_grids import TimeGrid
from .spaces import columns, yeo_johnson

EVALUATIONS = 64
"""The default of :meth:`Diffusion.score`."""

KNOWN = {
    name: getattr(room, name)
    for room in (conditions, spaces, columns, yeo_johnson, kernels, variances, heads, networks)
    for name in room.__all__
} | {"Schedule": lambda kind, arguments: _schedule(kind, arguments)}
"""The classes that a stored description may name."""

OWN: dict[str, type] = {}
"""Those of them that :func:`register` added."""

C = TypeVar("C")


def register(kind: type[C]) -> type[C]:
    """Lets :func:`load` build a class of your own by its name: a network, a head, a kernel, a space
    or a variance. Also a decorator.

    Args:
        kind: a dataclass whose fields are the arguments of the constructor, as numbers, texts,
            tuples of them, or other such classes.

    Returns:
        The class itself.

    Raises:
        TypeError: if it is no dataclass.
        ValueError: if the library, or another module of yours, has a class of that name.
    """
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise TypeError(
            f"register takes a dataclass, whose fields are stored as its arguments, got {kind!r}: "
            "write @dataclass(eq=False) above a network and call super().__init__() in "
            "__post_init__, or pass an instance to load(folder, network=...)"
        )
    name = kind.__name__
    before = OWN.get(name)
    again = before is not None and (before.__module__, before.__qualname__) == (
        kind.__module__,
        kind.__qualname__,
    )
    if name in KNOWN and not again:
        whose = "quasistatic" if before is None else before.__module__
        raise ValueError(f"{whose} has a class {name} already: give yours another name")
    KNOWN[name] = OWN[name] = kind
    return kind


class Diffusion(Model):
    r"""A diffusion model that answers as a probability distribution; see :class:`Model` for its
    parts.

    The verbs take NumPy arrays or tensors of raw data and return tensors on the model's device.
    `rng` is a seed, a `torch.Generator`, which moves on, or None for PyTorch's global generator.
    The same seed gives the same answer. Verbs leave the model in the mode that it has (train or
    eval), and threads may share a model."""

    def times(self, times: Times = None) -> Tensor:
        """The times of a chain, rising to T; see :meth:`Model.times`. A time grid chooses them:
        `EvenLogSNR(10)`."""
        return super().times(self._listed(times))

    def sample(
        self,
        n: int,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        guidance: Guidance | CorrectedGuidance | None = None,
        stepper: Stepper | None = None,
    ) -> Tensor:
        """n draws from the model, or from p(x | y) with `given`.

        Args:
            n: how many draws.
            times: the times to visit, see :meth:`Model.times`. By default what the stepper takes:
                all T for ancestral sampling.
            rng: a seed, a generator or None. Draw i of a seed is the same however many are drawn:
                its noise depends on the seed and on i only. `sample(4, rng=0)[:2]` equals
                `sample(2, rng=0)` bit for bit on a CPU, for examples of up to 1024 values; beyond,
                and on a GPU, to within the rounding of batches of different sizes.
            given: y of p(x | y), for a model with a condition: one value, or one for each draw;
                None (the default) for p(x), or what :meth:`given` gave.
            guidance: `Guidance(weight)` leads each step towards `given` and away from p(x), which
                gives typical draws; `CorrectedGuidance(weight)` draws from
                p(x | y)^(1 + w) p(x)^(-w) / Z by weighted walks, see :meth:`guided`.
            stepper: how a walk goes from x_t to x_s, by default `Ancestral()`, which draws from the
                law that `score` bounds.

        Returns:
            Raw data with shape (n, *).

        Raises:
            TypeError: if the stepper cannot serve the model: which can; or a condition is given and
                the model has none.
            ValueError: if n < 1, or the times make no chain; or `given` is no value of the
                condition, or has another number of values.
        """
        model = self.given_each(given, n)
        if isinstance(guidance, CorrectedGuidance):
            if stepper is not None:
                raise ValueError("weighted walks have steps of their own: leave the stepper out")
            return guidance.draw(model, n, self._listed(times), rng).draws
        if guidance is not None:
            model = guidance.applied(model)
        return sample(model, n, times, rng, stepper)

    def guided(
        self,
        n: int,
        guidance: CorrectedGuidance,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
    ) -> GuidedDraws:
        """n draws from p(x | y)^(1 + w) p(x)^(-w) / Z with log Z and the effective sample size.

        Args:
            n: how many draws.
            guidance: `CorrectedGuidance(weight)`.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: the one value of y.

        Raises:
            TypeError: if nothing is given.
            ValueError: if several values are given.
        """
        instance_of("guidance", guidance, CorrectedGuidance, "CorrectedGuidance(1.0)")
        model = self if given is None else self.given(given)
        return guidance.draw(model, n, self._listed(times), rng)

    def encode(
        self,
        x: object,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        stepper: Multistep | None = None,
        tolerance: float = 1e-5,
    ) -> Tensor:
        """The noise that the probability flow carries to x: the inverse of :meth:`decode`.

        Args:
            x: raw data with shape (N, *).
            times: the times to visit; by default 50, even in log-SNR.
            rng: for spaces whose map is random (`Dequantized`).
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            stepper: without correction, by default `Multistep(2, corrected=False)`.
            tolerance: the largest change of a value of the noise that counts as none.

        Returns:
            x_T with the shape of x_0, (N, *): about standard normal for data of the model.

        Raises:
            TypeError: if the model's kernel has no flow (bits and classes jump).
            ValueError: if the steps are too long to be solved for.
        """
        return encode(self._for(given, x), x, times, rng, stepper, tolerance)

    def decode(
        self,
        noise: Tensor,
        times: Times = None,
        *,
        given: object = None,
        stepper: Multistep | None = None,
    ) -> Tensor:
        """Where the probability flow carries noise, as raw data: the same for the same noise.

        Args:
            noise: x_T with the shape of x_0, (N, *).
            times: the times to visit; by default 50, even in log-SNR.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            stepper: by default `Multistep(2, corrected=False)`.

        Raises:
            TypeError: if the model's kernel has no flow (bits and classes jump).
        """
        return decode(self.given_each(given, len(noise)), noise, times, stepper)

    def score(
        self,
        x: object,
        evaluations: int | None = EVALUATIONS,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        stderr: float | None = None,
        each: bool = False,
        most: int | None = None,
        method: Method | None = None,
    ) -> Score:
        """log p(x) for each example, or log p(x | y) with `given`, with its terms, units, standard
        error and cost.

        By default it is the bound, from below: `evaluations` of the network are spent on each
        example, spread evenly over the steps; the standard error holds what they leave open.

        Args:
            x: raw data with shape (N, *).
            evaluations: of the network for each example. None, or as many as there are steps, sums
                every term.
            times: the chain to score, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            stderr: the standard error to reach of the mean over the examples, in bits a value, by
                as few evaluations as it takes; they are allotted to where the noise is
                (:func:`likelihood.bound_to`).
            each: whether `stderr` is meant for each example's own value.
            most: with `stderr`, the most evaluations for each example; None sets no limit.
            method: another way to score: `Importance(paths)`, `Flow()` or `ContinuousTime()`. It
                has its own cost, and `evaluations` and `stderr` are not for it.

        Returns:
            A :class:`Score` of N examples; `.bits_per_dim` is in bits a value.

        Raises:
            TypeError: if the model's kernel cannot serve the method, or its weights have 16 bits.
            ValueError: if the times make no chain, a budget is out of range, or two kinds of budget
                are given.
        """
        source = as_generator(rng)
        self._require_precision("score")
        model = self._for(given, x)
        if method is not None:
            if stderr is not None or most is not None or evaluations != EVALUATIONS:
                raise ValueError(
                    f"evaluations and stderr are for the bound, and {method} has a cost of its "
                    "own: leave them out, or leave the method out"
                )
            return method(model, x, self._listed(times), source)
        if (stderr is not None and evaluations != EVALUATIONS) or (most and stderr is None):
            raise ValueError(
                "evaluations is a fixed budget, and stderr one as large as it takes, at most "
                "`most`: give evaluations alone, or stderr and most"
            )
        if stderr is not None:
            return bound_to(model, x, stderr, each, most, self.times(times), source)
        terms = count_terms(self, self.times(times))
        shares = None if evaluations is None or evaluations >= terms else evaluations
        return bound(model, x, shares, self.times(times), source)

    def classify(
        self,
        x: object,
        rounds: int = 8,
        each: int = 8,
        rng: Rng = None,
        *,
        prior: Sequence[float] | None = None,
    ) -> Classification:
        """p(y | x) of each example by Bayes' rule from the bounds of p(x | y), with error bars.

        All classes share times and noise, and classes that are far behind get no more evaluations.

        Args:
            x: raw data with shape (N, *).
            rounds: of evaluations at most, 2 or more.
            each: evaluations of a class in a round; the first round takes 16.
            rng: a seed, a generator or None.
            prior: p(y) of each class; by default the same for all.

        Returns:
            A :class:`.Classification`: `.log_prob` and `.stderr` of shape (N, classes), `.label`.

        Raises:
            TypeError: if the model has no condition, or one that is no ClassLabel; or its weights
                have 16 bits.
            ValueError: if a number is out of range, or the prior does not fit.
        """
        self._require_precision("classify")
        return classify(self, x, rounds, each, prior, as_generator(rng))

    def sandwich(
        self,
        n: int = 256,
        paths: int = 1,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
    ) -> Sandwich:
        """log p from below and from above for draws of the model: how far its bound can be from the
        truth.

        Args:
            n: how many draws.
            paths: weighted paths for each.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each draw;
                None (the default) for p(x), or what :meth:`given` gave.
        """
        model = self.given_each(given, n)
        return sandwich(model, n, paths, self.times(times), as_generator(rng))

    def posterior(
        self,
        factor: Factor,
        draws: int = 16,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        method: PosteriorMethod | None = None,
        together: int | None = None,
    ) -> Posterior:
        r"""Draws from p(x) r(x) / Z for each example that a factor is about, and the evidence Z;
        with `given`, from p(x | y) r(x) / Z.

        Args:
            factor: r, about raw data: `Observed`, `Linear`, `Smooth`, `Label`, a product of them,
                or a :class:`Factor` of your own.
            draws: how many to return for each example.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            method: by default `SMC()`, weighted particles, exact in the limit of many;
                `SMC(particles=256, repeats=4)` says how many. `Guided("matched")` is one of SD15's
                approximations: fast, and without evidence.
            together: the most particles that the network evaluates at once, by default
                :attr:`Model.chunk_size`: memory grows with it.

        Returns:
            A :class:`Posterior` with draws of shape (N, draws, *) and the log-evidence in nats.

        Raises:
            ValueError: if the factor does not fit the data, contradicts itself, or leaves no
                particle a weight (at which time); or a number is below 1.
        """
        model = self if given is None else self.given(given)
        return posterior(model, factor, draws, times, rng, method or SMC(), together)

    def complete(
        self,
        x: object,
        mask: object,
        draws: int = 16,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        method: PosteriorMethod | None = None,
        together: int | None = None,
    ) -> Posterior:
        """Draws of the missing values of x given the others: :meth:`posterior` with values that are
        known exactly.

        Args:
            x: raw data with shape (N, *). What it holds where a value is missing is ignored.
            mask: True where a value is missing, with the shape of x.
            draws: how many to return for each example.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            method: see :meth:`posterior`.
            together: see :meth:`posterior`.

        Returns:
            A :class:`Posterior`: whole examples, whose known values are bit-equal to those of x,
            and log p(known values) in nats.

        Raises:
            ValueError: if the mask has another shape, or a known value is not one of the space.
        """
        known, y = self._known(x, mask)
        variance = torch.where(known, 0.0, torch.inf)
        observed = Observed(y, variance)
        options: Any = {"given": given, "method": method, "together": together}
        return self.posterior(observed, draws, times, rng, **options)

    def impute(
        self,
        x: object,
        draws: int = 16,
        times: Times = None,
        rng: Rng = None,
        *,
        given: object = None,
        method: PosteriorMethod | None = None,
        together: int | None = None,
    ) -> Posterior:
        """:meth:`complete` with NaN for what is missing.

        Rows without NaN come back as they are, with the evidence log p(x) of a whole row. A row of
        NaN alone is a plain sample, and a warning says so.

        Args:
            x: raw data with shape (N, *), NaN where a value is missing.
            draws: how many to return for each row.
            times: the chain, see :meth:`Model.times`; by default all T steps.
            rng: a seed, a generator or None.
            given: y of p(x | y), for a model with a condition: one value, or one for each example;
                None (the default) for p(x), or what :meth:`given` gave.
            method: see :meth:`posterior`.
            together: see :meth:`posterior`.

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
        options: Any = {"given": given, "method": method, "together": together}
        return self.complete(array, missing, draws, times, rng, **options)

    def compress(
        self,
        x: object,
        times: Times = 50,
        *,
        given: object = None,
        block: int = 2048,
        together: int = 64,
        workers: int | None = None,
        verify: bool = True,
        portable: bool = True,
    ) -> bytes:
        """A stream of about -K bits from which :meth:`decompress` reads x to the last bit.

        Args:
            x: raw data with shape (N, *), an array or a tensor on any device.
            times: the chain. A number is that many even times at most: fewer where T is less, and
                all where the head defines steps between neighbours only. None takes all T.
            given: y of p(x | y), for a model with a condition: one value, or one for each example.
                It is not in the stream, only its digest: :meth:`decompress` needs it too.
            block: examples in a block. Larger ones make shorter streams and take more memory.
            together: examples that the network evaluates at once.
            workers: blocks at work at a time, a thread each; None takes one for each core.
            verify: whether each block is read back before it is written; that doubles the time.
            portable: whether any machine reads the stream. Otherwise only a machine with the same
                floating-point arithmetic reads it, and writing is faster.

        Raises:
            TypeError: if raw values are not determined by x_0, as those of `Dequantized`.
            ValueError: if x is not of the model's data, or an option is out of range.
        """
        self._require_precision("compress")
        listed = self._listed(times)
        if listed is None or not self.head.jumps:
            listed = self.steps
        elif isinstance(listed, int):
            listed = min(listed, self.steps)
        codec = Codec(
            self._for(given, x),
            listed,
            block=block,
            together=together,
            workers=workers,
            verify=verify,
            portable=portable,
        )
        return codec.compress(x)

    def decompress(
        self, stream: bytes, anyway: bool = False, *, given: object = None
    ) -> np.ndarray:
        """The array of a stream that :meth:`compress` made.

        Args:
            stream: what :meth:`compress` gave.
            anyway: also read a stream that is not portable and was written with other arithmetic;
                wrong values are found by their checksums.
            given: y, as it was given to :meth:`compress`.

        Raises:
            StreamError: if it was altered, written by another model or for another y, or cannot be
                read here.
        """
        model = self if given is None else self.given(given)
        return Codec(model).decompress(stream, anyway)

    def resized(self, shape: int | tuple[int, ...]) -> "Diffusion":
        """This model for examples of another shape, with its weights: what a convolutional
        network learned of small textures holds for large ones.

        Raises:
            TypeError: if the network or the space has parts of their own for each place.
        """
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        description = self.describe()
        try:
            space = self.space.resized(sizes)
            description["space"] = serialization.describe(space)
            description["network"] |= {"shape": list(space.state)}
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
    def build(cls, description: dict[str, Any], network: nn.Module | None = None) -> "Diffusion":
        """The model that :meth:`describe` described, with new weights; a network of your own
        class has to be given."""
        description = converted_description(description)
        kinds = ("space", "kernel", "head") + (() if network is not None else ("network",))
        kinds += ("condition",) * ("condition" in description)
        missing = [name for name in kinds if name not in description]
        if missing:
            raise ValueError(f"the description of a model lacks {', '.join(missing)}")
        parts: dict[str, Any] = {
            name: serialization.build(description[name], KNOWN) for name in kinds
        }
        return cls(**{"network": network, **parts})

    @classmethod
    def load(cls, folder: str | Path, network: nn.Module | None = None) -> "Diffusion":
        """Loads the model from a folder that :meth:`save` or a training run wrote.

        Args:
            folder: the folder.
            network: an instance of your own network class, whose weights are then loaded; None
                for the networks of this library.

        Returns:
            The model, in evaluation mode.

        Raises:
            TypeError: if `folder` is no path.
            FileNotFoundError: if the folder or one of its two files is missing.
            ValueError: if they are damaged, from another version, or do not fit together; or if
                weights are NaN.
        """
        folder = as_path("folder", folder)
        stored = read_config(folder)
        tensors, _ = files.load_tensors(folder / "model.safetensors")
        _require_numbers(tensors, folder / "model.safetensors")
        tensors = converted_tensors(stored["model"], tensors)
        if network is None:
            _require_known_network(folder, stored["model"])
        try:
            if network is None:
                _require_weights(converted_description(stored["model"]), tensors)
            model = cls.build(stored["model"], network)
            model.load_state_dict(tensors)
        except (RuntimeError, Misfit) as error:
            raise ValueError(
                f"the weights in {folder} do not fit its config.json: {error}"
            ) from None
        return model.eval()

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        network: nn.Module | None = None,
    ) -> "Diffusion":
        """Loads a model from the hub, or from a folder; see :meth:`push_to_hub`.

        Args:
            source: a repository, as "user/model" or "user/model@revision", or a folder.
            revision: of the repository: a branch, a tag or a commit.
            network: see :meth:`load`.

        Returns:
            The model, in evaluation mode. Its files stay in the hub's cache, from which they are
            read where there is no network; a warning says so.

        Raises:
            ModuleNotFoundError: if huggingface_hub is not installed.
            FileNotFoundError: if there is no such folder, repository or revision, or the hub
                cannot be reached and the cache has no copy.
            ValueError: if a file came damaged, or holds another kind of model.
        """
        repository = Repository.parse(source, revision)
        if repository is None:
            return cls.load(source, network)
        return cls.load(repository.fetch(), network)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        run: str | Path | None = None,
        score: Score | None = None,
        license: str | None = None,
        command: str | None = None,
        name: str | None = None,
    ) -> Path:
        """Writes the model and a card, `README.md`, as :meth:`push_to_hub` uploads them.

        Args:
            folder: where.
            run: the model's own run, whose configuration and metrics go into the card: the data
                and their digests, the settings, the last validation.
            score: of test data, for the card: the bound with its error, units and cost.
            license: the identifier of the licence, "apache-2.0" for example.
            command: the command that trained the model, for the card.
            name: of the model, for the card; by default the folder's.

        Returns:
            The folder.

        Raises:
            ValueError: if `run` holds another model.
        """
        path = as_path("folder", folder)
        own = None if run is None else as_path("run", run)
        if own is not None:
            self._require_same(own)
        lines = () if score is None else (*str(score).splitlines(),)
        images = len(self.space.shape) > 1
        card = Card(repr(self), license, lines, command, images)
        return write_pretrained(path, self.save, own, card, name or path.resolve().name)

    def push_to_hub(
        self,
        repo: str,
        *,
        run: str | Path | None = None,
        score: Score | None = None,
        license: str | None = None,
        command: str | None = None,
        private: bool = False,
        message: str = "Upload a model of quasistatic",
    ) -> str:
        """Uploads the model with a card to the hub: `config.json`, `model.safetensors` with its
        digest, and `README.md`. Anybody then opens it by :meth:`from_pretrained`, and the command
        line takes its name where it takes a run.

        Args:
            repo: "user/model"; the repository is created if there is none. "user/model@branch"
                writes to a branch.
            run: see :meth:`save_pretrained`.
            score: see :meth:`save_pretrained`.
            license: see :meth:`save_pretrained`.
            command: see :meth:`save_pretrained`.
            private: whether a new repository is private.
            message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            ModuleNotFoundError: if huggingface_hub is not installed.
            PermissionError: if nobody is logged in, or may not write there.
            ConnectionError: if the hub cannot be reached.
            ValueError: if `repo` is no name of a repository, or `run` holds another model.
        """
        repository = Repository.parse(repo)
        if repository is None:
            raise ValueError(f"a repository is named as user/model, got {repo!r}")

        def write(folder: Path) -> object:
            return self.save_pretrained(
                folder,
                run=run,
                score=score,
                license=license,
                command=command,
                name=repository.name,
            )

        return publish(repository, write, private, message)

    def _require_same(self, run: Path) -> None:
        """ValueError unless a run's folder holds this model."""
        tensors, _ = files.load_tensors(run / "model.safetensors")
        own = {name: tensor.cpu() for name, tensor in self.state_dict().items()}
        same = tensors.keys() == own.keys() and all(
            torch.equal(tensor.to(own[name].dtype), own[name]) for name, tensor in tensors.items()
        )
        if not same:
            raise ValueError(
                f"{run} holds other weights than this model: give the run that this model was "
                "loaded from, or leave run out"
            )

    def _require_precision(self, verb: str) -> None:
        """TypeError if the weights are of 16 bits: log-probabilities need more digits."""
        dtype = self.blank(1).dtype
        if dtype.itemsize < 4:
            raise TypeError(
                f"{verb} needs weights in float32 or float64, got {dtype}: call model.float() first"
            )

    def _for(self, given: object, x: object) -> Self:
        """The model of p(x | y) for the examples x, for one value of y or as many as examples."""
        if given is None:
            return self
        array = as_tensor(x, "x")
        return self.given_each(given, len(array) if array.ndim else 1)

    def _listed(self, times: Times) -> int | Sequence[int] | Tensor | None:
        """The times of a grid; other times as they are."""
        return times(self) if isinstance(times, TimeGrid) else times

    def _known(self, x: object, mask: object) -> tuple[Tensor, Tensor]:
        """Where x is known; and x, with a value of the space in place of each missing one."""
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


def _require_numbers(tensors: dict[str, Tensor], path: Path) -> None:
    """Refuses weights that are NaN: every answer of the model would be NaN too."""
    for name, tensor in tensors.items():
        unknown = int(tensor.isnan().sum())
        if unknown:
            raise ValueError(
                f"{path} holds NaN in {unknown} of {tensor.numel()} values of {name}: the training "
                "diverged, or the file was made by other means; train again, or restore a copy"
            )


def _require_weights(description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Compares the network that is described with its tensors, before it takes memory."""
    if "network" not in description or "space" not in description:
        return  # `Diffusion.build` names what is missing
    state = serialization.build(description["space"], KNOWN).state
    start = "network."
    weights = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    require_weights(lambda: serialization.build(description["network"], KNOWN), weights, state)


def _require_known_network(folder: Path, description: dict[str, Any]) -> None:
    """ValueError if the network in a folder is of a user's own class, which has to be passed."""
    stored = converted_description(description).get("network")
    name = stored.get("is") if isinstance(stored, dict) else None
    if isinstance(name, str) and name not in KNOWN:
        assert isinstance(stored, dict)  # as it has a name
        given = ", ".join(f"{key}={value!r}" for key, value in stored.items() if key != "is")
        instance = f"{name}({given or '...'})"
        raise ValueError(
            f"the network in {folder} is of the class {name}, which is not one of quasistatic's: "
            f"pass an instance of it, as load(folder, network={instance:.200}), or make the class "
            f"known before, as register({name}) does for a dataclass"
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a folder, checked for its version."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "model_index.json").is_file():
        raise ValueError(
            f"{folder} was saved by diffusers: open it by from_diffusers({str(folder)!r})"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no config.json: it is not a run, or was cut short")
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
        version = stored["format"]
        stored["model"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): restore it or train again") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}, and this version of quasistatic reads {FORMAT}: "
            "use the version that wrote it, or train again"
        )
    return stored


def _schedule(kind: str, arguments: dict[str, Any]) -> schedules.Schedule:
    makers = {name: getattr(schedules, name) for name in schedules.__all__ if name != "Schedule"}
    made: schedules.Schedule = serialization.build({"is": kind, **arguments}, makers)
    return made
