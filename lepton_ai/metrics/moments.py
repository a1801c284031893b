"""Moments: means, variances and covariances over batches, and how often classes meet."""

from __future__ import annotations

import torch
from torch import Tensor

from lepton_ai.metrics.metric import Gathered
from lepton_ai.metrics.reading import class_numbers


class Moments(Gathered):
    """Means and products of deviations of some variables, batch by batch.

    Batches are joined by the formula of Chan, Golub and LeVeque 1979, on values counted from the
    first one met, so that neither a far mean nor a constant costs digits.

    Attributes:
        rows: How many rows were gathered.
        weight: Sum of the weights of each column, ``[D]``.
        mean: Means of the variables, ``[V, D]``.
        products: Sums of products of deviations, ``[V, V, D]``.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.weight = torch.zeros(0, dtype=torch.float64)
        self.origin = self.shift = torch.zeros((0, 0), dtype=torch.float64)
        self.products = torch.zeros((0, 0, 0), dtype=torch.float64)

    @property
    def mean(self) -> Tensor:
        """Means of the variables, ``[V, D]``."""
        return self.origin + self.shift

    def add(self, values: Tensor, weights: Tensor | None) -> None:
        """Gather variables ``[V, M, D]`` with weights ``[M, D]``."""
        if not values.shape[1]:
            return
        values = values.cpu()
        share = torch.ones_like(values[0]) if weights is None else weights.cpu()
        if not self.rows:
            self.origin, self.shift = values[:, 0], torch.zeros_like(values[:, 0])
            self.weight = torch.zeros_like(share[0])
            self.products = torch.zeros((len(values), *values.shape[::2]), dtype=torch.float64)
        values = values - self.origin[:, None]
        new = share.sum(0)
        shift = (values * share).sum(1) / torch.where(new == 0, 1.0, new)
        deviations = values - shift[:, None]
        products = torch.einsum("amd,bmd,md->abd", deviations, deviations, share)
        total = self.weight + new
        safe = torch.where(total == 0, 1.0, total)
        gap = shift - self.shift
        between = gap[:, None] * gap[None, :] * (self.weight * new / safe)
        self.products = self.products + products + between
        self.shift = self.shift + gap * (new / safe)
        self.weight, self.rows = total, self.rows + values.shape[1]


class Meetings(Gathered):
    """How often each class was decided, was expected, and was both, ``[C]`` each.

    The vectors grow with the classes met, so nothing must be said before. ``none`` is how often no
    class was decided (a negative decision).
    """

    def __init__(self) -> None:
        self.right = self.decided = self.expected = torch.zeros(0, dtype=torch.float64)
        self.none = torch.zeros((), dtype=torch.float64)

    def add(self, decided: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        """Gather decisions and expected classes, ``[M]``, with weights."""
        if not len(expected):
            return
        decided, expected = class_numbers(decided).cpu(), expected.long().cpu()
        weights = None if weights is None else weights.cpu()
        count = max(len(self.right), int(decided.max()) + 1, int(expected.max()) + 1)

        def counts(before: Tensor, classes: Tensor, kept: Tensor) -> Tensor:
            share = None if weights is None else weights[kept]
            new = torch.bincount(classes[kept], share, minlength=count).double()
            return new + torch.nn.functional.pad(before, (0, count - len(before)))

        everything = torch.ones_like(expected, dtype=torch.bool)
        self.right = counts(self.right, expected, decided == expected)
        self.decided = counts(self.decided, decided, decided >= 0)
        self.expected = counts(self.expected, expected, everything)
        share = everything.double() if weights is None else weights
        self.none = self.none + share[decided < 0].sum()
