"""Metrics of correlation: Pearson, Spearman, concordance."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from lepton_ai.metrics.metric import Kept, Metric
from lepton_ai.metrics.moments import Moments
from lepton_ai.metrics.reading import quantities

variants = {
    "pearson": "Pearson",
    "concordance": "Concordance",
    "spearman": "Spearman",
}


class _Joint(Metric):
    """A figure from the variances and the covariance of both sides; the mean of the columns."""

    weighted: bool = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._moments = Moments()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        found, wanted, share = quantities(predicted, expected, weights)
        self._moments.add(torch.stack([found, wanted]), share)

    @abstractmethod
    def of(self, moments: Moments) -> Tensor:
        """The figure of each column, from at least one row."""

    def compute(self) -> float:
        return float(self.of(self._moments).mean()) if self._moments.rows else math.nan


class Pearson(_Joint):
    """Pearson's correlation of predicted and expected numbers over all examples.

    ``cov(p, y) / (std(p) std(y))`` (Pearson 1895); NaN when one of them is constant. With several
    columns the mean of theirs.

    Example:
        >>> pearson = Pearson()
        >>> pearson.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0]))
        >>> round(pearson.compute(), 6)
        1.0
    """

    def of(self, moments: Moments) -> Tensor:
        return correlation(moments.products)


class Concordance(_Joint):
    """Lin's concordance: correlation that also asks for equal mean and spread (Lin 1989).

    ``2 cov(p, y) / (var(p) + var(y) + (mean(p) - mean(y))^2)`` over all examples; NaN when both
    are the same constant.
    """

    def of(self, moments: Moments) -> Tensor:
        apart = moments.mean[0] - moments.mean[1]
        below = moments.products[0, 0] + moments.products[1, 1] + moments.weight * apart.square()
        share = 2 * moments.products[0, 1] / torch.where(below > 0, below, 1.0)
        return torch.where(below > 0, share, math.nan)


class Spearman(Metric):
    """Spearman's correlation: Pearson's of the ranks, equal values sharing theirs.

    Spearman 1904; NaN when one side is constant. With several columns the mean of theirs. Keeps 16
    bytes of each number.
    """

    while_training: bool = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._kept = Kept()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        self._refuse(weights)
        found, wanted, known = quantities(predicted, expected)
        wanted = wanted if known is None else torch.where(known > 0, wanted, math.nan)
        self._kept.add(found, wanted)

    def compute(self) -> float:
        columns = self._kept.columns()
        if not columns:
            return math.nan
        figures = []
        for found, wanted in zip(columns[0].unbind(1), columns[1].unbind(1), strict=True):
            known = ~wanted.isnan()
            moments = Moments()
            moments.add(torch.stack([ranks(found[known]), ranks(wanted[known])])[..., None], None)
            figures.append(float(correlation(moments.products)) if moments.rows else math.nan)
        return sum(figures) / len(figures)


def correlation(products: Tensor) -> Tensor:
    """Correlation of two variables from their products ``[2, 2, D]``; NaN for a constant."""
    below = products[0, 0].sqrt() * products[1, 1].sqrt()
    share = products[0, 1] / torch.where(below > 0, below, 1.0)
    return torch.where(below > 0, share.clamp(-1, 1), math.nan)


def ranks(values: Tensor) -> Tensor:
    """Ranks from 1, the mean rank where values are equal.

    Example:
        >>> ranks(torch.tensor([10.0, 20.0, 20.0])).tolist()
        [1.0, 2.5, 2.5]
    """
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[place]
