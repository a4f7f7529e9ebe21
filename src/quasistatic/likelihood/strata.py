r"""The standard error of a sum over strata, with one draw from each.

One draw says nothing about the spread of its own stratum. Neighbouring strata have nearly the same
mean, so they are collapsed into pairs, and (a - b)^2 estimates the variance of a + b: without bias
where the two means agree, and too high where they do not (collapsed strata, Cochran, Sampling
Techniques, 1977, Sec. 5A.12). Each stratum is in one pair only, so the first and the last count as
much as the others.
"""

__all__ = ["paired_error", "pooled_freedom", "shrunk_errors", "t_quantile"]

import math

import torch
from torch import Tensor


def paired_error(terms: Tensor) -> tuple[Tensor, Tensor]:
    r"""The standard error of the sum of one draw from each stratum.

    Args:
        terms: the draws in the order of the strata, with shape (strata, B).

    Returns:
        The standard error of `terms.sum(0)`, with shape (B,) and in the same unit, and its degrees
        of freedom, with shape (B,); both in float64. With a single stratum the error is NaN and has
        no degree of freedom.
    """
    terms = terms.detach().double()
    strata, n = terms.shape
    if strata < 2:
        return terms.new_full((n,), math.nan), terms.new_zeros(n)
    # Pairs; if the number of strata is odd, the last group is a triple, with twice the freedom.
    paired = strata if strata % 2 == 0 else strata - 3
    squares = (terms[0:paired:2] - terms[1:paired:2]) ** 2
    freedom = terms.new_ones(len(squares))
    if paired < strata:
        triple = 3 * terms[paired:].var(0)
        squares = torch.cat([squares, triple[None]])
        freedom = torch.cat([freedom, freedom.new_full((1,), 2.0)])
    variance = squares.sum(0)
    # A square with f degrees of freedom has E[square^2] = (1 + 2 / f) variance^2, so that
    # square^2 / (f + 2) estimates half the variance of the square.
    fourth = (squares**2 / (freedom[:, None] + 2)).sum(0)
    return variance.sqrt(), _freedom(variance, fourth, freedom.sum())


def pooled_freedom(errors: Tensor, freedom: Tensor) -> Tensor:
    """The degrees of freedom of the root of a sum of squared independent standard errors.

    Args:
        errors: standard errors, with shape (n, *).
        freedom: the degrees of freedom of each, with shape (n, *).

    Returns:
        With the shape of `errors[0]`.
    """
    variance = errors.double() ** 2
    fourth = (variance**2 / (freedom + 2)).sum(0)
    return _freedom(variance.sum(0), fourth, freedom.sum(0))


def shrunk_errors(errors: Tensor, freedom: Tensor) -> tuple[Tensor, Tensor]:
    r"""Standard errors of examples, each shrunk towards the mean over all examples.

    A few draws estimate a variance badly, above all where large terms are rare: then most examples
    have drawn none of them, and their standard errors are too small. Each variance is replaced by w
    own + (1 - w) mean, where w is the share of the spread of the variances that their own sampling
    errors do not explain (linear empirical Bayes). If the examples have variances of their own, w
    is near 1.

    Args:
        errors: standard errors, with shape (N,).
        freedom: the degrees of freedom of each, with shape (N,).

    Returns:
        The errors and their degrees of freedom, each with shape (N,), in float64.
    """
    own, freedom = errors.double() ** 2, freedom.double()
    if len(own) < 2 or not own.isfinite().all():
        return own.sqrt(), freedom
    mean = own.mean()
    # The fourth powers of a pair's difference bound the sampling variance of its square from
    # above, whatever the law of the terms.
    sampling = (3 * own**2 / (freedom + 2)).mean()
    spread = own.var()
    w = ((spread - sampling) / spread.clamp(min=1e-300)).clamp(0, 1)
    whole = pooled_freedom(errors, freedom).clamp(min=1)
    variance = w * own + (1 - w) * mean
    doubt = (w * own) ** 2 / freedom.clamp(min=1) + ((1 - w) * mean) ** 2 / whole
    found = torch.where(doubt > 0, variance**2 / doubt.clamp(min=1e-300), freedom)
    return variance.sqrt(), found


def t_quantile(level: float, freedom: Tensor) -> Tensor:
    """The half-width of a two-sided interval in standard errors (Student's t).

    Args:
        level: the share of such intervals that contain the true value, between 0 and 1.
        freedom: degrees of freedom, of any shape; NaN comes back where there are none.

    Raises:
        ValueError: if the level is not between 0 and 1.
    """
    from scipy.special import stdtrit  # only here: it is slow to import

    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}: 0.95, say")
    found = stdtrit(freedom.double().cpu().numpy(), (1 + level) / 2)
    return torch.as_tensor(found, dtype=torch.float64, device=freedom.device)


def _freedom(variance: Tensor, fourth: Tensor, most: Tensor) -> Tensor:
    """Satterthwaite's degrees of freedom, with the correction of Johnson and Rust (1992) for few
    squares: at least 1, and `most` where nothing varies."""
    found = variance**2 / fourth.clamp(min=1e-300) - 2
    found = torch.where(fourth > 0, found, most)
    return torch.minimum(found.clamp(min=1), most)
