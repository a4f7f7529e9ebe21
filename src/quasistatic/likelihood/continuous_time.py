r"""The bound in continuous time of a network that corrects a closed-form law: that law's exact
density, and what the corrections add to it."""

__all__ = ["continuous"]

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator, below
from ..distributions import total
from ..distributions.mixtures import RowDraws
from ..heads import Correcting, ProductHead
from ..kernels import SignalNoise
from ..model import Model
from ..networks.corrects_law import CorrectsLaw
from .row_noise import times_and_noise
from .score import ContinuousScore
from .strata import paired_error


@torch.no_grad()
def continuous(
    model: Model,
    raw: object,
    evaluations: int = 64,
    rng: Rng = None,
    by_row: bool = False,
    keys: Tensor | None = None,
) -> ContinuousScore:
    r"""K of each example in the limit of infinitely many steps (VDM), for a chain that begins and
    ends as the known law does. With m the known law's E[x_0 | x_t] and m' the model's,

        K = log p_known(raw) + 1/2 int SNR E[|x_0 - m|^2 - |x_0 - m'|^2] d log SNR,

    because the bound is tight at every x if m' = m. The known density is exact. Only the integral
    is estimated, at times spread evenly over those of the chain, and it is zero where the network
    corrects nothing. Classes add the difference of the divergences of the chain's own steps.

    Args:
        model: whose network corrects a law (`ResidualDenoiser`, `SpectralResidual`), with the head
            `Corrected`.
        raw: raw data, with shape (N, *).
        evaluations: network evaluations for each example.
        rng: a seed, a generator or None; the same seed repeats the draws.
        by_row: whether the noise of an example depends only on one draw of `rng` and on its own
            values, so that its score does not depend on the other examples.
        keys: with `by_row`, numbers (N, *) that take the place of an example's values there, for
            values that are computed and may differ in the last digit; None for the values.

    Raises:
        TypeError: if the model's network does not correct a known law.
        ValueError: if `evaluations` is below 1, or some time of the schedule leaves no signal.
    """
    network, head = _checked(model, evaluations)
    rng = as_generator(rng)
    spent = evaluations if network.corrects else 0
    checked = model.space.check(raw).double().to(model.blank(1).device)
    seed = int(below(2**31 - 1, 1, rng, torch.empty(0))) if by_row else 0
    named = checked if keys is None else keys
    parts, rest = [], []
    with evaluating(model):
        for part, batch in model.chunks(checked, max(spent, 1)):
            encoded = model.space.encode_weighted(batch, rng)
            x_0, drawn = encoded.x_0, encoded.terms
            known = network.denoiser.log_prob(x_0, *part.code_of(x_0))
            null = total(model.space.log_prob(model.kernel.prior(x_0), x_0)) + encoded.log_weight
            known = known + total(model.space.log_volume(x_0))
            own, named = named[: len(batch)], named[len(batch) :]
            draws = RowDraws.of(own.flatten(1).cpu().numpy(), seed) if by_row and spent else rng
            correction = _correction(part, head, x_0, spent, draws)
            parts.append({"mixture": known, "correction": correction[0]} | drawn)
            rest.append((*correction[1:], null))
    terms = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    noise, freedom, null = (torch.cat(each) for each in zip(*rest, strict=True))
    return ContinuousScore(terms, null, noise, model.space.dims, spent, freedom=freedom)


def _correction(
    model: Model,
    head: Correcting,
    x_0: Tensor,
    count: int,
    rng: torch.Generator | RowDraws | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the corrections add to K in nats, its standard error and the degrees of freedom of the
    error, each with shape (B,)."""
    if not count:  # nothing is estimated
        nothing = x_0.new_zeros(len(x_0))
        return nothing, nothing, nothing
    t, x_t = times_and_noise(model, x_0, count, rng)
    dtype, again = model.blank(1).dtype, x_0.repeat_interleave(count, 0)
    output = model.repeated(count).output(x_t.to(dtype), t).to(x_0)
    found = head.gain(model.kernel, output, x_t, again, t)
    terms = total(found).reshape(len(x_0), count) * (model.steps / count)
    return terms.sum(1), *paired_error(terms.T)


def _checked(model: Model, evaluations: int) -> tuple[CorrectsLaw, Correcting]:
    network, head = model.network, model.head
    corrects = head.corrects if isinstance(head, ProductHead) else isinstance(head, Correcting)
    if not isinstance(network, CorrectsLaw) or not corrects:
        raise TypeError(
            f"the bound in continuous time needs a ResidualDenoiser network with a Corrected head, "
            f"or a SpectralResidual, which know a closed-form law, got {type(network).__name__} "
            f"with {type(head).__name__}: score by the bound of the chain"
        )
    assert isinstance(head, Correcting)  # as it corrects
    if evaluations < 1:
        raise ValueError(f"evaluations must be 1 or more, got {evaluations}")
    for kernel in getattr(model.kernel, "parts", (model.kernel,)):
        if isinstance(kernel, SignalNoise) and not kernel.schedule.log_snr[1:].isfinite().all():
            raise ValueError(
                f"schedule {kernel.schedule.kind!r} leaves no signal at T: use one whose log-SNR "
                "is finite, linear_log_snr"
            )
    return network, head
