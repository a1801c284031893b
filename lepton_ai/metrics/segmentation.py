"""Metrics of masks: intersection over union."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from lepton_ai.metrics.classification import add_pairs
from lepton_ai.metrics.metric import Metric

variants = {"iou": "IoU"}


class IoU(Metric):
    """Intersection over union, pooled over all pixels, averaged over the classes.

    Args:
        background: Class that is left out of the mean; ``None`` counts all.

    Example:
        >>> iou = IoU()
        >>> iou.update(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 0, 0]))
        >>> iou.compute()
        0.5
    """

    while_training: ClassVar[bool] = False

    def __init__(self, background: int | None = 0) -> None:
        self.background = background
        self.reset()

    def reset(self) -> None:
        self._pairs = torch.zeros((0, 0), dtype=torch.int64)

    def update(self, predicted: Tensor, expected: Tensor) -> None:
        counted = expected >= 0
        self._pairs = add_pairs(self._pairs, predicted[counted], expected[counted])

    def per_class(self) -> list[float]:
        """The figure of each class; NaN for those that neither occur nor were predicted."""
        both = self._pairs.diagonal().double()
        either = self._pairs.sum(0).double() + self._pairs.sum(1).double() - both
        return [float(b / e) if e > 0 else math.nan for b, e in zip(both, either, strict=True)]

    def compute(self) -> float:
        figures = [
            f for c, f in enumerate(self.per_class()) if c != self.background and not math.isnan(f)
        ]
        return sum(figures) / len(figures) if figures else math.nan

    def config(self) -> dict[str, int | None]:
        return {"background": self.background}
