"""Metrics of classes: accuracy, top-k, precision, recall, F1, log loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.metrics.metric import Mean, Metric
from lepton_ai.metrics.moments import Meetings
from lepton_ai.metrics.reading import decisions, questions, score_rows
from lepton_ai.registry import near_miss

variants = {
    "accuracy": "Accuracy",
    "binary_accuracy": "BinaryAccuracy",
    "top_k_accuracy": "TopKAccuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "fbeta": "FBeta",
    "log_loss": "LogLoss",
}


class _Share(Metric):
    """A share of what is right, with its interval."""

    classes: bool = True
    weighted: bool = True

    def reset(self) -> None:
        self._mean = Mean()
        self._squares = torch.zeros((), dtype=torch.float64)

    def _add(self, right: Tensor, weights: Tensor | None) -> None:
        if weights is None:
            self._mean.update(right.sum(), right.numel())
            self._squares = self._squares + right.numel()
        else:
            self._mean.add(right.double(), weights)
            self._squares = self._squares + weights.square().sum().cpu()

    def compute(self) -> float:
        return self._mean.compute()

    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval at 95 % (Wilson 1927); weights count by Kish's effective number."""
        if not float(self._mean.count) or not float(self._squares):
            return None
        count, share = float(self._mean.count**2 / self._squares), self._mean.compute()
        z = 1.96
        middle = (share + z * z / (2 * count)) / (1 + z * z / count)
        half = z * math.sqrt(max(share * (1 - share), 0.0) / count + z * z / (4 * count**2))
        half /= 1 + z * z / count
        return middle - half, middle + half


class Accuracy(_Share):
    """Share of decisions that are right.

    Example:
        >>> accuracy = Accuracy()
        >>> accuracy.update(torch.tensor([1, 0, 2]), torch.tensor([1, 1, 2]))
        >>> round(accuracy.compute(), 3)
        0.667
    """

    def __init__(self) -> None:
        self.reset()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        decided, wanted, weights = decisions(predicted, expected, weights)
        self._add(decided == wanted, weights)


class BinaryAccuracy(_Share):
    """Share of answers of yes and no that are right, with yes where the score is over a threshold.

    Two classes are one question (is it the second?), more are one for each class, as in Keras;
    rows of yes and no (several labels at once) are one for each column.

    Args:
        threshold: The score over which the answer is yes.
    """

    wants: str = "scores"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self.reset()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, truth, weights = questions(predicted, expected, weights)
        share = None if weights is None else weights[:, None].expand(truth.shape)
        self._add((scores > self.threshold) == truth, share)


class TopKAccuracy(_Share):
    """Share of examples whose class is among the ``k`` with the highest scores.

    Of equal scores the class with the higher number comes first, as in scikit-learn.

    Args:
        k: How many classes may be named.
    """

    wants: str = "scores"

    def __init__(self, k: int = 5) -> None:
        self.k = k
        self.reset()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, numbers, weights = score_rows(predicted, expected, weights)
        own = scores.gather(-1, numbers[:, None])
        later = torch.arange(scores.shape[-1], device=scores.device) > numbers[:, None]
        before = (scores > own) | ((scores == own) & later)
        self._add(before.sum(-1) < self.k, weights)


class FBeta(Metric):
    """F-beta, ``(1 + b^2) P R / (b^2 P + R)`` of precision P and recall R (van Rijsbergen 1979).

    Classes that neither occur nor were decided are left out of the mean; what cannot be computed
    (the precision of a class never decided) is 0, as in scikit-learn.

    Args:
        beta: How much more recall counts than precision.
        average: ``"macro"`` is the mean of the classes, ``"weighted"`` the mean weighted by how
            often they occur, ``"micro"`` counts all decisions together.
        class_id: The only class to judge (``1``: yes), instead of a mean.
    """

    classes: bool = True
    weighted: bool = True

    def __init__(
        self, beta: float = 1.0, average: str = "macro", class_id: int | None = None
    ) -> None:
        kinds = ("macro", "micro", "weighted")
        if average not in kinds:
            raise ConfigError(
                f"Expected average 'macro', 'micro' or 'weighted'; received {average!r}."
                f"{near_miss(average, kinds)}"
            )
        if beta <= 0:
            raise ConfigError(f"Expected a beta above 0; received {beta}. Type: beta=1.0")
        self.beta, self.average, self.class_id = beta, average, class_id
        self.reset()

    def reset(self) -> None:
        self._met = Meetings()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        self._met.add(*decisions(predicted, expected, weights))

    def of(self, right: Tensor, decided: Tensor, expected: Tensor) -> Tensor:
        """The figure of each class from its counts."""
        square = self.beta**2
        return _ratio((1 + square) * right, square * expected + decided)

    def per_class(self) -> list[float]:
        """The figure of each class; NaN for those that neither occur nor were decided."""
        met = self._met
        figures = self.of(met.right, met.decided, met.expected)
        return torch.where(met.decided + met.expected > 0, figures, math.nan).tolist()

    def compute(self) -> float:
        met = self._met
        occurs = met.decided + met.expected > 0
        if not bool(occurs.any()):
            return math.nan
        if self.class_id is not None:
            known = self.class_id < len(occurs) and bool(occurs[self.class_id])
            return self.per_class()[self.class_id] if known else 0.0
        if self.average == "micro":
            return float(self.of(met.right.sum(), met.decided.sum(), met.expected.sum()))
        figures = self.of(met.right, met.decided, met.expected)[occurs]
        if self.average == "macro":
            return float(figures.mean())
        return float((figures * met.expected[occurs]).sum() / met.expected.sum())


class F1(FBeta):
    """F1, ``2 P R / (P + R)``, averaged over the classes that occur (macro) unless told otherwise.

    Args:
        average: ``"macro"``, ``"weighted"`` (by how often classes occur) or ``"micro"``.
        class_id: The only class to judge, instead of a mean.

    Example:
        >>> f1 = F1(class_id=1)
        >>> f1.update(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
        >>> round(f1.compute(), 3)
        0.667
    """

    def __init__(self, average: str = "macro", class_id: int | None = None) -> None:
        super().__init__(1.0, average, class_id)


class Precision(F1):
    """Precision: of what was decided to be a class, the share that is; macro unless told otherwise.

    Args:
        average: ``"macro"``, ``"weighted"`` (by how often classes occur) or ``"micro"``.
        class_id: The only class to judge (``1`` is Keras's precision of yes), instead of a mean.
    """

    def of(self, right: Tensor, decided: Tensor, expected: Tensor) -> Tensor:
        return _ratio(right, decided)


class Recall(F1):
    """Recall: of what is a class, the share that was decided to be; macro unless told otherwise.

    Args:
        average: ``"macro"``, ``"weighted"`` (by how often classes occur) or ``"micro"``.
        class_id: The only class to judge (``1`` is Keras's recall of yes), instead of a mean.
    """

    def of(self, right: Tensor, decided: Tensor, expected: Tensor) -> Tensor:
        return _ratio(right, expected)


class LogLoss(Metric):
    """Mean negative logarithm of the score of the right class (cross-entropy).

    Scores are read as probabilities, at least the smallest step of their type from 0 and 1, as in
    scikit-learn.
    """

    wants: str = "scores"
    higher_is_better: bool = False
    classes: bool = True
    weighted: bool = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, numbers, weights = score_rows(predicted, expected, weights)
        step = torch.finfo(scores.dtype).eps
        own = scores.gather(-1, numbers[:, None])[:, 0].double().clamp(step, 1 - step)
        self._mean.add(-own.log(), weights)

    def compute(self) -> float:
        return self._mean.compute()


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """A quotient, 0 where nothing is divided by nothing."""
    return torch.where(below > 0, above / torch.where(below > 0, below, 1.0), 0.0)
