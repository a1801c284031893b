"""Metrics of quantities: errors, their largest and their median, and what is explained."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.metrics.metric import Kept, Mean, Metric
from lepton_ai.metrics.moments import Moments
from lepton_ai.metrics.reading import quantities

variants = {
    "mean_squared_error": "MeanSquaredError",
    "root_mean_squared_error": "RootMeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "log_cosh_error": "LogCoshError",
    "cosine_similarity": "CosineSimilarity",
    "max_error": "MaxError",
    "median_absolute_error": "MedianAbsoluteError",
    "r2": "R2",
    "explained_variance": "ExplainedVariance",
}


class _MeanOf(Metric):
    """The mean over all numbers of what :meth:`of` says of one."""

    higher_is_better: bool = False
    weighted: bool = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        found, wanted, share = quantities(predicted, expected, weights)
        self._mean.add(self.of(found, wanted), share)

    @abstractmethod
    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        """The figure of each number."""

    def compute(self) -> float:
        return self._mean.compute()


class MeanSquaredError(_MeanOf):
    """Mean of the squared differences, ``(p - y)^2``."""

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        return (predicted - expected).square()


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of the squared differences, over all numbers together."""

    def compute(self) -> float:
        return math.sqrt(self._mean.compute())


class MeanAbsoluteError(_MeanOf):
    """Mean of the absolute differences, ``|p - y|``."""

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        return (predicted - expected).abs()


class MeanAbsolutePercentageError(_MeanOf):
    """Mean of the absolute differences in percent of the expected, ``100 |p - y| / |y|``.

    As in Keras: in percent (scikit-learn gives the share), and ``|y|`` is at least 1e-7.
    """

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        return 100 * (predicted - expected).abs() / expected.abs().clamp_min(1e-7)


class MeanSquaredLogarithmicError(_MeanOf):
    """Mean of ``(log(1 + p) - log(1 + y))^2``; what is negative counts as 0."""

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        return (predicted.clamp_min(0).log1p() - expected.clamp_min(0).log1p()).square()


class LogCoshError(_MeanOf):
    """Mean of ``log(cosh(p - y))``."""

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        size = (predicted - expected).abs()
        return size + F.softplus(-2 * size, threshold=1000) - math.log(2.0)


class CosineSimilarity(_MeanOf):
    """Mean cosine of the angle between predicted and expected rows: 1 is the same direction."""

    higher_is_better: bool = True

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        found, wanted, share = quantities(predicted, expected, weights)
        self._mean.add(self.of(found, wanted), None if share is None else share.amax(-1))

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        sides = (F.normalize(side, dim=-1, eps=1e-7) for side in (predicted, expected))
        return torch.mul(*sides).sum(-1)


class MaxError(Metric):
    """The largest absolute difference."""

    higher_is_better: bool = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._largest = torch.zeros((), dtype=torch.float64)
        self._count = 0

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        self._refuse(weights)
        found, wanted, _ = quantities(predicted, expected)
        if len(found):
            self._largest = torch.maximum(self._largest, (found - wanted).abs().max().cpu())
            self._count += len(found)

    def compute(self) -> float:
        return float(self._largest) if self._count else math.nan


class MedianAbsoluteError(Metric):
    """Median of the absolute differences; with several columns the mean of their medians.

    Keeps 8 bytes of each number.
    """

    higher_is_better: bool = False
    while_training: bool = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._kept = Kept()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        self._refuse(weights)
        found, wanted, known = quantities(predicted, expected)
        gap = (found - wanted).abs()
        self._kept.add(gap if known is None else torch.where(known > 0, gap, math.nan))

    def compute(self) -> float:
        medians = [
            _median(column[~column.isnan()])
            for kept in self._kept.columns()
            for column in kept.unbind(1)
        ]
        return sum(medians) / len(medians) if medians else math.nan


def _median(values: Tensor) -> float:
    if not len(values):
        return math.nan
    ranked, middle = values.sort().values, len(values) // 2
    return float(ranked[middle] if len(values) % 2 else ranked[middle - 1 : middle + 1].mean())


class _Explained(Metric):
    """A figure from differences and expected numbers; the mean of the columns."""

    weighted: bool = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._moments = Moments()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        found, wanted, share = quantities(predicted, expected, weights)
        self._moments.add(torch.stack([found - wanted, wanted]), share)

    def _share(self, error: Tensor) -> float:
        """One minus error over variance; 1 without an error, 0 when nothing varies."""
        variance = self._moments.products[1, 1]
        varies = variance > 0
        share = 1 - error / torch.where(varies, variance, 1.0)
        return float(torch.where(varies, share, (error == 0).double()).mean())


class R2(_Explained):
    """Share of the variance that is explained: 1 is perfect, 0 is as good as the mean.

    ``1 - sum((p - y)^2) / sum((y - mean(y))^2)``, the mean over columns. As in scikit-learn, NaN
    for one example; where the expected numbers are all the same, 1 if they are met and 0 if not.

    Example:
        >>> import torch
        >>> r2 = R2()
        >>> r2.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0]))
        >>> round(r2.compute(), 3)
        0.786
    """

    def compute(self) -> float:
        moments = self._moments
        if moments.rows < 2:
            return math.nan
        return self._share(moments.products[0, 0] + moments.weight * moments.mean[0].square())


class ExplainedVariance(_Explained):
    """As R2, without what a constant offset costs: ``1 - var(p - y) / var(y)``."""

    def compute(self) -> float:
        return self._share(self._moments.products[0, 0]) if self._moments.rows else math.nan
