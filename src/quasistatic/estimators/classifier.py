"""The class of a row by Bayes' rule, from one law of X and y."""

__all__ = ["DiffusionClassifier"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d
from torch import Tensor

from ..distributions.mixtures import CategoricalBlock, Mixture
from ..spaces import Table
from .closed_form import fitted_from_law
from .joint import JointEstimator, require_known
from .labelled_laws import LabelledLaw, fit_labelled_law


class DiffusionClassifier(ClassifierMixin, JointEstimator):
    r"""A classifier of the rows of a table, as a scikit-learn estimator: one joint law of X and y
    in closed form, and p(y | x) by Bayes' rule.

    Each class has normal laws of the real columns, whose covariances are shrunk, and probabilities
    of classes. The means and probabilities are then moved so that the labels are likelier given x.
    Several such laws are fitted, and p(y | x) is the average of theirs. Their shares, how much is
    shrunk and moved, and whether columns are bent by powers, are decided by held-out log p(y | x).
    Missing values of X are integrated out, in fitting and in prediction; nothing has to be imputed.

    Args:
        types: of some columns by name, see :meth:`Table.infer`; numbers are real unless it says
            otherwise.
        random_state: seed of the parts of the rows that choose.

    Attributes:
        classes_: the classes, sorted.
        held_out_: log p(y | x) of held-out rows, in nats a row; NaN if a class has one row.
        model_: the joint :class:`Diffusion`.
        table_: the :class:`Table` of the columns of X, and of y last.
        n_features_in_, feature_names_in_: as ever.
    """

    def __init__(self, *, types: Mapping[str, str] | None = None, random_state: Any = 0) -> None:
        self.types = types
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fits rows X, a table with holes, and their classes y, (N,).

        Raises:
            ValueError: if there are fewer than two classes, or not one label for each row.
        """
        self._validate_params()
        labels = _labels(self, y)
        self.classes_, index = np.unique(labels, return_inverse=True)
        tables, rows = self._joint(X, index, "categorical")
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, got 1 class: "
                f"{self.classes_[0]!r}"
            )
        seed, found = self._seed(self.random_state), []
        for table in tables:
            x_0, sizes = self._filled(table, rows, seed)
            order = _LabelLast.of(table)
            law = fit_labelled_law(order.rows(x_0), order.sizes(sizes), seed)
            found.append((replace(law, law=order.as_table_has(law.law)), table))
        law, table = max(found, key=lambda pair: np.nan_to_num(pair[0].held_out, nan=-np.inf))
        self.powers_, self.counts_, self.held_out_ = law.powers, law.counts, law.held_out
        self.fitted_ = fitted_from_law(table, law.law, seed)
        return self

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log p(y | x) of each class, with shape (N, classes), in nats."""
        check_is_fitted(self)
        labelled, order = self._labelled(), _LabelLast.of(self.table_)
        found = [labelled.log_posterior(order.rows(x_0)) for x_0 in self._pieces(X)]
        return torch.cat(found).numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(y | x) of each class in the order of :attr:`classes_`, with shape (N, classes).

        Args:
            X: rows with the columns of the fitted ones; NaN, or what a data frame has for it, is a
                missing value, which is integrated out.
        """
        found = np.exp(self.predict_log_proba(X))
        return np.asarray(found / found.sum(1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row, with shape (N,)."""
        check_is_fitted(self)
        found: np.ndarray = self.classes_[self.predict_log_proba(X).argmax(1)]
        return found

    def _labelled(self) -> LabelledLaw:
        law = _LabelLast.of(self.table_).law(self._law)
        return LabelledLaw(law, self.counts_, self.powers_, self.held_out_)

    def _kept(self) -> dict[str, Any]:
        return super()._kept() | {
            "classes": self.classes_.tolist(),
            "powers": self.powers_,
            "counts": self.counts_,
            "held_out": self.held_out_,
        }

    def _restore(self, kept: Mapping[str, Any]) -> None:
        self.classes_ = np.array(kept["classes"])
        powers = kept["powers"] if "powers" in kept else [kept["power"]]  # one law, once
        self.powers_ = tuple(map(float, powers))
        self.counts_ = tuple(kept.get("counts", [self._law.components]))
        self.held_out_ = float(kept["held_out"])


@dataclass(frozen=True)
class _LabelLast:
    """The order of class variables in which the label is the last one, as a labelled law has it. In
    x_0 of a table the classes of columns with atoms come after it.

    Args:
        start: the first one-hot value in x_0.
        counts: the classes of each variable, as the table has them.
        label: which of the variables is the label.
    """

    start: int
    counts: tuple[int, ...]
    label: int

    @classmethod
    def of(cls, table: Table) -> "_LabelLast":
        block = table.blocks[-1]  # that of classes
        label = block.columns.index(table.places(len(table.columns) - 1)[0])
        return cls(table.state[0] - sum(block.sizes), block.sizes, label)

    @property
    def _variables(self) -> list[int]:
        return [k for k in range(len(self.counts)) if k != self.label] + [self.label]

    @property
    def _values(self) -> Tensor:
        """The place in the table's block of each one-hot value of the labelled law."""
        parts = torch.split(torch.arange(sum(self.counts)), list(self.counts))
        return torch.cat([parts[k] for k in self._variables])

    def sizes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """The classes of each variable, the label last."""
        return tuple(sizes[k] for k in self._variables)

    def rows(self, x_0: Tensor) -> Tensor:
        """x_0 (N, W) of the table with the label last."""
        return torch.cat([x_0[:, : self.start], x_0[:, self.start + self._values]], 1)

    def law(self, law: Mixture) -> Mixture:
        """A law of x_0 of the table as one with the label last."""
        block = law.blocks[-1]
        assert isinstance(block, CategoricalBlock)  # which has at least the label
        moved = CategoricalBlock(block.log_p[:, self._values], self.sizes(block.sizes))
        return Mixture(law.log_weight, (*law.blocks[:-1], moved))

    def as_table_has(self, law: Mixture) -> Mixture:
        """The inverse of :meth:`law`."""
        block = law.blocks[-1]
        assert isinstance(block, CategoricalBlock)
        moved = CategoricalBlock(block.log_p[:, self._values.argsort()], self.counts)
        return Mixture(law.log_weight, (*law.blocks[:-1], moved))


def _labels(estimator: Any, y: Any) -> np.ndarray:
    """y as a column of labels (N,)."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None"
        )
    require_known(y, "labels")
    labels = column_or_1d(y, warn=True)
    check_classification_targets(labels)
    return np.asarray(labels)
