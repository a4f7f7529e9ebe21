r"""The entropy budget: what each step of the chain has to spend, may spend, and does spend.

What the reverse step from t to s must be told is H_q(X_s | X_t), the entropy of the true step. SD15
bounds it from both sides by what the forward process alone says (Sec. 2.6, App. A). With

    H_q(X_s | X_t) = H_q(X_t | X_s) + H_q(X_s) - H_q(X_t)                           (SD15 Eq. 27)

a lower bound follows from I(x_0; x_t) <= I(x_0; x_s), and an upper one from the second law. SD15
Eq. 28 states that law as H_q(X_t) >= H_q(X_s), which holds where pi has the largest entropy that
such data can have: for Gaussians, data of unit variance. What always holds is
KL(q(x_t) || pi) <= KL(q(x_s) || pi), and it is used here.

Measured from the lower bound, each is an information. The truth is I(x_0; x_s | x_t), the model
spends E KL(q(x_s | x_t, x_0) || p), and the upper bound is what the forward step in reverse would
spend, a model that takes the data for noise.
"""

__all__ = ["EntropyBudget", "Estimate", "entropy_budget"]

from .budget import EntropyBudget, Estimate
from .measure import entropy_budget
