r"""Mixtures of rows with a class: components belong to classes, and are moved towards p(y | x).

A law of x in each class gives p(y | x) by Bayes' rule. Its covariances are shrunk (regularised
discriminant analysis, Friedman 1989), and its means and probabilities are then moved so that the
classes of the rows are likelier given x, with a penalty on how far they move. It stays a joint law
of x and y, so a missing x is integrated out. Of several such laws, p(y | x) is the average with the
shares for which the classes of held-out rows are likeliest (stacking).
"""

__all__ = ["LabelledLaw", "fit_labelled_law"]

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..distributions import OneHotGroups
from ..distributions.mixtures import Block, CategoricalBlock, GaussianBlock, Mixture

CERTAIN = 1e-9
"""The probability of all other classes of a component."""

SHRUNK = (
    *((1.0, 0.0, 0.001), (1.0, 0.0, 0.1), (1.0, 0.0, 1.0), (1.0, 0.2, 0.001), (0.5, 0.05, 0.01)),
    *((0.2, 0.02, 0.1), (0.2, 0.2, 0.001), (0.05, 0.01, 0.3), (0.05, 0.01, 0.01)),
    *((0.5, 0.5, 0.01), (0.2, 1.0, 0.01)),
)
"""The shares that are tried: of the pooled covariance, of the diagonal, and of the variance that is
added."""

STRENGTHS = (3.0, 0.3, 0.03)
"""Penalties on moving that are tried, in nats, one after the other until one is worse than that
before it; without moving, too."""

POWERS = tuple(2.0 ** (k / 4) for k in range(-14, 5))
"""Powers of p(x | y) that are tried, for classes that are too sure or not sure enough."""

BEST, FOLDS, ROUNDS = 3, 5, 60
"""Covariances for which moving is tried, parts of the rows, and rounds of the optimiser."""

PARTS, LEAST_ROWS, EACH = (2, 3, 4), 100, 20
"""Components of each class that are tried, of so many rows or more, and the rows of each."""

MEMBERS, LEAST_SHARE, SHARE_ROUNDS = 10, 0.03, 300
"""Laws of which the average is taken, at most, the smallest share of one, and rounds of EM."""

MOST = 4000
"""Rows that choose, at most; all rows are used in the end."""


@dataclass(frozen=True, eq=False)
class LabelledLaw:
    """A law of x_0 of a row with a class, whose class is the last of its class variables: a mixture
    of several laws, its members. p(y | x) is the average of theirs.

    The weights of this average are the members' shares and do not depend on x: which law of x is
    the likelier one says little about which of them knows the class.

    Args:
        law: of all components, member by member: a block of real values where there are any, and a
            block of classes.
        counts: the components of each member.
        powers: of p(x | component) in each member's p(y | x).
        held_out: log p(y | x) of held-out rows, in nats a row.
    """

    law: Mixture
    counts: tuple[int, ...]
    powers: tuple[float, ...]
    held_out: float = math.nan

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self._categorical.sizes[-1]

    @property
    def _categorical(self) -> CategoricalBlock:
        block = self.law.blocks[-1]
        assert isinstance(block, CategoricalBlock)  # which has at least the class
        return block

    def log_posterior(self, x: Tensor) -> Tensor:
        """log p(y | x) of rows x_0 (N, W), of which the class is not used: (N, classes), in
        nats."""
        x = x.clone()
        x[:, -self.classes :] = torch.nan
        counts = list(self.counts)
        each = zip(
            torch.split(self.law.log_weight, counts),
            torch.split(self.law.log_joint(x), counts),
            torch.split(self._categorical.log_p[:, -self.classes :], counts),
            self.powers,
            strict=True,
        )
        members = [
            prior.logsumexp(0) + _posterior(prior, joint - prior[:, None], log_p, power)
            for prior, joint, log_p, power in each
        ]
        return torch.stack(members).logsumexp(0)


def _posterior(prior: Tensor, log_p_x: Tensor, log_p_y: Tensor, power: float) -> Tensor:
    """log p(y | x) (N, classes) by the log-weights (K,), log p(x | component) (K, N) and
    log p(y | component) (K, classes) of components."""
    joint = prior[:, None] + power * log_p_x
    return (joint[..., None] + log_p_y[:, None]).logsumexp(0).log_softmax(1)


@dataclass(frozen=True)
class _Shape:
    """How covariances are shrunk, how strongly moving is held back (None does not move), and the
    components of each class."""

    pooled: float
    diagonal: float
    ridge: float
    strength: float | None = None
    parts: int = 1


@dataclass(frozen=True)
class _Judged:
    """A kind of law and log p(y | x) of held-out rows under it.

    Args:
        shape: the kind of law.
        power: the best of :data:`POWERS`.
        nats: of each row, with shape (N,).
    """

    shape: _Shape
    power: float
    nats: Tensor

    @property
    def mean(self) -> float:
        """The mean over the rows, in nats a row."""
        return float(self.nats.mean())


def fit_labelled_law(x: Tensor, sizes: Sequence[int], seed: int) -> LabelledLaw:
    """The law of complete rows x_0 (N, W) for which the classes of held-out rows are likeliest.

    Args:
        x: real values, and then the one-hot values of class variables, the class last.
        sizes: the number of classes of each class variable.
        seed: of the parts of the rows.
    """
    y = x[:, -sizes[-1] :].argmax(1)
    rng = np.random.default_rng(seed)
    some = torch.from_numpy(rng.permutation(len(x))[:MOST])
    folds = _folds(y[some], rng)
    if folds is None:  # a class has one row
        law = _law(x, sizes, _Shape(0.5, 0.5, 0.01))
        return LabelledLaw(law, (law.components,), (1.0,))

    def judged(shapes: Iterable[_Shape]) -> list[_Judged]:
        new = dict.fromkeys(shape for shape in shapes if shape not in known)
        known.update((shape, _judged(x[some], y[some], sizes, folds, shape)) for shape in new)
        return sorted(known.values(), key=lambda each: -each.mean)

    known: dict[_Shape, _Judged] = {}
    ranked = judged(_Shape(*each) for each in SHRUNK)
    best = [each.shape for each in ranked[:BEST]]
    if len(x) >= LEAST_ROWS:
        ranked = judged(replace(shape, parts=parts) for shape in best for parts in PARTS)
        best = [*best[:1], *(each.shape for each in ranked[:BEST])]
    for shape in dict.fromkeys(best):
        last = -math.inf
        for moved in (replace(shape, strength=strength) for strength in STRENGTHS):
            ranked = judged([moved])
            if known[moved].mean < last:
                break
            last = known[moved].mean
    members = ranked[:MEMBERS]
    share = _shares(torch.stack([each.nats for each in members]))
    kept = [(each, float(w)) for each, w in zip(members, share, strict=True) if w > 0]
    laws = [_law(x, sizes, each.shape) for each, _ in kept]
    nats = torch.stack([each.nats + math.log(w) for each, w in kept]).logsumexp(0)
    return LabelledLaw(
        Mixture.joined(laws, [w for _, w in kept]),
        tuple(law.components for law in laws),
        tuple(each.power for each, _ in kept),
        float(nats.mean()),
    )


def _shares(nats: Tensor) -> Tensor:
    """The shares of laws in an average of their p(y | x) for which the classes of held-out rows are
    likeliest, by EM, from log p(y | x) of these rows (M, N). Small ones are 0."""
    share = nats.new_full((len(nats),), 1 / len(nats))
    for _ in range(SHARE_ROUNDS):
        share = (share.log()[:, None] + nats).softmax(0).mean(1)
    share = torch.where(share < LEAST_SHARE, 0.0, share)
    return share / share.sum()


def _folds(y: Tensor, rng: np.random.Generator) -> Tensor | None:
    """The part of each row, the same share of each class in each; None if a class has one row."""
    count = min(FOLDS, int(torch.bincount(y)[torch.bincount(y) > 0].min()))
    if count < 2:
        return None
    part = torch.zeros(len(y), dtype=torch.long)
    for label in sorted(set(y.tolist())):
        rows = (y == label).nonzero()[:, 0]
        part[rows] = torch.from_numpy(rng.permutation(len(rows)) % count)
    return part


def _judged(x: Tensor, y: Tensor, sizes: Sequence[int], part: Tensor, shape: _Shape) -> _Judged:
    """log p(y | x) of rows that are held out, one part after the other, with the best power."""
    found = x.new_zeros(len(POWERS), len(x))
    for fold in range(int(part.max()) + 1):
        law, own = _law(x[part != fold], sizes, shape), part == fold
        held = x[own].clone()
        held[:, -sizes[-1] :] = torch.nan
        prior = law.log_weight
        log_p_x = law.log_joint(held) - prior[:, None]
        block = law.blocks[-1]
        assert isinstance(block, CategoricalBlock)  # which has at least the class
        for k, power in enumerate(POWERS):
            posterior = _posterior(prior, log_p_x, block.log_p[:, -sizes[-1] :], power)
            found[k, own] = posterior[torch.arange(len(posterior)), y[own]]
    best = int(found.mean(1).argmax())
    return _Judged(shape, POWERS[best], found[best])


def _law(x: Tensor, sizes: Sequence[int], shape: _Shape) -> Mixture:
    """A law with some components for each class that occurs."""
    count, dims = sizes[-1], x.shape[1] - sum(sizes)
    y = x[:, -count:].argmax(1)
    present, rows = [], []
    for label in sorted(set(y.tolist())):
        own = (y == label).nonzero()[:, 0]
        clusters = _clusters(x[own][:, :-count], min(shape.parts, len(own) // EACH))
        rows += [own[each] for each in clusters]
        present += [label] * len(clusters)
    n = torch.tensor([len(each) for each in rows], dtype=x.dtype)
    blocks: list[Block] = []
    if dims:
        blocks.append(_gaussians(x[:, :dims], rows, n, shape))
    share = (x[:, dims:].mean(0) * len(x) + 0.5) / (len(x) + 1)
    log_p = torch.stack(
        [((x[each][:, dims:].sum(0) + share) / (len(each) + 1)).log() for each in rows]
    )
    groups = OneHotGroups(tuple(sizes))
    log_p = groups.log_softmax(log_p)
    certain = torch.full((len(present), count), CERTAIN / count, dtype=x.dtype)
    certain[torch.arange(len(present)), torch.tensor(present)] = 1 - CERTAIN
    log_p[:, -count:] = certain.log()
    blocks.append(CategoricalBlock(log_p, tuple(sizes)))
    law = Mixture((n / n.sum()).log(), tuple(blocks))
    if shape.strength is None:
        return law
    return _moved(law, x, torch.tensor(present), y, shape.strength)


def _clusters(x: Tensor, count: int) -> list[Tensor]:
    """The rows of so many clusters of rows x (N, W)."""
    if count < 2:
        return [torch.arange(len(x))]
    from sklearn.cluster import KMeans

    scaled = (x / x.std(0).clamp(min=1e-3)).numpy()
    means = KMeans(count, n_init=2, random_state=0)  # pyright: ignore[reportArgumentType]
    label = torch.from_numpy(means.fit_predict(scaled))
    found = [(label == k).nonzero()[:, 0] for k in range(count)]
    return [each for each in found if len(each) > 1] or [torch.arange(len(x))]


def _gaussians(x: Tensor, rows: list[Tensor], n: Tensor, shape: _Shape) -> GaussianBlock:
    """Normal laws of rows x (N, D) in each class, with covariances that are shrunk to the pooled
    one and to its diagonal."""
    mean = torch.stack([x[each].mean(0) for each in rows])
    scatter = torch.stack(
        [(x[each] - m).T @ (x[each] - m) for each, m in zip(rows, mean, strict=True)]
    )
    pooled = scatter.sum(0) / max(len(x) - len(rows), 1)
    least = shape.ridge * x.var(0, correction=0).clamp(min=1e-6)
    pooled = pooled + least.diag()
    # Each class has so many rows of the pooled covariance more: a class of few rows has no other.
    extra = shape.pooled * n / max(1 - shape.pooled, 1e-9) + 2
    own = (scatter + extra[:, None, None] * pooled) / (n + extra)[:, None, None] + least.diag()
    own = own if shape.pooled < 1 else pooled.expand_as(own)
    diagonal = torch.diag_embed(own.diagonal(dim1=1, dim2=2))
    matrix = (1 - shape.diagonal) * own + shape.diagonal * diagonal
    return GaussianBlock.full(mean, matrix)


def _moved(law: Mixture, x: Tensor, of: Tensor, y: Tensor, strength: float) -> Mixture:
    """The law, whose components belong to the classes of (K,), with means, weights and
    probabilities moved so that the classes y (N,) of rows x are likelier given x."""
    real = next((b for b in law.blocks if isinstance(b, GaussianBlock)), None)
    classes = law.blocks[-1]
    assert isinstance(classes, CategoricalBlock)
    dims, free = 0 if real is None else real.width, len(classes.sizes) > 1
    count = classes.sizes[-1]
    others = OneHotGroups(classes.sizes[:-1]) if free else None
    weight = torch.zeros(law.components, dtype=x.dtype, requires_grad=True)
    shift = torch.zeros(law.components, dims, dtype=x.dtype, requires_grad=True)
    tilt = torch.zeros(
        law.components, sum(classes.sizes) - count, dtype=x.dtype, requires_grad=True
    )
    if real is not None:
        root = torch.linalg.cholesky(real.covariance)
        inverse = torch.linalg.solve_triangular(
            root, torch.eye(dims, dtype=x.dtype).expand_as(root), upper=False
        )
        at = inverse @ x[:, :dims].T - (inverse @ real.mean[..., None])  # (K, D, N)
        volume = root.diagonal(dim1=1, dim2=2).log().sum(1)[:, None]
        square = at.square().sum(1)

    def log_joint() -> Tensor:
        joint = (law.log_weight + weight)[:, None].expand(-1, len(x))
        if real is not None:
            cross = (shift[:, None] @ at)[:, 0]
            moved = square - 2 * cross + shift.square().sum(1)[:, None]
            joint = joint - moved / 2 - volume
        if others is not None:
            log_p = others.log_softmax(classes.log_p[:, :-count] + tilt)
            joint = joint + log_p @ x[:, dims:-count].T
        return joint

    moves, right = [weight, shift, tilt], of[:, None] == y
    optimiser = torch.optim.LBFGS(
        moves, max_iter=ROUNDS, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        joint = log_joint()
        own = joint.masked_fill(~right, -math.inf)
        found = (joint.logsumexp(0) - own.logsumexp(0)).mean()
        penalty = sum(each.square().sum() for each in (shift, tilt))
        found = found + strength / 2 * penalty / len(x)
        torch.autograd.backward(found)
        return found

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    if not all(each.isfinite().all() for each in moves):
        return law
    blocks: list[Block] = []
    if real is not None:
        mean = real.mean + (root @ shift.detach()[..., None])[..., 0]
        blocks.append(replace(real, mean=mean))
    log_p = classes.log_p.clone()
    if others is not None:
        log_p[:, :-count] = others.log_softmax(classes.log_p[:, :-count] + tilt.detach())
    blocks.append(CategoricalBlock(log_p, classes.sizes))
    return Mixture((law.log_weight + weight.detach()).log_softmax(0), tuple(blocks))
