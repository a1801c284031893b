"""Metrics of calibration: whether scores are the shares that they claim to be."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.metrics.metric import Mean, Metric
from lepton_ai.metrics.reading import score_rows

variants = {
    "brier": "Brier",
    "expected_calibration_error": "ExpectedCalibrationError",
}


class Brier(Metric):
    """Mean squared distance of scores from what is so: 0 is perfect (Brier 1950).

    Two classes: ``(p - y)^2`` of the second; more: the sum of it over the classes. As in
    scikit-learn.

    Example:
        >>> brier = Brier()
        >>> brier.update(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 1]))
        >>> brier.compute()
        0.125
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
        gap = scores.double() - F.one_hot(numbers, scores.shape[-1])
        squares = gap.square()
        distance = squares[:, 1] if scores.shape[-1] == 2 else squares.sum(-1)
        self._mean.add(distance, weights)

    def compute(self) -> float:
        return self._mean.compute()


class ExpectedCalibrationError(Metric):
    """How far the highest score is from the share of right decisions, on average over bins.

    ``sum(n[b] / n |accuracy[b] - confidence[b]|)`` over bins of equal width, ``(low, high]``, of
    the highest score (Naeini et al. 2015, Guo et al. 2017). Exact: the bins hold sums, so nothing
    is kept of single examples.

    Args:
        bins: How many bins.
    """

    wants: str = "scores"
    higher_is_better: bool = False
    while_training: bool = False
    classes: bool = True
    weighted: bool = True

    def __init__(self, bins: int = 15) -> None:
        if bins < 1:
            raise ConfigError(f"Expected at least one bin; received {bins}. Type: bins=15")
        self.bins = bins
        self.reset()

    def reset(self) -> None:
        self._sums = torch.zeros((3, self.bins), dtype=torch.float64)

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, numbers, weights = score_rows(predicted, expected, weights)
        if not len(numbers):
            return
        sure, decided = scores.double().cpu().max(-1)
        right = (decided == numbers.cpu()).double()
        share = torch.ones_like(right) if weights is None else weights.cpu()
        edges = torch.linspace(0, 1, self.bins + 1, dtype=torch.float64)[1:-1]
        place = torch.bucketize(sure, edges)
        new = [
            torch.bincount(place, share * part, minlength=self.bins)
            for part in (torch.ones_like(right), sure, right)
        ]
        self._sums = self._sums + torch.stack(new)

    def compute(self) -> float:
        count, sure, right = self._sums
        total = float(count.sum())
        return float((sure - right).abs().sum()) / total if total else math.nan
