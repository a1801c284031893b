"""Metrics of a value alone: its mean and its sum."""

from __future__ import annotations

from torch import Tensor

from lepton_ai.metrics.metric import Mean, Metric
from lepton_ai.metrics.reading import quantities

variants = {"mean_value": "MeanValue", "sum_value": "SumValue"}


class MeanValue(Metric):
    """Mean of the predicted values, whatever is expected; NaN values do not count.

    Example:
        >>> import torch
        >>> mean = MeanValue()
        >>> mean.update(torch.tensor([1.0, 2.0, 6.0]))
        >>> mean.compute()
        3.0
    """

    weighted: bool = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def update(
        self, predicted: Tensor, expected: Tensor | None = None, weights: Tensor | None = None
    ) -> None:
        values, _, share = quantities(predicted, predicted, weights)
        self._mean.add(values, share)

    def compute(self) -> float:
        return self._mean.compute()


class SumValue(MeanValue):
    """Sum of the predicted values, each times its weight; 0 when nothing was gathered."""

    def compute(self) -> float:
        return float(self._mean.total)
