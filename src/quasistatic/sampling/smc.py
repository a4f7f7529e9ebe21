r"""The walk with a factor and weights: draws from p(x) r(x), and the evidence log E_p[r].

Multiplying r into every step and walking on (SD15 Eq. 22) draws another distribution than p r:
the normaliser of each step depends on where the walk stands. Here particles are sent where the
model's own belief about x_0 says that r will be large, weighted by what sending them there got
wrong, and resampled (TDS): exact in the limit of many particles, however rough the belief.
"""

__all__ = ["Found", "posterior"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import uniform
from ..distributions import Family, total
from ..kernels import SignalNoise
from ..model import Model
from .factors import Factor
from .proposals import Sight, proposal, sighted

TRUSTS = torch.linspace(0, 1, 21, dtype=torch.float64)
BEARABLE = 0.5
"""Exponents of a promise that are tried, and the effective sample size, as a share, that they must
leave."""


@dataclass(frozen=True)
class Particles:
    r"""n particles of which each `group` in a row belong together.

    Args:
        x: with shape (n, *).
        earned: the log-weights of the ways that they came, with shape (n,), in nats.
        trust: the exponent, from 0 to 1, with which the promise counts, the same within a group.
        sight: what the network said of x.
        root: the particle of the first state that each comes from, with shape (n,).
    """

    x: Tensor
    earned: Tensor
    trust: Tensor
    sight: Sight
    root: Tensor

    @property
    def log_weight(self) -> Tensor:
        """log w, what was earned and what is promised, with shape (n,), in nats."""
        return self.earned + self.trust * self.sight.promise

    def trusting(self, group: int) -> Self:
        """The same, each group trusting its promises as far as it can bear to: a belief about
        each value by itself promises too much, where all of them hang together (two modes, say),
        and any exponent is right, since only the last promise, r itself, is kept."""
        earned, promise = (each.reshape(-1, 1, group) for each in (self.earned, self.sight.promise))
        log_weight = earned + TRUSTS.to(earned)[:, None] * promise
        size = effective(log_weight.flatten(0, 1)).reshape(len(earned), -1)
        # The most that leaves enough of them, or else whatever leaves the most.
        rank = (size >= BEARABLE * group) * (1 + TRUSTS.to(size)) * group + size / group
        best = TRUSTS.to(earned)[rank.argmax(1)]
        return replace(self, trust=best.repeat_interleave(group))

    def resampled(self, group: int, threshold: float, rng: torch.Generator | None) -> Self:
        """Groups whose effective sample size is below that share drawn anew, systematically, in
        proportion to their weights; the mean weight is kept."""
        log_weight = self.log_weight.reshape(-1, group)
        poor = effective(log_weight) < threshold * group
        if not poor.any():
            return self
        start = uniform((len(log_weight), 1), rng, log_weight, torch.float64)
        points = (torch.arange(group, device=start.device) + start) / group
        share = log_weight.softmax(1)
        chosen = torch.searchsorted(share.cumsum(1), points).clamp(max=group - 1)
        itself = torch.arange(group, device=chosen.device).expand_as(chosen)
        chosen = torch.where(poor[:, None], chosen, itself)
        first = group * torch.arange(len(chosen), device=chosen.device)
        mean = log_weight.logsumexp(1, keepdim=True) - math.log(group)
        kept = torch.where(poor[:, None], mean, log_weight).flatten()
        new = self.take((chosen + first[:, None]).flatten())
        return replace(new, earned=kept - new.trust * new.sight.promise)

    def take(self, rows: Tensor) -> Self:
        """Those particles."""
        return type(self)(
            self.x[rows],
            self.earned[rows],
            self.trust[rows],
            self.sight.take(rows),
            self.root[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence["Particles"]) -> "Particles":
        """All of them in a row."""
        whole = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        sight = Sight.joined(whole.pop("sight"))
        return cls(sight=sight, **{name: torch.cat(each) for name, each in whole.items()})


@dataclass(frozen=True)
class Found:
    r"""What a weighted walk ended with, for each example.

    Args:
        x_0: with shape (examples, repeats, particles, *).
        log_weight: of each, with shape (examples, repeats, particles), in nats: the log of its
            mean over both is the log-evidence.
        effective: the smallest effective sample size on the way as a share of the particles, with
            shape (examples,).
        ancestors: particles of the first state that some of these come from, in all repeats, with
            shape (examples,).
    """

    x_0: Tensor
    log_weight: Tensor
    effective: Tensor
    ancestors: Tensor

    @property
    def log_evidence(self) -> Tensor:
        """log E_p[r], with shape (examples,), in nats; its exponential is unbiased."""
        count = self.log_weight[0].numel()
        return self.log_weight.flatten(1).logsumexp(1) - math.log(count)

    @property
    def evidence_stderr(self) -> Tensor:
        """The standard error of the log-evidence by the repeats, (examples,), in nats; NaN for
        one repeat."""
        each = self.log_weight.logsumexp(2)
        repeats = each.shape[1]
        if repeats == 1:
            return torch.full_like(each[:, 0], math.nan)
        share = (each - each.logsumexp(1, keepdim=True)).exp() * repeats
        return share.std(1) / repeats**0.5

    def draw(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """n draws for each example in proportion to the weights, systematically and in random
        order, with shape (examples, n, *)."""
        share = self.log_weight.flatten(1).softmax(1)
        start = uniform((len(share), 1), rng, share, torch.float64)
        points = (torch.arange(n, device=share.device) + start) / n
        chosen = torch.searchsorted(share.cumsum(1), points).clamp(max=share.shape[1] - 1)
        order = uniform(chosen.shape, rng, share).argsort(1)
        chosen = chosen.gather(1, order)
        flat = self.x_0.flatten(1, 2)
        return flat[torch.arange(len(flat), device=flat.device)[:, None], chosen]


@torch.no_grad()
def posterior(
    model: Model,
    factor: Factor,
    examples: int,
    particles: int = 64,
    repeats: int = 1,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
    threshold: float = 0.5,
    pull: float = 0.0,
    together: int | None = None,
) -> Found:
    r"""Weighted draws from p(x_0) r(x_0) and the log-evidence log E_p[r], for each example.

    Args:
        factor: r, about x_0 (:meth:`Factor.on` makes it so).
        particles: how many walk and are resampled together; the error falls with their number.
        repeats: independent sets of them, whose spread tells the evidence's error.
        threshold: they are resampled when their effective sample size falls below this share.
        pull: how much of the slope of what the belief promises is added to the steps: 1 is TDS.
            It takes gradients and helps where values hang together tightly and evenly; where the
            posterior has modes it sends too many particles to one too early.
        together: particles that the network sees at once, by default :attr:`Model.chunk_size`.

    Raises:
        ValueError: if a number is below 1, the factor is about another number of examples, or all
            particles of an example have weight zero: at which time.
    """
    _check(factor, examples, particles, repeats, threshold, pull)
    limit = together or model.chunk_size
    grid = model.times(times).tolist()
    rows = repeats * particles
    n = examples * rows
    owner = torch.arange(examples).repeat_interleave(rows)
    pieces = [(piece, factor.take(owner[piece])) for piece in torch.arange(n).split(limit)]
    lowest = torch.ones(examples, dtype=torch.float64)
    with evaluating(model):
        first = [_first(model, part, piece, grid, pull, rng) for piece, part in pieces]
        state = Particles.joined(first)
        for s, t in zip([*grid[-2::-1], 0], grid[::-1], strict=True):
            state = state.trusting(particles)
            share = effective(state.log_weight.reshape(-1, particles)) / particles
            lowest = lowest.minimum(share.reshape(examples, -1).amin(1).cpu())
            state = state.resampled(particles, threshold, rng)
            moved = _moved(model, state, pieces, s, t, pull, rng)
            state = Particles.joined(list(moved))
            _check_alive(state.log_weight.reshape(examples, -1), s)
    shape = (examples, repeats, particles)
    share = effective(state.log_weight.reshape(-1, particles)) / particles
    return Found(
        state.x.reshape(*shape, *state.x.shape[1:]),
        state.log_weight.reshape(shape),
        lowest.minimum(share.reshape(examples, -1).amin(1).cpu()),
        torch.tensor([len(row.unique()) for row in state.root.reshape(examples, -1)]),
    )


def effective(log_weight: Tensor) -> Tensor:
    """The effective sample size of each row of (groups, n), from 1 to n; 0 if all weigh nothing."""
    share = log_weight.softmax(1).nan_to_num()
    return 1 / (share**2).sum(1).clamp(min=1e-300) * (share.sum(1) > 0)


def _first(
    model: Model,
    factor: Factor,
    piece: Tensor,
    grid: list[int],
    pull: float,
    rng: torch.Generator | None,
) -> Particles:
    """x_T from the prior, or where some signal reaches it, from the prior times what r says
    through the noise; and what the model's belief promises there."""
    kernel, t = model.kernel, grid[-1]
    p = q = kernel.prior(model.blank(len(piece)).double())
    if isinstance(kernel, SignalNoise):
        q = factor.matched(kernel, p, torch.full((len(piece),), t, device=p.mean.device))
    x = q.sample(rng)
    earned = total(p.log_prob(x) - q.log_prob(x))
    sight = sighted(model, factor, x, t, pull)
    return Particles(x, earned, torch.zeros_like(earned), sight, piece.to(x.device))


def _moved(
    model: Model,
    state: Particles,
    pieces: list[tuple[Tensor, Factor]],
    s: int,
    t: int,
    pull: float,
    rng: torch.Generator | None,
) -> Iterator[Particles]:
    """The next state, as many particles at once as the network sees."""
    for piece, factor in pieces:
        here = state.take(piece.to(state.x.device))
        if s == 0:
            yield _ended(model, factor, here, t, rng)
        else:
            yield _stepped(model, factor, here, s, t, pull, rng)


def _stepped(
    model: Model,
    factor: Factor,
    here: Particles,
    s: int,
    t: int,
    pull: float,
    rng: torch.Generator | None,
) -> Particles:
    x, log_ratio = proposal(model, here.x, here.sight, s, t, rng)
    sight = sighted(model, factor, x, s, pull)
    return replace(here, x=x, earned=here.earned + log_ratio, sight=sight)


def _ended(
    model: Model, factor: Factor, here: Particles, t: int, rng: torch.Generator | None
) -> Particles:
    """x_0, and in its weight r itself in place of the promise."""
    p = _last(model, here, t)
    q, space = factor.update(p), model.space
    x_0 = space.snap_to_levels(q.sample(rng))
    known = factor.known
    if known is not None:
        known = known.to(x_0)
        x_0 = torch.where(known.isnan(), x_0, known)
    log_p = space.log_prob(p, x_0)
    log_q = torch.zeros_like(log_p) if q is p else space.log_prob(q, x_0)
    free = log_p - log_q if q is not p else torch.zeros_like(log_p)
    gain = free if known is None else torch.where(known.isnan(), free, log_p)
    earned = here.earned + total(gain) + factor.log_prob(x_0)
    return replace(here, x=x_0, earned=earned, trust=torch.zeros_like(here.trust))


def _last(model: Model, here: Particles, t: int) -> Family:
    """p(x_0 | x_t), by what the network has said already."""
    at = torch.full((len(here.x),), t, dtype=torch.long, device=here.x.device)
    head, kernel = model.head, model.kernel
    return model.space.last(
        kernel, here.x, at, lambda: head.last(kernel, here.sight.output, here.x, at)
    )


def _check(
    factor: Factor, examples: int, particles: int, repeats: int, threshold: float, pull: float
) -> None:
    for name, count in (("examples", examples), ("particles", particles), ("repeats", repeats)):
        if count < 1:
            raise ValueError(f"{name} must be 1 or more, got {count}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is a share of the particles, from 0 to 1, got {threshold}")
    if not 0 <= pull < math.inf:
        raise ValueError(f"pull must be 0 or more, got {pull}")
    if factor.examples not in (None, examples):
        raise ValueError(f"the factor is about {factor.examples} examples, and not {examples}")


def _check_alive(log_weight: Tensor, t: int) -> None:
    alive = log_weight.logsumexp(1).isfinite()
    if not alive.all():
        raise ValueError(
            f"no particle of example {int((~alive).nonzero()[0])} is left at t = {t}: what was "
            "observed has no probability under the model; allow it some noise, or use more "
            "particles"
        )
