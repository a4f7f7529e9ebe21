r"""The information rate of a trained model: an upper bound on I(x_0; x_t) at each time.

I(x_0; x_t) is at most the model's rate R_t = KL(q(x_T | x_0) || pi) + the sum of the KL terms of
the steps above t, with equality if the model's steps are exact. A schedule can be made even in it,
for bits and real values alike, without an assumption about the law of x_0.
"""

__all__ = ["information_rate"]

from collections.abc import Sequence

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..likelihood.terms import fixed_terms, learned_term
from ..model import Model
from .mutual_information import MeasuredLaw


@torch.no_grad()
def information_rate(
    model: Model,
    raw: object,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> MeasuredLaw:
    """The rate R_t of a model on data, as a law for
    :func:`.mutual_information.information_uniform`. It takes one network evaluation for each
    example and time.

    Args:
        model: the model to measure.
        raw: raw data, with shape (N, *).
        times: the chain, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Returns:
        The rate at each of the times, in nats an example.

    Raises:
        ValueError: if the data or the times do not fit the model.
    """
    rng = as_generator(rng)
    checked, grid = model.space.check(raw).to(model.blank(1)), model.times(times)
    lost = torch.zeros(len(grid), dtype=torch.float64)
    prior = 0.0
    with evaluating(model):
        for part, batch in model.chunks(checked):
            x_0 = model.space.encode(batch, rng)
            prior -= fixed_terms(model, x_0, grid)["prior"].double().sum().item()
            for k in range(1, len(grid)):
                index = torch.full((len(x_0),), k - 1, device=x_0.device)
                lost[k] += learned_term(part, x_0, grid, index, rng).double().sum().item()
    # The rate at a time: the term of the prior, and the terms of all later steps.
    above = lost[1:].flip(0).cumsum(0).flip(0)
    rate = (torch.cat([above, above.new_zeros(1)]) + prior) / len(checked)
    about = f"the rate of a model of {type(model.kernel).__name__}, measured on {len(checked)}"
    return MeasuredLaw(model.kernel.schedule.log_noise[grid].detach(), rate, f"{about} examples")
