"""Metrics of quantities: squared and absolute error, R2."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor

from lepton_ai.metrics.metric import Mean, Metric

variants = {
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "r2": "R2",
}


class MeanSquaredError(Metric):
    """Mean of the squared differences."""

    higher_is_better: ClassVar[bool] = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def update(self, predicted: Tensor, expected: Tensor) -> None:
        difference = predicted.double().reshape(-1) - expected.double().reshape(-1)
        self._mean.update(self.size(difference).sum(), difference.numel())

    def size(self, difference: Tensor) -> Tensor:
        """How much a difference counts."""
        return difference.square()

    def compute(self) -> float:
        return self._mean.compute()


class MeanAbsoluteError(MeanSquaredError):
    """Mean of the absolute differences."""

    def size(self, difference: Tensor) -> Tensor:
        return difference.abs()


class R2(Metric):
    """Share of the variance that is explained: 1 is perfect, 0 is as good as the mean.

    Example:
        >>> import torch
        >>> r2 = R2()
        >>> r2.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0]))
        >>> round(r2.compute(), 3)
        0.786
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._error = self._total = self._squares = 0.0
        self._count = 0

    def update(self, predicted: Tensor, expected: Tensor) -> None:
        predicted, expected = predicted.double().reshape(-1), expected.double().reshape(-1)
        if not self._count and len(expected):
            self._origin = float(expected[0])  # keeps the sums small when the mean is far from 0
        shifted = expected - getattr(self, "_origin", 0.0)
        self._error += float((predicted - expected).square().sum())
        self._total += float(shifted.sum())
        self._squares += float(shifted.square().sum())
        self._count += len(expected)

    def compute(self) -> float:
        if not self._count:
            return math.nan
        variance = self._squares - self._total**2 / self._count
        return 1 - self._error / variance if variance > 0 else math.nan
