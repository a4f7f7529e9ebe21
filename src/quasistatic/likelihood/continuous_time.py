r"""The bound in continuous time of a network that corrects a known law: that law's exact density,
and what the corrections add to it."""

__all__ = ["continuous"]

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..distributions import total
from ..heads import Corrected
from ..kernels import SignalNoise
from ..model import Model
from ..networks import MixtureMLP
from .score import ContinuousScore
from .strata import paired_error
from .terms import stratified_terms


@torch.no_grad()
def continuous(
    model: Model, raw: object, evaluations: int = 64, rng: Rng = None
) -> ContinuousScore:
    r"""K of each example in the limit of infinitely many steps (VDM), for a chain that begins and
    ends as the known law does. With m the known law's E[x_0 | x_t] and m' the model's,

        K = log p_known(raw) + 1/2 int SNR E[|x_0 - m|^2 - |x_0 - m'|^2] d log SNR,

    because the bound is tight at every x if m' = m. The known density is exact. Only the integral
    is estimated, at times spread evenly over those of the chain, and it is zero where the network
    corrects nothing.

    Args:
        model: whose network is a `MixtureMLP` and whose head is `Corrected`.
        raw: raw data, with shape (N, *).
        evaluations: network evaluations for each example.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Returns:
        The score; its standard error is NaN for a single evaluation.

    Raises:
        TypeError: if the model's network does not correct a known law.
        ValueError: if `evaluations` is below 1, or some time of the schedule leaves no signal.
    """
    rng = as_generator(rng)
    network, head, kernel = _checked(model, evaluations)
    count = evaluations if network.speaks else 0
    checked = model.space.check(raw).double()
    prior = kernel.prior(checked[:1])
    parts = []
    with evaluating(model):
        for batch in model.chunks(checked):
            x_0 = model.space.encode(batch, rng)
            known = network.mixture.log_prob(x_0)
            null = total(model.space.log_prob(prior, x_0))
            volume = null - total(prior.log_prob(x_0))
            parts.append((known + volume, *_correction(model, head, x_0, count, rng), null))
    known, added, noise, freedom, null = (torch.cat(each) for each in zip(*parts, strict=True))
    terms = {"mixture": known, "correction": added}
    return ContinuousScore(terms, null, noise, model.space.dims, count, freedom=freedom)


def _correction(
    model: Model, head: Corrected, x_0: Tensor, count: int, rng: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """What the corrections add to K and its standard error, in nats, and the degrees of freedom of
    the error: each (B,)."""
    if not count:  # nothing is estimated
        nothing = x_0.new_zeros(len(x_0))
        return nothing, nothing, nothing
    kernel, steps, dtype = model.kernel, model.steps, model.blank(1).dtype
    weight = _weights(kernel.schedule.log_snr[1:]).to(x_0) * steps
    terms = []
    for share in range(count):
        index = stratified_terms(len(x_0), steps, share, count, rng).to(x_0.device)
        t = index + 1
        x_t = kernel.marginal(x_0, t).sample(rng)
        output = model.output(x_t.to(dtype), t).to(x_0)
        ours = head.estimate(kernel, output, x_t, t)
        its = head.estimate(kernel, head.uncorrected(output), x_t, t)
        # The difference of squares as a product, which keeps its digits.
        terms.append(weight[index] * total((ours - its) * (2 * x_0 - ours - its)) / count)
    stacked = torch.stack(terms)
    return stacked.sum(0), *paired_error(stacked)


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
            f"correct a known law, got {type(network).__name__} with {type(head).__name__}: "
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
