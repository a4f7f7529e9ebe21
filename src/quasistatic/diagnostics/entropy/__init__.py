r"""The entropy budget: lower and upper bounds on the entropy of each reverse step, and the entropy
that the model's step has.

The true reverse step from t to s has the entropy H_q(X_s | X_t). SD15 bounds it from both sides by
properties of the forward process alone (Sec. 2.6, App. A). With

    H_q(X_s | X_t) = H_q(X_t | X_s) + H_q(X_s) - H_q(X_t)                           (SD15 Eq. 27)

a lower bound follows from I(x_0; x_t) <= I(x_0; x_s), and an upper one from the second law. SD15
Eq. 28 states that law as H_q(X_t) >= H_q(X_s), which holds where pi has the largest entropy that
such data can have: for Gaussians, data of unit variance. What always holds is
KL(q(x_t) || pi) <= KL(q(x_s) || pi), and it is used here.

Each quantity minus the lower bound is a mutual information. The truth is I(x_0; x_s | x_t), the
model has E KL(q(x_s | x_t, x_0) || p), and the upper bound is that of the forward step in reverse,
the step of a model for which the data are noise.
"""

__all__ = ["EntropyBudget", "Estimate", "entropy_budget"]

from .budget import EntropyBudget, Estimate
from .measure import entropy_budget
