"""Metrics of rankings: areas under curves, and points on them. They keep every score.

Kept are the score (4 bytes for float32) and the truth (1 byte) of each question, and the weight of
each example (8 bytes): 13 bytes for an example of two classes, 5 C + 8 for one of C classes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.metrics.metric import Kept, Metric
from lepton_ai.metrics.reading import questions

variants = {
    "auc": "AUC",
    "average_precision": "AveragePrecision",
    "precision_at_recall": "PrecisionAtRecall",
    "recall_at_precision": "RecallAtPrecision",
    "sensitivity_at_specificity": "SensitivityAtSpecificity",
    "specificity_at_sensitivity": "SpecificityAtSensitivity",
}


class _Ranked(Metric):
    """A figure from all scores of a question; the mean of the questions."""

    wants: str = "scores"
    while_training: bool = False
    classes: bool = True
    weighted: bool = True
    class_id: int | None = None

    def reset(self) -> None:
        self._kept = Kept()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, truth, share = questions(predicted, expected, weights, self.class_id)
        share = torch.ones(len(truth), dtype=torch.float64) if share is None else share
        self._kept.add(scores, truth, share)

    def per_class(self) -> list[float]:
        """The figure of each question (one for two classes); NaN where it cannot be told."""
        columns = self._kept.columns()
        if not columns:
            return []
        scores, truth, weights = columns
        return [self._of(scores[:, k], truth[:, k], weights) for k in range(scores.shape[1])]

    def _of(self, scores: Tensor, truth: Tensor, weights: Tensor) -> float:
        return math.nan if bool(scores.isnan().any()) else self.of(*curve(scores, truth, weights))

    @abstractmethod
    def of(self, right: Tensor, wrong: Tensor) -> float:
        """The figure from the weights of true and false yes at each threshold, highest first."""

    def compute(self) -> float:
        figures = [figure for figure in self.per_class() if not math.isnan(figure)]
        return sum(figures) / len(figures) if figures else math.nan


class AUC(_Ranked):
    """Area under a curve of scores, exact: all distinct scores are thresholds.

    ``"ROC"``: the chance that a random yes scores higher than a random no (Hanley and McNeil 1982).
    ``"PR"``: precision over recall, by trapezoids. Several classes: each against the rest, the mean
    of those that can be told. Keeps 5 bytes of each score and 8 of each example.

    Args:
        curve: ``"ROC"`` or ``"PR"``.
        class_id: The only class to judge; of two classes it is the second.

    Example:
        >>> auc = AUC()
        >>> auc.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        >>> auc.compute()
        0.75
    """

    def __init__(self, curve: str = "ROC", class_id: int | None = None) -> None:
        if curve not in ("ROC", "PR"):
            raise ConfigError(f"Expected curve 'ROC' or 'PR'; received {curve!r}.")
        self.curve, self.class_id = curve, class_id
        self.reset()

    def of(self, right: Tensor, wrong: Tensor) -> float:
        yes, no = right[-1], wrong[-1]
        if self.curve == "ROC":
            if not float(yes) or not float(no):
                return math.nan
            return float(torch.trapezoid(_from_zero(right), _from_zero(wrong)) / yes / no)
        if not float(yes):
            return math.nan
        precision = _share(right, right + wrong)
        first = torch.ones(1, dtype=torch.float64)
        return float(torch.trapezoid(torch.cat([first, precision]), _from_zero(right)) / yes)


class AveragePrecision(_Ranked):
    """Sum of precisions, each times the step of recall to it: ``sum((R[n] - R[n-1]) P[n])``.

    Exact, without interpolation, as in scikit-learn; 0 where nothing is so. Several classes: each
    against the rest, the mean. Keeps 5 bytes of each score and 8 of each example.

    Args:
        class_id: The only class to judge; of two classes it is the second.
    """

    def __init__(self, class_id: int | None = None) -> None:
        self.class_id = class_id
        self.reset()

    def of(self, right: Tensor, wrong: Tensor) -> float:
        if not float(right[-1]):
            return 0.0
        steps = _from_zero(right).diff() / right[-1]
        return float((steps * _share(right, right + wrong)).sum())


class _Point(_Ranked):
    """The highest of one share where another is at least a bound."""

    _bound: ClassVar[str] = ""

    def _check(self) -> None:
        bound = getattr(self, self._bound)
        if not 0 <= bound <= 1:
            raise ConfigError(f"Expected {self._bound} between 0 and 1; received {bound}.")

    def _highest(self, found: Tensor, bound: Tensor) -> float:
        fits = bound >= getattr(self, self._bound)
        return float(found[fits].max()) if bool(fits.any()) else 0.0


class PrecisionAtRecall(_Point):
    """The highest precision with a recall of at least ``recall``, over all thresholds.

    Keeps 5 bytes of each score and 8 of each example.

    Args:
        recall: The recall that is needed.
        class_id: The only class to judge; of two classes it is the second.
    """

    _bound: ClassVar[str] = "recall"

    def __init__(self, recall: float = 0.9, class_id: int | None = None) -> None:
        self.recall, self.class_id = recall, class_id
        self._check()
        self.reset()

    def of(self, right: Tensor, wrong: Tensor) -> float:
        if not float(right[-1]):
            return math.nan
        return self._highest(_share(right, right + wrong), right / right[-1])


class RecallAtPrecision(_Point):
    """The highest recall with a precision of at least ``precision``; 0 where there is none.

    Keeps 5 bytes of each score and 8 of each example.

    Args:
        precision: The precision that is needed.
        class_id: The only class to judge; of two classes it is the second.
    """

    _bound: ClassVar[str] = "precision"

    def __init__(self, precision: float = 0.9, class_id: int | None = None) -> None:
        self.precision, self.class_id = precision, class_id
        self._check()
        self.reset()

    def of(self, right: Tensor, wrong: Tensor) -> float:
        if not float(right[-1]):
            return math.nan
        return self._highest(right / right[-1], _share(right, right + wrong))


class SensitivityAtSpecificity(_Point):
    """The highest sensitivity (recall of yes) with a specificity of at least ``specificity``.

    Keeps 5 bytes of each score and 8 of each example.

    Args:
        specificity: The recall of no that is needed.
        class_id: The only class to judge; of two classes it is the second.
    """

    _bound: ClassVar[str] = "specificity"

    def __init__(self, specificity: float = 0.9, class_id: int | None = None) -> None:
        self.specificity, self.class_id = specificity, class_id
        self._check()
        self.reset()

    def of(self, right: Tensor, wrong: Tensor) -> float:
        if not float(right[-1]) or not float(wrong[-1]):
            return math.nan
        right, wrong = _from_zero(right), _from_zero(wrong)
        return self._highest(right / right[-1], (wrong[-1] - wrong) / wrong[-1])


class SpecificityAtSensitivity(_Point):
    """The highest specificity (recall of no) with a sensitivity of at least ``sensitivity``.

    Keeps 5 bytes of each score and 8 of each example.

    Args:
        sensitivity: The recall of yes that is needed.
        class_id: The only class to judge; of two classes it is the second.
    """

    _bound: ClassVar[str] = "sensitivity"

    def __init__(self, sensitivity: float = 0.9, class_id: int | None = None) -> None:
        self.sensitivity, self.class_id = sensitivity, class_id
        self._check()
        self.reset()

    def of(self, right: Tensor, wrong: Tensor) -> float:
        if not float(right[-1]) or not float(wrong[-1]):
            return math.nan
        right, wrong = _from_zero(right), _from_zero(wrong)
        return self._highest((wrong[-1] - wrong) / wrong[-1], right / right[-1])


def curve(scores: Tensor, truth: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of true and of false yes at each distinct score, the highest score first."""
    ranked, order = scores.sort(descending=True, stable=True)
    truth, weights = truth[order], weights[order]
    ends = torch.cat([ranked[1:] != ranked[:-1], torch.ones(1, dtype=torch.bool)])
    right, wrong = ((weights * side).cumsum(0)[ends] for side in (truth, ~truth))
    return right, wrong


def _from_zero(values: Tensor) -> Tensor:
    return torch.cat([torch.zeros(1, dtype=values.dtype), values])


def _share(above: Tensor, below: Tensor) -> Tensor:
    return torch.where(below > 0, above / torch.where(below > 0, below, 1.0), 0.0)
