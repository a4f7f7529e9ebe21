r"""Latent classes: a mixture whose components have normal columns that hang together and classes
that are independent, and what it says of x_0 through the noise of a product kernel."""

__all__ = ["LatentClasses"]

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .components import Part

LARGEST = 2**21
"""Numbers of the largest table over rows, components and values: more rows go in pieces."""


@dataclass(frozen=True, eq=False)
class LatentClasses:
    r"""x_0 (B, D + V) has D real values and the one-hot values of G columns of classes; NaN is a
    hole. Component k has probability w_k, the real values then have the law N(m_k, C_k), and each
    column a class with the probabilities of its own.

    The forward process keeps such laws: at signal, noise and keep, the probability with which a
    class is still the one that it was, component k gives x_t real values with the law
    N(signal m_k, signal^2 C_k + noise^2) and class i the probability keep p_ki + (1 - keep) pi_i.
    Where a value is absent its column is left out, which is the marginal law of the others.

    Args:
        normals: the components' weights, means and covariances, with a basis for each.
        log_share: log p_ki, with shape (K, V).
        log_pi: the log-probabilities of a class that is drawn afresh, with shape (V,).
        sizes: how many classes each column has, G numbers that add up to V.
    """

    normals: Part
    log_share: Tensor
    log_pi: Tensor
    sizes: tuple[int, ...]

    @property
    def dims(self) -> int:
        """D, the number of real values."""
        return self.normals.mean.shape[1]

    @property
    def owner(self) -> Tensor:
        """The column of each one-hot value, with shape (V,)."""
        sizes = torch.tensor(self.sizes, dtype=torch.long, device=self.log_pi.device)
        return torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)

    @property
    def covariance(self) -> Tensor:
        """C_k, with shape (K, D, D)."""
        basis, variance = self.normals.basis, self.normals.variance
        return (basis * variance[:, None]) @ basis.mT

    def to(self, like: Tensor) -> "LatentClasses":
        """The same, of the type and on the device of a tensor."""
        log_share, log_pi = self.log_share.to(like), self.log_pi.to(like)
        return replace(self, normals=self.normals.to(like), log_share=log_share, log_pi=log_pi)

    @classmethod
    def joined(cls, laws: list["LatentClasses"], shares: list[float]) -> "LatentClasses":
        """The mixture of several, with these shares."""
        pairs = list(zip(laws, shares, strict=True))
        whole = {
            field.name: torch.cat([getattr(law.normals, field.name) for law in laws])
            for field in fields(Part)
        }
        log_weight = [law.normals.log_weight + math.log(share) for law, share in pairs]
        normals = Part(**whole | {"log_weight": torch.cat(log_weight)})
        log_share = torch.cat([law.log_share for law in laws])
        return cls(normals, log_share, laws[0].log_pi, laws[0].sizes)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The real values and the one-hot values of x (*, D + V)."""
        return x[..., : self.dims], x[..., self.dims :]

    def log_joint(self, x_0: Tensor) -> Tensor:
        """log w_k + log p(what is there of x_0 | k), (K, B), in nats."""
        return torch.cat([self._log_joint(piece) for piece in self.pieces(x_0)], 1)

    def log_prob(self, x_0: Tensor) -> Tensor:
        """log p of what is there of each row of x_0 (B, D + V), with shape (B,), in nats."""
        return self.log_joint(x_0).logsumexp(0)

    def denoised(self, x_t: Tensor, signal: Tensor, noise: Tensor, keep: Tensor) -> Tensor:
        """Of real values E[x_0 | x_t] and Var[x_0 | x_t]; of each class the logarithm of its
        probability given all other columns of x_t, and 0: (B, D + V, 2). The scales are (B, 1)."""
        pieces = zip(*(self.pieces(each) for each in (x_t, signal, noise, keep)), strict=True)
        return torch.cat([self._denoised(*piece) for piece in pieces])

    def pieces(self, x: Tensor) -> tuple[Tensor, ...]:
        """Rows, as many at once as memory holds tables of."""
        each = self.log_share.numel() + self.normals.basis.numel()
        return x.split(max(1, LARGEST // max(each, 1)))

    def _log_joint(self, x_0: Tensor) -> Tensor:
        real, one_hot = self.split(x_0)
        one, holed = torch.ones_like(x_0[:, :1]), real.isnan().any(1)
        log_p = self.log_share @ one_hot.nan_to_num().T
        if not holed.all():
            whole = self.normals.joint(real[~holed], one[~holed], 0 * one[~holed])
            log_p[:, ~holed] += whole[0]
        for rows, log_normal, _, _ in self.by_holes(real, holed):
            log_p[:, rows] += log_normal
        return log_p

    def by_holes(
        self, real: Tensor, holed: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Of real values of x_0 (B, D) the rows `holed` (B,), those with the same holes together:
        which they are, (b,); log w_k + log p(what is there | k), (K, b); E[x_0 | what is there,
        k], (K, b, D); and R (K, D, D), by which C_k - R'R is the covariance that is left."""
        if not holed.any():
            return
        index = holed.nonzero()[:, 0]
        patterns, which = real[index].isnan().unique(dim=0, return_inverse=True)
        one = torch.ones_like(real[:1, :1])
        for i, hidden in enumerate(patterns):
            rows = index[which == i]
            # Of one row only what its holes are matters here.
            root, taken = self._rooted(~hidden[None], one, 0 * one)
            off = torch.where(hidden, 0.0, real[rows] - self.normals.mean[:, None])
            stretched = torch.linalg.solve_triangular(root[:, 0], off.mT, upper=False)
            log_p = self.normals.log_weight[:, None] - stretched.square().sum(1) / 2
            log_p = log_p - root[:, 0].diagonal(dim1=1, dim2=2).log().sum(1)[:, None]
            log_p = log_p - (~hidden).sum() * math.log(2 * math.pi) / 2
            mean = self.normals.mean[:, None] + stretched.mT @ taken[:, 0]
            yield rows, log_p, mean, taken[:, 0]

    def _denoised(self, x: Tensor, signal: Tensor, noise: Tensor, keep: Tensor) -> Tensor:
        log_joint, of_class, middle, within = self._told(x, signal, noise, keep)
        share = log_joint.softmax(0)[..., None]
        mean = (share * middle).sum(0)
        # About the mean, for at high SNR the variance has none of the mean square's digits.
        variance = (share * (within + (middle - mean) ** 2)).sum(0)
        prior = self._priors(log_joint[..., None] - of_class)
        real = torch.stack([mean, variance], -1)
        return torch.cat([real, torch.stack([prior, torch.zeros_like(prior)], -1)], 1)

    def _told(
        self, x: Tensor, signal: Tensor, noise: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """log w_k + log p(x_t | k), (K, B); the share in it of each column of classes, (K, B, G);
        E[x_0 | x_t, k] and Var[x_0 | x_t, k] of real values, both (K, B, D)."""
        real, one_hot = self.split(x)
        log_normal, mean, variance = self._of_normals(real, signal, noise)
        of_class = self._of_classes(one_hot, keep)
        return log_normal + of_class.sum(-1), of_class, mean, variance

    def _of_classes(self, one_hot: Tensor, keep: Tensor) -> Tensor:
        if not self.sizes:
            return one_hot.new_zeros(len(self.log_share), len(one_hot), 0)
        columns = one_hot.split(self.sizes, 1)
        first = torch.tensor(self.sizes).cumsum(0) - torch.tensor(self.sizes)
        index = torch.stack([column.argmax(1) for column in columns], 1) + first.to(one_hot.device)
        hidden = torch.stack([column[:, 0].isnan() for column in columns], 1)
        p = keep * self.log_share.exp()[:, index] + (1 - keep) * self.log_pi.exp()[index]
        return torch.where(hidden, 1.0, p).log()

    def _priors(self, others: Tensor) -> Tensor:
        """log sum_k p(k | the other columns) p_ki, (B, V), for log-weights (K, B, G)."""
        weight = others.softmax(0).unbind(-1)
        shares = self.log_share.exp().split(self.sizes, 1)
        each = [(w.T @ share).log() for w, share in zip(weight, shares, strict=True)]
        return torch.cat(each, 1) if each else others.new_zeros(others.shape[1], 0)

    def _of_normals(
        self, x: Tensor, signal: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        holed = x.isnan().any(1)
        if not holed.any():
            joint, off, spread = self.normals.joint(x, signal, noise)
            return joint, *self.normals.moments(off, spread, signal, noise)
        components = len(self.normals.mean)
        log_p = x.new_empty(components, len(x))
        mean, variance = (x.new_empty(components, *x.shape) for _ in range(2))
        for rows, told in (
            (~holed, self._of_normals if (~holed).any() else None),
            (holed, self._of_holed),
        ):
            if told is not None:
                found = told(x[rows], signal[rows], noise[rows])
                log_p[:, rows], mean[:, rows], variance[:, rows] = found
        return log_p, mean, variance

    def _of_holed(self, x: Tensor, signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scales = signal.double(), noise.double()
        log_p, mean, taken = self.to(x.double()).regressed(x.double(), *scales)
        left = self.covariance.double().diagonal(dim1=1, dim2=2)[:, None] - taken.square().sum(2)
        return log_p.to(x), mean.to(x), left.clamp(min=1e-12).to(x)

    def regressed(self, x: Tensor, signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For real values x_t (B, D) with holes: log w_k + log p(what is there | k), (K, B);
        E[x_0 | x_t, k], (K, B, D); and R (K, B, D, D), by which C_k - R'R is the covariance that
        is left of x_0."""
        there = ~x.isnan()
        root, taken = self._rooted(there, signal, noise)
        off = torch.where(there, x - signal * self.normals.mean[:, None], 0.0)
        stretched = torch.linalg.solve_triangular(root, off[..., None], upper=False)[..., 0]
        volume = root.diagonal(dim1=2, dim2=3).log().sum(-1)
        constant = there.sum(1) * math.log(2 * math.pi) / 2
        log_p = -stretched.square().sum(-1) / 2 - volume - constant
        mean = self.normals.mean[:, None] + (taken * stretched[..., None]).sum(2)
        return self.normals.log_weight[:, None] + log_p, mean, taken

    def _rooted(self, there: Tensor, signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """L, the Cholesky factor of what components say of the values of x_t that are there, (B,
        D), and R = L^-1 Cov[x_t, x_0], both (K, B, D, D)."""
        covariance = self.covariance[:, None]
        eye = torch.eye(there.shape[1], dtype=covariance.dtype, device=covariance.device)
        s, n = signal[..., None], noise[..., None]
        # What is hidden stands for itself: its rows are those of the unit matrix.
        both = there[:, :, None] & there[:, None]
        root = torch.linalg.cholesky(torch.where(both, s**2 * covariance + n**2 * eye, eye))
        across = torch.where(there[:, :, None], s * covariance, 0.0)
        return root, torch.linalg.solve_triangular(root, across, upper=False)
