r"""What a trained model finds that x_t tells of x_0: the law by which its steps can be made even.

I(x_0; x_t) is at most the model's rate R_t = KL(q(x_T | x_0) || pi) + the sum of the KL terms of
the steps above t, and equal to it where the model's steps are exact. Each step is worth what it
costs, bits and real values alike, so that no law of x_0 has to be supposed.
"""

__all__ = ["measured"]

from collections.abc import Sequence

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..likelihood.terms import fixed_part, learned_term
from ..model import Model
from .mutual_information import Measured


@torch.no_grad()
def measured(
    model: Model,
    raw: object,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Measured:
    """The rate R_t of a model on raw data (N, *), in nats an example, at each of `times`, as a law
    for :func:`.mutual_information.information_uniform`. One evaluation of the network for each
    example and time.

    Args:
        times: the chain that is measured, see :meth:`Model.times`; by default all T steps.

    Raises:
        ValueError: if the data or the times do not fit the model.
    """
    checked, grid = model.space.check(raw).to(model.blank(1)), model.times(times)
    lost = torch.zeros(len(grid), dtype=torch.float64)
    prior = 0.0
    with evaluating(model):
        for batch in checked.split(model.chunk_size):
            x_0 = model.space.encode(batch, rng)
            prior -= fixed_part(model, x_0, grid)["prior"].double().sum().item()
            for k in range(1, len(grid)):
                index = torch.full((len(x_0),), k, device=x_0.device)
                lost[k] += learned_term(model, x_0, grid, index, rng).double().sum().item()
    # What is left at a time: the prior's part, and all that later steps lose.
    above = lost[1:].flip(0).cumsum(0).flip(0)
    rate = (torch.cat([above, above.new_zeros(1)]) + prior) / len(checked)
    about = f"the rate of a model of {type(model.kernel).__name__}, measured on {len(checked)}"
    return Measured(model.kernel.schedule.log_noise[grid].detach(), rate, f"{about} examples")
