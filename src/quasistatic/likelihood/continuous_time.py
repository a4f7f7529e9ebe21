r"""The bound in continuous time of a network that corrects a closed-form law: that law's exact
density, and what the corrections win."""

__all__ = ["continuous"]

import math

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..distributions import total
from ..distributions.mixtures import RowDraws
from ..heads import Correcting, ProductHead
from ..kernels import SignalNoise
from ..model import Model
from ..networks import ResidualDenoiser
from .row_noise import times_and_noise
from .score import ContinuousScore


@torch.no_grad()
def continuous(
    model: Model,
    raw: object,
    evaluations: int = 64,
    rng: torch.Generator | None = None,
    by_row: bool = False,
) -> ContinuousScore:
    r"""K of each example of raw (N, *) as steps get shorter without end (VDM), for a chain that
    begins and ends as the known law does. With m the known law's E[x_0 | x_t] and m' the model's,

        K = log p_known(raw) + 1/2 int SNR E[|x_0 - m|^2 - |x_0 - m'|^2] d log SNR,

    for with m in place of m' the bound is tight at every x. The known density is exact, and only
    the difference is estimated: at times spread evenly over those of the chain. It is noisy only as
    far as the network corrects something, and is zero where it corrects nothing. Classes add the
    difference of the divergences of the chain's own steps.

    Args:
        evaluations: of the network, for each example.
        rng: of the noise.
        by_row: whether the noise of an example depends on one draw of `rng` and on its own values
            alone, so that its score does not depend on the examples beside it.

    Raises:
        TypeError: if the model's network does not correct a known law.
        ValueError: if `evaluations` is below 1, or some time of the schedule leaves no signal.
    """
    network, head = _checked(model, evaluations)
    spent = evaluations if network.corrects else 0
    checked = model.space.check(raw).double()
    seed = int(torch.randint(2**31 - 1, (), generator=rng)) if by_row else 0
    parts = []
    with evaluating(model):
        for batch in checked.split(max(1, model.chunk_size // max(spent, 1))):
            x_0 = model.space.encode(batch, rng)
            known = network.denoiser.log_prob(x_0)
            null = total(model.space.log_prob(model.kernel.prior(x_0), x_0))
            known = known + _summed(model.space.log_volume(x_0))
            draws = RowDraws.of(batch.flatten(1).numpy(), seed) if by_row and spent else rng
            won, noise = _won(model, head, x_0, spent, draws)
            parts.append((known, won, noise, null))
    known, won, noise, null = (torch.cat(each) for each in zip(*parts, strict=True))
    terms = {"mixture": known, "correction": won}
    return ContinuousScore(terms, null, noise, model.space.dims, spent)


def _summed(each: Tensor) -> Tensor:
    """The sum over all axes but the first, (B,)."""
    return each if each.ndim == 1 else total(each)


def _won(
    model: Model,
    head: Correcting,
    x_0: Tensor,
    shares: int,
    rng: torch.Generator | RowDraws | None,
) -> tuple[Tensor, Tensor]:
    """What the corrections win, and its standard error: each (B,), in nats."""
    if not shares:
        nothing = x_0.new_zeros(len(x_0))
        return nothing, nothing
    t, x_t = times_and_noise(model, x_0, shares, rng)
    dtype, again = model.blank(1).dtype, x_0.repeat_interleave(shares, 0)
    output = model.output(x_t.to(dtype), t).to(x_0)
    found = head.gain(model.kernel, output, x_t, again, t)
    terms = total(found).reshape(len(x_0), shares) * (model.steps / shares)
    square = (terms.diff(dim=1) ** 2 / 2).sum(1)  # collapsed strata
    noise = (square * shares / max(shares - 1, 1)).sqrt()
    return terms.sum(1), noise if shares != 1 else torch.full_like(noise, math.nan)


def _checked(model: Model, evaluations: int) -> tuple[ResidualDenoiser, Correcting]:
    network, head = model.network, model.head
    corrects = head.corrects if isinstance(head, ProductHead) else isinstance(head, Correcting)
    if not isinstance(network, ResidualDenoiser) or not corrects:
        raise TypeError(
            f"the bound in continuous time needs a ResidualDenoiser network with a Corrected head, "
            f"which know a closed-form law, got {type(network).__name__} with "
            f"{type(head).__name__}: score by the bound of the chain"
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
