r"""The bound in continuous time of a network that corrects a known law: that law's exact density,
and what the corrections win."""

__all__ = ["continuous"]

import math

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..distributions import total
from ..heads import Corrected
from ..kernels import SignalNoise
from ..model import Model
from ..networks import MixtureMLP
from .score import ContinuousScore
from .terms import stratified_terms


@torch.no_grad()
def continuous(
    model: Model, raw: object, evaluations: int = 64, rng: torch.Generator | None = None
) -> ContinuousScore:
    r"""K of each example of raw (N, *) as steps get shorter without end (VDM), for a chain that
    begins and ends as the known law does. With m the known law's E[x_0 | x_t] and m' the model's,

        K = log p_known(raw) + 1/2 int SNR E[|x_0 - m|^2 - |x_0 - m'|^2] d log SNR,

    for with m in place of m' the bound is tight at every x. The known density is exact, and only
    the difference is estimated: at times spread evenly over those of the chain. It is noisy only as
    far as the network has something to say, and is zero where it says nothing.

    Args:
        evaluations: of the network, for each example.

    Raises:
        TypeError: if the model's network does not stand on a known law.
        ValueError: if `evaluations` is below 1, or some time of the schedule leaves no signal.
    """
    network, head, kernel = _checked(model, evaluations)
    shares = evaluations if network.speaks else 0
    checked = model.space.check(raw).double()
    prior = kernel.prior(checked[:1])
    parts = []
    with evaluating(model):
        for batch in checked.split(model.chunk_size):
            x_0 = model.space.encode(batch, rng)
            known = network.mixture.log_prob(x_0)
            null = total(model.space.log_prob(prior, x_0))
            volume = null - total(prior.log_prob(x_0))
            won, noise = _won(model, head, x_0, shares, rng)
            parts.append((known + volume, won, noise, null))
    known, won, noise, null = (torch.cat(each) for each in zip(*parts, strict=True))
    terms = {"mixture": known, "correction": won}
    return ContinuousScore(terms, null, noise, model.space.dims, shares)


def _won(
    model: Model, head: Corrected, x_0: Tensor, shares: int, rng: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """What the corrections win, and its standard error: each (B,), in nats."""
    kernel, steps, dtype = model.kernel, model.steps, model.blank(1).dtype
    weight = _weights(kernel.schedule.log_snr[1:]).to(x_0) * steps
    won, square = torch.zeros(2, len(x_0)).to(x_0)
    before: Tensor | None = None
    for share in range(shares):
        index = stratified_terms(len(x_0), 0, steps, share, shares, rng).to(x_0.device)
        t = index + 1
        x_t = kernel.marginal(x_0, t).sample(rng)
        output = model.output(x_t.to(dtype), t).to(x_0)
        ours = head.estimate(kernel, output, x_t, t)
        its = head.estimate(kernel, head.uncorrected(output), x_t, t)
        # The difference of squares as a product, which keeps its digits.
        term = weight[index] * total((ours - its) * (2 * x_0 - ours - its)) / shares
        won = won + term
        if before is not None:
            square = square + (term - before) ** 2 / 2  # collapsed strata
        before = term
    noise = (square * shares / max(shares - 1, 1)).sqrt()
    return won, noise if shares != 1 else torch.full_like(won, math.nan)


def _weights(log_snr: Tensor) -> Tensor:
    """SNR d log SNR / 2 at each time, by the trapezoidal rule, with shape (T,)."""
    width = -torch.gradient(log_snr)[0]
    width[[0, -1]] /= 2
    return log_snr.exp() * width / 2


def _checked(model: Model, evaluations: int) -> tuple[MixtureMLP, Corrected, SignalNoise]:
    network, head, kernel = model.network, model.head, model.kernel
    if not isinstance(network, MixtureMLP) or not isinstance(head, Corrected):
        raise TypeError(
            f"the bound in continuous time needs a MixtureMLP network with a Corrected head, which "
            f"stand on a known law, got {type(network).__name__} with {type(head).__name__}: "
            "score by the bound of the chain"
        )
    assert isinstance(kernel, SignalNoise)  # Corrected has checked it
    if evaluations < 1:
        raise ValueError(f"evaluations must be 1 or more, got {evaluations}")
    if not kernel.schedule.log_snr[1:].isfinite().all():
        raise ValueError(
            f"schedule {kernel.schedule.kind!r} leaves no signal at T: use one whose log-SNR is "
            "finite, linear_log_snr"
        )
    return network, head, kernel
