"""Metrics of classes that chance and rare classes do not flatter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.metrics.metric import Metric
from lepton_ai.metrics.moments import Meetings
from lepton_ai.metrics.reading import class_numbers, decisions
from lepton_ai.registry import near_miss

variants = {
    "balanced_accuracy": "BalancedAccuracy",
    "matthews": "Matthews",
    "cohen_kappa": "CohenKappa",
}


class _Met(Metric):
    """A figure from how often classes were decided, expected, and both."""

    classes: bool = True
    weighted: bool = True

    def reset(self) -> None:
        self._met = Meetings()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        self._met.add(*decisions(predicted, expected, weights))


class BalancedAccuracy(_Met):
    """Mean of the recalls of the classes that occur (Brodersen et al. 2010).

    Args:
        adjusted: Whether guessing is 0 and perfect 1.

    Example:
        >>> balanced = BalancedAccuracy()
        >>> balanced.update(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]))
        >>> balanced.compute()
        0.5
    """

    def __init__(self, adjusted: bool = False) -> None:
        self.adjusted = adjusted
        self.reset()

    def compute(self) -> float:
        occurs = self._met.expected > 0
        if not bool(occurs.any()):
            return math.nan
        figure = float((self._met.right[occurs] / self._met.expected[occurs]).mean())
        chance = 1 / int(occurs.sum())
        if not self.adjusted:
            return figure
        return (figure - chance) / (1 - chance) if chance < 1 else math.nan


class Matthews(_Met):
    """Matthews's correlation of decisions and classes: 1 is perfect, 0 is guessing.

    Matthews 1975, for several classes Gorodkin 2004; 0 when all decisions or all classes are the
    same, as in scikit-learn.
    """

    def __init__(self) -> None:
        self.reset()

    def compute(self) -> float:
        met = self._met
        total = met.expected.sum()
        if not float(total):
            return math.nan
        both = met.right.sum() * total - (met.decided * met.expected).sum()
        said = torch.cat([met.decided, met.none[None]])  # no class is a class of its own
        decided, expected = _variety(said), _variety(met.expected)
        below = float(decided * expected)
        return float(both) / math.sqrt(below) if below > 0 else 0.0


class CohenKappa(_Met):
    """Cohen's kappa: agreement beyond what chance would give (Cohen 1960).

    NaN when decisions and classes are all of one class.

    Args:
        weights: ``None`` counts every disagreement alike; ``"linear"`` and ``"quadratic"`` count
            it by how far the class numbers are apart (Cohen 1968), for classes in an order.
    """

    def __init__(self, weights: str | None = None) -> None:
        if weights not in (None, "linear", "quadratic"):
            raise ConfigError(
                f"Expected weights None, 'linear' or 'quadratic'; received {weights!r}."
                f"{near_miss(str(weights), ['linear', 'quadratic'])}"
            )
        self.weights = weights
        self.reset()

    def reset(self) -> None:
        super().reset()
        self._apart = torch.zeros((), dtype=torch.float64)

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        decided, wanted, share = decisions(predicted, expected, weights)
        distance = self._distance((class_numbers(decided) - wanted.long()).double())
        self._met.add(decided, wanted, share)
        apart = distance.sum() if share is None else (distance * share).sum()
        self._apart = self._apart + apart.cpu()

    def _distance(self, difference: Tensor) -> Tensor:
        if self.weights is None:
            return (difference != 0).double()
        return difference.abs() if self.weights == "linear" else difference.square()

    def compute(self) -> float:
        met = self._met
        total = met.expected.sum()
        if not float(total):
            return math.nan
        if self.weights is None:
            others = met.decided.sum() + met.none - met.decided  # exactly 0 for a single class
            chance = (met.expected * others).sum() / total
        else:
            numbers = torch.arange(len(met.right), dtype=torch.float64)
            far = self._distance(numbers[:, None] - numbers[None, :])
            chance = met.expected @ far @ met.decided / total
        return float(1 - self._apart / chance) if float(chance) > 0 else math.nan


def _variety(counts: Tensor) -> Tensor:
    """Twice the weight of the pairs of different classes; exactly 0 for a single class."""
    return (counts * (counts.sum() - counts)).sum()
