"""Metrics of classes: accuracy, F1, top-k, log loss."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from lepton_ai.metrics.metric import Mean, Metric

variants = {
    "accuracy": "Accuracy",
    "top_k_accuracy": "TopKAccuracy",
    "f1": "F1",
    "log_loss": "LogLoss",
}


class Accuracy(Metric):
    """Share of decisions that are right.

    Example:
        >>> accuracy = Accuracy()
        >>> accuracy.update(torch.tensor([1, 0, 2]), torch.tensor([1, 1, 2]))
        >>> round(accuracy.compute(), 3)
        0.667
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def update(self, predicted: Tensor, expected: Tensor) -> None:
        counted = expected >= 0
        self._mean.update((predicted == expected)[counted].sum(), counted.sum().cpu())

    def compute(self) -> float:
        return self._mean.compute()

    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval at 95 %."""
        count, share = float(self._mean.count), self._mean.compute()
        if not count:
            return None
        z = 1.96
        middle = (share + z * z / (2 * count)) / (1 + z * z / count)
        half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
        half /= 1 + z * z / count
        return middle - half, middle + half


class TopKAccuracy(Accuracy):
    """Share of examples whose class is among the ``k`` with the highest scores."""

    wants: ClassVar[str] = "scores"

    def __init__(self, k: int = 5) -> None:
        self.k = k
        super().__init__()

    def update(self, predicted: Tensor, expected: Tensor) -> None:
        counted = expected >= 0
        best = predicted.topk(min(self.k, predicted.shape[-1]), dim=-1).indices
        hit = (best == expected.unsqueeze(-1)).any(dim=-1)
        self._mean.update(hit[counted].sum(), counted.sum().cpu())

    def config(self) -> dict[str, int]:
        return {"k": self.k}


class F1(Metric):
    """F1 averaged over the classes that occur (macro)."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._pairs = torch.zeros((0, 0), dtype=torch.int64)

    def update(self, predicted: Tensor, expected: Tensor) -> None:
        counted = expected >= 0
        self._pairs = add_pairs(self._pairs, predicted[counted], expected[counted])

    def compute(self) -> float:
        right = self._pairs.diagonal().double()
        seen = self._pairs.sum(0).double() + self._pairs.sum(1).double()
        occurs = seen > 0
        return float((2 * right[occurs] / seen[occurs]).mean()) if occurs.any() else math.nan


class LogLoss(Metric):
    """Mean negative logarithm of the score of the right class."""

    wants: ClassVar[str] = "scores"
    higher_is_better: ClassVar[bool] = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def update(self, predicted: Tensor, expected: Tensor) -> None:
        counted = expected >= 0
        scores = predicted[counted].gather(-1, expected[counted].unsqueeze(-1)).clamp_min(1e-12)
        self._mean.update(-scores.log().sum(), counted.sum().cpu())

    def compute(self) -> float:
        return self._mean.compute()


def add_pairs(pairs: Tensor, predicted: Tensor, expected: Tensor) -> Tensor:
    """Add to a table ``[expected, predicted]`` of counts, which grows with the classes met."""
    if not len(expected):
        return pairs
    predicted, expected = predicted.cpu().long(), expected.cpu().long()
    classes = max(len(pairs), int(predicted.max()) + 1, int(expected.max()) + 1)
    grown = torch.zeros((classes, classes), dtype=torch.int64)
    grown[: len(pairs), : len(pairs)] = pairs
    counted = torch.bincount(expected * classes + predicted, minlength=classes * classes)
    return grown + counted.view(classes, classes)
