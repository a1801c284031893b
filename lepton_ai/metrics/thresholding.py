"""Counts of right and wrong answers of yes and no, above and below a threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from lepton_ai.metrics.metric import Metric
from lepton_ai.metrics.reading import questions

variants = {
    "true_positives": "TruePositives",
    "true_negatives": "TrueNegatives",
    "false_positives": "FalsePositives",
    "false_negatives": "FalseNegatives",
}


class _Count(Metric):
    """How many answers are of one kind; 0 when nothing was gathered."""

    wants: str = "scores"
    classes: bool = True
    weighted: bool = True

    def __init__(self, threshold: float = 0.5, class_id: int | None = None) -> None:
        self.threshold, self.class_id = threshold, class_id
        self.reset()

    def reset(self) -> None:
        self._count = torch.zeros((), dtype=torch.float64)

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, truth, weights = questions(predicted, expected, weights, self.class_id)
        found = self.chosen(scores > self.threshold, truth)
        share = found.double() if weights is None else found * weights[:, None]
        self._count = self._count + share.sum().cpu()

    def chosen(self, said: Tensor, truth: Tensor) -> Tensor:
        """Which answers are of the kind."""
        raise NotImplementedError

    def compute(self) -> float:
        return float(self._count)


class TruePositives(_Count):
    """How many that are so were said to be.

    Two classes are one question (is it the second?), more are one for each class, as in Keras.

    Args:
        threshold: The score over which the answer is yes.
        class_id: The only class to count.

    Example:
        >>> found = TruePositives()
        >>> found.update(torch.tensor([0.9, 0.2, 0.7]), torch.tensor([1, 1, 0]))
        >>> found.compute()
        1.0
    """

    def chosen(self, said: Tensor, truth: Tensor) -> Tensor:
        return said & truth


class TrueNegatives(_Count):
    """How many that are not so were said not to be; arguments as of :class:`TruePositives`."""

    def chosen(self, said: Tensor, truth: Tensor) -> Tensor:
        return ~said & ~truth


class FalsePositives(_Count):
    """How many that are not so were said to be; arguments as of :class:`TruePositives`."""

    higher_is_better: bool = False

    def chosen(self, said: Tensor, truth: Tensor) -> Tensor:
        return said & ~truth


class FalseNegatives(_Count):
    """How many that are so were said not to be; arguments as of :class:`TruePositives`."""

    higher_is_better: bool = False

    def chosen(self, said: Tensor, truth: Tensor) -> Tensor:
        return ~said & truth
