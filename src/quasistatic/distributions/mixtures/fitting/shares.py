"""The weights of laws in a mixture of them, by held-out rows."""

__all__ = ["PARTS", "nested", "shares_of"]

import numpy as np
import torch
from torch import Tensor

PARTS = 5
"""Parts of the held-out rows: each is judged by weights of the others."""


def shares_of(log_p: Tensor, weight: Tensor | None = None, rounds: int = 300) -> Tensor:
    """The shares w (J,) that make sum over rows of log sum_j w_j p_j largest, for log p (N, J), by
    expectation maximisation; the function is concave.

    Args:
        weight: of the rows, for several problems at once, with shape (P, N); shares are (P, J).
    """
    each = log_p.new_ones(1, len(log_p)) if weight is None else weight
    p, total = (log_p - log_p.max(1, keepdim=True)[0]).exp(), each.sum(1, keepdim=True)
    share = log_p.new_full((len(each), p.shape[1]), 1 / p.shape[1])
    for _ in range(rounds):
        # A row without weight may be possible for a candidate alone whose share has vanished.
        share = share * ((each / (share @ p.T).clamp(min=1e-300)) @ p) / total
    return share[0] if weight is None else share


def nested(log_p: Tensor) -> np.ndarray:
    """log p of each row (N,), with weights fitted to other rows."""
    part = torch.arange(len(log_p)) % PARTS
    others = (part != torch.arange(PARTS)[:, None]).to(log_p)
    others[others.sum(1) == 0] = 1.0  # a single row judges by itself
    share = shares_of(log_p, others)
    return (log_p + share.log()[part]).logsumexp(1).numpy()
